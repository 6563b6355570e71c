//! A node as a description: what Linux would be told with `ip` and `sysctl`.
//!
//! [`World::build`](crate::World::build) makes a node of it whose network stack does what Linux's
//! does; a test can make the same node in the kernel.

use std::net::{IpAddr, Ipv4Addr};

use crate::network::{Prefix, RouteKind, RuleAction, TABLE_MAIN};
use crate::types::{Ifindex, Mac};

/// A namespace with its network stack.
#[derive(Debug, Clone, Default)]
pub struct NodeConfig {
    /// What holds for the node as a whole.
    pub settings: NodeSettings,
    /// Its devices, but for the loopback device, which each node has.
    pub devices: Vec<DeviceConfig>,
    /// Routes besides those that addresses bring with them.
    pub routes: Vec<RouteConfig>,
    /// Rules besides the kernel's own.
    pub rules: Vec<RuleConfig>,
    /// Neighbours whose hardware addresses need not be asked for (`nud permanent`).
    pub neighbours: Vec<NeighbourConfig>,
}

/// What holds for a node as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NodeSettings {
    /// `net.ipv6.conf.all.forwarding`, which sets it for each device.
    pub forward_ipv6: bool,
    /// Whether the loopback device is up, with `127.0.0.1/8` and `::1`.
    pub loopback: bool,
    /// `net.ipv4.ip_default_ttl`.
    pub ttl: u8,
}

/// A device.
#[derive(Debug, Clone)]
pub struct DeviceConfig {
    /// Unique on its node; at most 15 bytes.
    pub name: String,
    /// Unique on its node. 1 is the loopback device's.
    pub ifindex: Ifindex,
    /// Hardware address.
    pub mac: Mac,
    /// Largest packet without the Ethernet header, in bytes.
    pub mtu: u32,
    /// What it does with what it sends.
    pub kind: DeviceKind,
    /// Addresses and the lengths of their prefixes. Of two IPv4 addresses of one network the second
    /// is a secondary one, as in Linux.
    pub addresses: Vec<(IpAddr, u8)>,
    /// How IP behaves on it.
    pub settings: DeviceSettings,
}

/// What a device does with what it sends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeviceKind {
    /// One end of a pair; what it sends leaves the world unless it is
    /// [connected](crate::World::connect).
    Veth,
    /// Swallows it.
    Dummy,
    /// Sends it to another node in UDP.
    Vxlan(VxlanConfig),
    /// Sends it by its ports, and passes on what these take in.
    Bridge(BridgeConfig),
    /// Sends IPv4 packets to another node in IPv4.
    Ipip(IpipConfig),
}

impl DeviceKind {
    /// Whether what is on the device begins with an Ethernet header, not with that of IP.
    pub const fn has_link_header(&self) -> bool {
        !matches!(self, Self::Ipip(_))
    }
}

/// How IP behaves on a device (`net.ipv4.conf.DEVICE.*`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DeviceSettings {
    /// Whether IPv4 packets that it receives are forwarded.
    pub forwarding: bool,
    /// `rp_filter`.
    pub rp_filter: RpFilter,
    /// Whether packets from this host's own addresses are taken.
    pub accept_local: bool,
    /// Whether 127.0.0.0/8 may be on the wire.
    pub route_localnet: bool,
    /// Whether IPv4 hosts are told of better gateways. Those of IPv6 are, as nothing turns that off.
    pub send_redirects: bool,
}

/// Whether the way back to a packet's source is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum RpFilter {
    /// No.
    #[default]
    Off,
    /// It must lead through the device that the packet came by (RFC 3704 strict).
    Strict,
    /// There must be one (RFC 3704 loose).
    Loose,
}

/// A VXLAN device (RFC 7348, `drivers/net/vxlan`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VxlanConfig {
    /// The network identifier; none for a device in external mode, where programs say it.
    pub vni: Option<u32>,
    /// Where frames go that no entry of `fdb` speaks of.
    pub remote: Option<IpAddr>,
    /// The outer source; none for that of the route.
    pub local: Option<IpAddr>,
    /// UDP port of the tunnel, in both directions.
    pub port: u16,
    /// Whether senders of what comes through the tunnel are remembered.
    pub learning: bool,
    /// Outer time to live; 0 for the node's, or 1 to a group.
    pub ttl: u8,
    /// Outer type of service; 1 for the inner one's.
    pub tos: u8,
    /// Whether the outer header says "do not fragment".
    pub dont_fragment: VxlanDf,
    /// Whether the UDP checksum is computed over IPv4. Over IPv6 it always is.
    pub checksum: bool,
    /// Where stations are: hardware address and tunnel end.
    pub fdb: Vec<(Mac, IpAddr)>,
}

