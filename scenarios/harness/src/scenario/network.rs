//! The part of the format that says what there is: nodes, their devices, the wires between them, and the ways that
//! packets take. [`super::build`] resolves the names.

use std::net::{IpAddr, Ipv4Addr};

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, de};
use twinpath_node::Mac;

use super::expect::OneOrMore;
use super::format::Network;
use super::literal;
use super::source::Located;

/// The common case: alike nodes with pods, whose names, addresses and indexes follow from a rule.
///
/// The nodes are `a`, `b`, ..., the pods `a1`, `a2`, ..., `b1`, ... In what follows K is the number of the node and I that of
/// the pod on it, both from 1, and `a` and `a1` stand for their names.
///
/// | what | name | index | hardware address | addresses |
/// |---|---|---|---|---|
/// | uplink | `eth0` | K01 | 02:00:00:00:0K:01 | 192.168.0.K/24, fd00:c0::K/64 |
/// | tunnel | `vxlan0` | K02 | 02:00:00:00:0K:02 | 10.200.0.K/24, fd00:c8::K/64, unless `external-vxlan` |
/// | host, with `host = true` | `host0`, its other end `net0` | K03, K04 | 02:00:00:00:0K:03, ...:04 | 10.0.K.254/32, fd00:a::K:fe/128 |
/// | pod, on the node | `lxc-a1` | K1I | 02:00:00:00:0K:1I | fe80::1/64 |
/// | pod, its own end | `a1` | | 0a:00:00:00:0K:0I | 10.0.K.I, fd00:a::K:I |
///
/// Where there are manifests, the nodes are those of the manifests, with their names and addresses; their pods come
/// behind those that are counted here, by the same rule, with the names and addresses that the manifests have for them.
///
/// The uplinks of two nodes are joined by a wire, those of more by a switch. That of a single node is its way into the world, by the gateway
/// 192.168.0.254, fd00:c0::fe, 02:00:00:00:00:fe. Nodes forward, and know the way to each of their pods and, unless the
/// tunnel is external, to those of the other nodes.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Topology {
    /// How many nodes.
    #[schemars(range(min = 1, max = 9))]
    pub nodes: Located<u8>,
    /// How many pods on each of them, besides those of manifests.
    #[schemars(range(min = 0, max = 9))]
    pub pods: Option<Located<u8>>,
    /// How packets get from one node's pods to the other's.
    #[serde(default)]
    pub overlay: Overlay,
    /// Whether nodes have a device pair for what the host itself sends and receives.
    #[serde(default)]
    pub host: bool,
    /// Programs, the same on each node.
    #[serde(default)]
    pub programs: RolePrograms,
}

/// How packets get from one node's pods to the other's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Overlay {
    /// By routes over the uplinks.
    #[default]
    None,
    /// By routes over VXLAN devices that lead to each other, with the network identifier 1. Of more than two nodes each
    /// knows at which of the others a hardware address is, and sends to no other.
    Vxlan,
    /// As programs say: VXLAN devices in external mode (`collect_md`), and no routes.
    ExternalVxlan,
}

/// Programs by the role of the device that they are on.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct RolePrograms {
    /// On `eth0`.
    pub uplink: Option<Hooks>,
    /// On `vxlan0`.
    pub overlay: Option<Hooks>,
    /// On `host0`.
    pub host: Option<Hooks>,
    /// On `net0`.
    pub net: Option<Hooks>,
    /// On the device of each pod.
    pub pod: Option<Hooks>,
    /// On `lo`.
    pub loopback: Option<Hooks>,
    /// At the hooks of sockets that their sections name.
    pub sockets: Option<Located<OneOrMore>>,
}

impl Topology {
    /// How many pods there are on each node, besides those of manifests.
    pub(super) fn pod_count(&self) -> u8 {
        self.pods.as_ref().map_or(0, |pods| *pods.value())
    }
}

/// The programs of a device. Several at one hook make a list, in their order.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Hooks {
    /// The program at XDP in the driver.
    pub xdp: Option<Located<String>>,
    /// The program at XDP in the generic receive path.
    pub xdp_generic: Option<Located<String>>,
    /// Programs of TCX on what the device receives, before those of clsact.
    pub tcx_ingress: Option<Located<OneOrMore>>,
    /// Filters of clsact on what the device receives, in the order of their priorities.
    pub tc_ingress: Option<Located<OneOrMore>>,
    /// Programs of TCX on what the device sends, before those of clsact.
    pub tcx_egress: Option<Located<OneOrMore>>,
    /// Filters of clsact on what the device sends, in the order of their priorities.
    pub tc_egress: Option<Located<OneOrMore>>,
}

