//! Devices and what is attached to them.

use twinpath_machine::ProgramId;

use super::Bridge;
use crate::config::DeviceSettings;
use crate::packet::LinkAddresses;
use crate::stack::{Ipip, Vxlan};
use crate::types::{Ifindex, Mac};

/// A network namespace of a [`World`](crate::World), by order of creation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub u32);

/// A device of a [`World`](crate::World), by order of creation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeviceId(pub u32);

/// How to make a device.
#[derive(Debug, Clone)]
pub struct DeviceOptions {
    /// Unique on its node; at most 15 bytes.
    pub name: String,
    /// Unique on its node. 1 is the loopback device's.
    pub ifindex: Ifindex,
    /// Hardware address.
    pub mac: Mac,
    /// Largest packet without the Ethernet header, in bytes.
    pub mtu: u32,
}

/// A place where a packet meets programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HookKind {
    /// XDP in the driver.
    Xdp,
    /// XDP in the generic receive path, on an skb.
    XdpGeneric,
    /// The program of a devmap's entry, on the way out.
    XdpDevmap,
    /// A TCX program for what the device receives.
    TcxIngress,
    /// A clsact filter, direct-action, for what the device receives.
    TcIngress,
    /// A TCX program for what the device sends.
    TcxEgress,
    /// A clsact filter, direct-action, for what the device sends.
    TcEgress,
}

/// The way of a packet through a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    Ingress,
    Egress,
}

/// The programs for one direction, in the order in which a packet meets them.
#[derive(Debug, Default)]
pub(crate) struct Filters {
    pub(crate) tcx: Vec<ProgramId>,
    /// By ascending priority.
    pub(crate) clsact: Vec<(u16, ProgramId)>,
}

impl Filters {
    pub(crate) fn is_empty(&self) -> bool {
        self.tcx.is_empty() && self.clsact.is_empty()
    }
}

/// Where what a device sends goes.
#[derive(Debug)]
pub(crate) enum Medium {
    /// To the other end of its wire, or out of the world.
    Wire,
    /// Nowhere.
    Nothing,
    /// Through a tunnel.
    Vxlan(Box<Vxlan>),
    /// By its ports.
    Bridge(Box<Bridge>),
    /// Through a tunnel without Ethernet headers.
    Ipip(Box<Ipip>),
}

/// A device.
#[derive(Debug)]
pub struct Device {
    pub(crate) name: String,
    pub(crate) node: NodeId,
    pub(crate) ifindex: Ifindex,
    pub(crate) mac: Mac,
    pub(crate) mtu: u32,
    pub(crate) up: bool,
    pub(crate) loopback: bool,
    /// Whether the driver is given packets with their checksums filled in.
    pub(crate) plain: bool,
    pub(crate) peer: Option<DeviceId>,
    /// The bridge of which it is a port.
    pub(crate) bridge: Option<DeviceId>,
    pub(crate) xdp: Option<ProgramId>,
    pub(crate) xdp_generic: Option<ProgramId>,
    pub(crate) ingress: Filters,
    pub(crate) egress: Filters,
    pub(crate) settings: DeviceSettings,
    pub(crate) medium: Medium,
}

impl Device {
    pub(crate) fn new(node: NodeId, options: DeviceOptions) -> Self {
        Self {
            name: options.name,
            node,
            ifindex: options.ifindex,
            mac: options.mac,
            mtu: options.mtu,
            up: true,
            loopback: false,
            plain: false,
            peer: None,
            bridge: None,
            xdp: None,
            xdp_generic: None,
            ingress: Filters::default(),
            egress: Filters::default(),
            settings: DeviceSettings::default(),
            medium: Medium::Wire,
        }
    }

    /// The node's loopback device.
    pub(crate) fn loopback(node: NodeId) -> Self {
        let options = DeviceOptions {
            name: "lo".to_owned(),
            ifindex: Ifindex::LOOPBACK,
            mac: Mac([0; 6]),
            mtu: 65536,
        };
        Self {
            loopback: true,
            ..Self::new(node, options)
        }
    }

    /// The name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The namespace that it stands in.
    pub fn node(&self) -> NodeId {
        self.node
    }

    /// The interface index.
    pub fn ifindex(&self) -> Ifindex {
        self.ifindex
    }

    /// The hardware address.
    pub fn mac(&self) -> Mac {
        self.mac
    }

    /// The largest packet without the Ethernet header, in bytes.
    pub fn mtu(&self) -> u32 {
        self.mtu
    }

    /// `dev_is_mac_header_xmit`: whether what it sends begins with an Ethernet header, not with that of IP.
    pub fn has_link_header(&self) -> bool {
        !matches!(self.medium, Medium::Ipip(_))
    }

    /// The longest frame that it takes: a VLAN tag comes on top of the MTU (`is_skb_forwardable`).
    pub(crate) fn longest_frame(&self) -> u32 {
        self.mtu + crate::packet::ETH_HLEN + crate::packet::VLAN_HLEN
    }

    pub(crate) fn link(&self) -> LinkAddresses {
        let broadcast = if self.loopback { 0 } else { 0xff };
        LinkAddresses {
            own: self.mac,
            broadcast: Mac([broadcast; 6]),
        }
    }

    pub(crate) fn filters(&self, direction: Direction) -> &Filters {
        match direction {
            Direction::Ingress => &self.ingress,
            Direction::Egress => &self.egress,
        }
    }
}

impl HookKind {
    /// The name in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Xdp => "xdp",
            Self::XdpGeneric => "xdp-generic",
            Self::XdpDevmap => "xdp-devmap",
            Self::TcxIngress => "tcx-ingress",
            Self::TcIngress => "tc-ingress",
            Self::TcxEgress => "tcx-egress",
            Self::TcEgress => "tc-egress",
        }
    }
}

impl std::fmt::Display for HookKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.name())
    }
}