/// A bridge (`net/bridge`): no spanning tree, no VLAN filtering, no multicast snooping; nothing that it learned is
/// forgotten.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct BridgeConfig {
    /// The devices of the node that are its ports, veth ones, by name, in the order in which they become that.
    pub ports: Vec<String>,
}

/// An IPIP device (RFC 2003, `net/ipv4/ipip.c`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IpipConfig {
    /// The tunnel's other end; none for a device in external mode, where programs say it.
    pub remote: Option<Ipv4Addr>,
    /// The outer source, and the only destination that is for this tunnel; none for that of the route, and any.
    pub local: Option<Ipv4Addr>,
    /// Outer time to live; 0 for the inner one's.
    pub ttl: u8,
    /// Outer type of service; 1 for the inner one's.
    pub tos: u8,
    /// Whether the outer header always says "do not fragment" (`pmtudisc`), not only where the inner one does.
    pub dont_fragment: bool,
}

impl Default for IpipConfig {
    fn default() -> Self {
        Self {
            remote: None,
            local: None,
            ttl: 0,
            tos: 0,
            dont_fragment: true,
        }
    }
}

/// When a VXLAN device sets "do not fragment".
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum VxlanDf {
    /// Never.
    #[default]
    Unset,
    /// Always.
    Set,
    /// As the inner IPv4 header does.
    Inherit,
}

/// A route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteConfig {
    /// Where it leads.
    pub to: Prefix,
    /// What becomes of packets.
    pub kind: RouteKind,
    /// The table.
    pub table: u32,
    /// The device by name; none for a route that leads nowhere.
    pub device: Option<String>,
    /// The host that passes packets on. It must be a neighbour.
    pub gateway: Option<IpAddr>,
    /// The largest packet, if it is not the device's.
    pub mtu: Option<u32>,
    /// `mtu lock`.
    pub mtu_locked: bool,
    /// Of two routes to the same network the one with the lower number is taken; none for the
    /// kernel's choice, 0 in IPv4 and 1024 in IPv6.
    pub metric: Option<u32>,
    /// The address that packets of this host leave with.
    pub source: Option<IpAddr>,
}

/// A rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleConfig {
    /// Its place; see [`Rule::priority`](crate::Rule::priority).
    pub priority: u32,
    /// Whether it is one for IPv6.
    pub ipv6: bool,
    /// Where packets come from.
    pub from: Option<Prefix>,
    /// Where they go.
    pub to: Option<Prefix>,
    /// The device that they came in by; `lo` for those of the node itself.
    pub input: Option<String>,
    /// The mark, and which of its bits count.
    pub mark: Option<(u32, u32)>,
    /// What becomes of them.
    pub action: RuleAction,
}

/// A neighbour.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NeighbourConfig {
    /// The device by name.
    pub device: String,
    /// Its address.
    pub address: IpAddr,
    /// Its hardware address.
    pub mac: Mac,
}

impl Default for NodeSettings {
    fn default() -> Self {
        Self {
            forward_ipv6: false,
            loopback: true,
            ttl: 64,
        }
    }
}

impl Default for VxlanConfig {
    fn default() -> Self {
        Self {
            vni: None,
            remote: None,
            local: None,
            port: 4789,
            learning: true,
            ttl: 0,
            tos: 0,
            dont_fragment: VxlanDf::Unset,
            checksum: true,
            fdb: Vec::new(),
        }
    }
}

impl DeviceConfig {
    /// One end of a veth pair with an MTU of 1500, without addresses.
    pub fn veth(name: &str, ifindex: Ifindex, mac: Mac) -> Self {
        Self {
            name: name.to_owned(),
            ifindex,
            mac,
            mtu: 1500,
            kind: DeviceKind::Veth,
            addresses: Vec::new(),
            settings: DeviceSettings::default(),
        }
    }
}

impl RouteConfig {
    /// A route of the main table out of a device.
    pub fn new(to: Prefix, device: &str) -> Self {
        Self {
            device: Some(device.to_owned()),
            ..Self::nowhere(to, RouteKind::Unicast)
        }
    }

    /// A route of the main table that leads nowhere.
    pub fn nowhere(to: Prefix, kind: RouteKind) -> Self {
        Self {
            to,
            kind,
            table: TABLE_MAIN,
            device: None,
            gateway: None,
            mtu: None,
            mtu_locked: false,
            metric: None,
            source: None,
        }
    }
}