/// A node: a network stack of its own, with the devices that follow.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct NodeEntry {
    /// Unique in the scenario.
    pub name: Located<String>,
    /// Whether it passes packets on from one device to another.
    #[serde(default = "yes")]
    pub forwarding: bool,
    /// The time to live of packets of its own.
    #[serde(default = "default_ttl")]
    #[schemars(range(min = 1, max = 255))]
    pub ttl: u8,
    /// Programs at the hooks of sockets that their sections name, in their order: those of cgroups at the cgroup of the
    /// node's tasks, those of `sk_lookup` at the node.
    pub socket_programs: Option<Located<OneOrMore>>,
    /// Its devices, in the order of their interface indexes. One with the name `lo` is the loopback device, and has
    /// programs only.
    #[serde(default, rename = "device")]
    pub devices: Vec<DeviceEntry>,
    /// Routes besides those that addresses bring with them.
    #[serde(default, rename = "route")]
    pub routes: Vec<Located<RouteEntry>>,
    /// Rules besides the kernel's own.
    #[serde(default, rename = "rule")]
    pub rules: Vec<Located<RuleEntry>>,
    /// Neighbours whose hardware addresses need not be asked for.
    #[serde(default, rename = "neighbour")]
    pub neighbours: Vec<Located<NeighbourEntry>>,
}

/// A network device, and the programs on it. A program of an object with a certain name is `object:program`; several at
/// one hook make a list, in their order.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct DeviceEntry {
    /// At most 15 bytes, as Linux has it.
    pub name: Located<String>,
    /// Hardware address. If left out, 02:00:00:00:00:NN with NN the interface index.
    #[serde(default, deserialize_with = "some_mac")]
    #[schemars(with = "Option<String>")]
    pub mac: Option<Mac>,
    /// Largest packet without the Ethernet header, in bytes. If left out, 1500, of a bridge that of its narrowest port, and of an IPIP
    /// device 1480.
    #[schemars(range(min = 68, max = 65535))]
    pub mtu: Option<u16>,
    /// Addresses of the node on this device, with their prefix lengths.
    #[serde(default)]
    pub addresses: Vec<Network>,
    /// The interface index. If left out, the one after the device before it; the first device has 10.
    #[schemars(range(min = 2))]
    pub ifindex: Option<Located<u32>>,
    /// Makes it a device that swallows what it sends.
    #[serde(default)]
    pub dummy: bool,
    /// Makes it a bridge whose ports are these devices of the node, which are said before it.
    pub bridge: Option<Located<Vec<Located<String>>>>,
    /// Makes it the device of a tunnel.
    pub vxlan: Option<Located<VxlanEntry>>,
    /// Makes it the device of a tunnel without Ethernet headers: packets on it are recorded below one with the addresses
    /// zero.
    pub ipip: Option<Located<IpipEntry>>,
    /// Whether IPv4 packets that it receives are passed on, if not as the node says.
    pub forwarding: Option<bool>,
    /// Whether the way back to a packet's source is looked at.
    #[serde(default)]
    pub rp_filter: Filter,
    /// Whether packets from this host's own addresses are taken.
    #[serde(default)]
    pub accept_local: bool,
    /// Whether 127.0.0.0/8 may be on the wire.
    #[serde(default)]
    pub route_localnet: bool,
    /// Whether IPv4 hosts are told of better gateways. Those of IPv6 are, by a device with a link-local address.
    #[serde(default)]
    pub send_redirects: bool,
    /// The program at XDP in the driver.
    pub xdp: Option<Located<String>>,
    /// The program at XDP in the generic receive path.
    pub xdp_generic: Option<Located<String>>,
    /// Programs of TCX on what the device receives, before those of clsact.
    pub tcx_ingress: Option<Located<OneOrMore>>,
    /// Filters of clsact on what the device receives, in the order of their priorities.
    pub tc_ingress: Option<Located<OneOrMore>>,
    /// Programs of TCX on what the device sends, before those of clsact.
    pub tcx_egress: Option<Located<OneOrMore>>,
    /// Filters of clsact on what the device sends, in the order of their priorities.
    pub tc_egress: Option<Located<OneOrMore>>,
}

/// Whether the way back to a packet's source is looked at (RFC 3704).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Filter {
    /// No.
    #[default]
    Off,
    /// It must lead through the device that the packet came by.
    Strict,
    /// There must be one.
    Loose,
}

/// A VXLAN device (RFC 7348).
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct VxlanEntry {
    /// The network identifier; none for a device in external mode (`collect_md`), where programs say it.
    #[schemars(range(max = 16777215))]
    pub vni: Option<u32>,
    /// The tunnel's other end; without one, only `stations` are known.
    pub remote: Option<IpAddr>,
    /// The outer source; if left out, that of the route.
    pub local: Option<IpAddr>,
    /// UDP port of the tunnel, in both directions.
    pub port: u16,
    /// Whether senders of what comes through the tunnel are remembered.
    pub learning: bool,
    /// Outer time to live; 0 for the node's.
    pub ttl: u8,
    /// Outer type of service; 1 for the inner one's.
    pub tos: u8,
    /// Whether the outer IPv4 header says "do not fragment".
    pub dont_fragment: DontFragment,
    /// Whether the UDP checksum is computed over IPv4. Over IPv6 it always is.
    pub checksum: bool,
    /// Where hosts are, by hardware address.
    pub stations: Vec<Station>,
}

/// An IPIP device (RFC 2003), IPv4 in IPv4.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct IpipEntry {
    /// The tunnel's other end; none for a device in external mode (`collect_md`), where programs say it.
    pub remote: Option<Ipv4Addr>,
    /// The outer source, and the only destination that is for this tunnel; if left out, that of the route, and any.
    pub local: Option<Ipv4Addr>,
    /// Outer time to live; 0 for the inner one's.
    pub ttl: u8,
    /// Outer type of service; 1 for the inner one's.
    pub tos: u8,
    /// Whether the outer header always says "do not fragment", which it must where it has a time to live of its own. If not,
    /// it does so where the inner one does.
    pub dont_fragment: bool,
}

/// When a tunnel's device sets "do not fragment".
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum DontFragment {
    /// Never.
    #[default]
    Unset,
    /// Always.
    Set,
    /// As the inner IPv4 header does.
    Inherit,
}

/// A host behind a tunnel.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Station {
    /// Its hardware address.
    #[serde(deserialize_with = "literal::mac")]
    #[schemars(with = "String")]
    pub mac: Mac,
    /// The tunnel's end where it is.
    pub end: IpAddr,
}

/// A route: by a device, by a gateway, or to nowhere.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct RouteEntry {
    /// Where it leads: `10.0.2.0/24`.
    pub to: Network,
    /// The host that passes packets on. It must be a neighbour.
    pub via: Option<IpAddr>,
    /// The device.
    pub device: Option<Located<String>>,
    /// What becomes of packets, if they are not sent on.
    #[serde(default)]
    pub kind: RouteType,
    /// The table; 254 is the main one.
    #[serde(default = "main_table")]
    pub table: u32,
    /// Of two routes to the same network the one with the lower number is taken.
    pub metric: Option<u32>,
    /// The largest packet, if it is not the device's.
    pub mtu: Option<u32>,
    /// Whether no message from a router changes that.
    #[serde(default)]
    pub mtu_lock: bool,
    /// The address that packets of this host leave with.
    pub source: Option<IpAddr>,
}

/// What becomes of packets on a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RouteType {
    /// They are sent on.
    #[default]
    Unicast,
    /// They are this host's.
    Local,
    /// They are dropped in silence.
    Blackhole,
    /// The sender is told that the host is unreachable.
    Unreachable,
    /// The sender is told that it is prohibited.
    Prohibit,
    /// The next rule is asked.
    Throw,
}

/// A rule that chooses a table of routes. What is left out fits each packet.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct RuleEntry {
    /// Its place: rules are asked in ascending order. The kernel's own have 0, 32766 and 32767.
    pub priority: u32,
    /// Where packets come from.
    pub from: Option<Network>,
    /// Where packets go.
    pub to: Option<Network>,
    /// The device that they came in by; `lo` for those of the node itself.
    pub input: Option<Located<String>>,
    /// The packet's mark.
    pub mark: Option<u32>,
    /// Which of the mark's bits count; all, if left out.
    pub mask: Option<u32>,
    /// Whether it is one for IPv6, where no address tells.
    #[serde(default)]
    pub ipv6: bool,
    /// The table that is looked into.
    pub table: Option<u32>,
    /// What becomes of the packets, in place of a table: `blackhole`, `unreachable` or `prohibit`.
    pub action: Option<Action>,
}

/// What becomes of packets that a rule fits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// They are dropped in silence.
    Blackhole,
    /// The sender is told that the network is unreachable.
    Unreachable,
    /// The sender is told that it is prohibited.
    Prohibit,
}

/// A neighbour whose hardware address is known.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct NeighbourEntry {
    /// Its address.
    pub address: IpAddr,
    /// Its hardware address.
    #[serde(deserialize_with = "literal::mac")]
    #[schemars(with = "String")]
    pub mac: Mac,
    /// The device that it is reached by.
    pub device: Located<String>,
}

impl Default for IpipEntry {
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

impl Default for VxlanEntry {
    fn default() -> Self {
        Self {
            vni: None,
            remote: None,
            local: None,
            port: 4789,
            learning: true,
            ttl: 0,
            tos: 0,
            dont_fragment: DontFragment::Unset,
            checksum: true,
            stations: Vec::new(),
        }
    }
}

const fn yes() -> bool {
    true
}

const fn default_ttl() -> u8 {
    64
}

const fn main_table() -> u32 {
    twinpath_node::TABLE_MAIN
}

fn some_mac<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Mac>, D::Error> {
    literal::mac(deserializer).map(Some)
}

/// The two ends of a wire, `["a/eth0", "b/eth0"]`, or three and more that a switch joins.
#[derive(Debug, Clone, JsonSchema)]
#[serde(transparent)]
pub struct Wire(pub Vec<Located<String>>);

impl<'de> Deserialize<'de> for Wire {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let ends = Vec::<Located<String>>::deserialize(deserializer)?;
        if ends.len() < 2 {
            return Err(de::Error::custom(
                "not a wire; expected its ends, such as [\"a/eth0\", \"b/eth0\"]",
            ));
        }
        Ok(Self(ends))
    }
}
