//! Routes and rules (`net/ipv4/fib_frontend.c`, `net/ipv6/route.c`, `net/core/fib_rules.c`).

use std::net::IpAddr;

use super::Prefix;
use crate::net::DeviceId;

/// `RT_TABLE_DEFAULT`
pub const TABLE_DEFAULT: u32 = 253;
/// `RT_TABLE_MAIN`
pub const TABLE_MAIN: u32 = 254;
/// `RT_TABLE_LOCAL`: the node's own addresses.
pub const TABLE_LOCAL: u32 = 255;

/// What a route does with a packet (`RTN_*`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum RouteKind {
    /// On to another host.
    #[default]
    Unicast,
    /// To this host.
    Local,
    /// To this host, as one of several that have the address (IPv6).
    Anycast,
    /// To all hosts of a network (IPv4).
    Broadcast,
    /// To a group.
    Multicast,
    /// Dropped in silence.
    Blackhole,
    /// Answered with "host unreachable".
    Unreachable,
    /// Answered with "prohibited".
    Prohibit,
    /// The table has no answer: the next rule decides.
    Throw,
}

impl RouteKind {
    /// Whether a route of this kind leads nowhere, so that it has no device.
    pub const fn leads_nowhere(self) -> bool {
        matches!(
            self,
            Self::Blackhole | Self::Unreachable | Self::Prohibit | Self::Throw
        )
    }
}

/// A route of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Route {
    /// The network's address.
    pub network: IpAddr,
    /// Bits of the address that count.
    pub prefix: u8,
    /// The table: 254 is the main one, 255 that of the node's own addresses.
    pub table: u32,
    /// What becomes of the packet.
    pub kind: RouteKind,
    /// The device that leads there. One that leads nowhere has the loopback device here.
    pub device: DeviceId,
    /// The host behind the device that passes it on; none when the destination is a neighbour.
    pub gateway: Option<IpAddr>,
    /// The largest packet of this route in bytes, if it is not the device's (`RTAX_MTU`).
    pub mtu: Option<u32>,
    /// Whether path MTU discovery leaves `mtu` alone (`mtu lock`), and `bpf_fib_lookup` looks at it.
    pub mtu_locked: bool,
    /// Of two routes to the same network the one with the lower number is taken.
    pub metric: u32,
    /// The address that packets of this host leave with.
    pub source: Option<IpAddr>,
}

/// A packet that looks for its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RouteQuery {
    /// Where it goes.
    pub destination: IpAddr,
    /// Where it comes from.
    pub source: IpAddr,
    /// The device that it must leave by, if that is decided.
    pub output: Option<DeviceId>,
    /// Whether IPv6 routes by other devices do not count (`RT6_LOOKUP_F_IFACE`); otherwise that device
    /// is only preferred. Of IPv4 routes they never do.
    pub strict: bool,
    /// The device that it came in by; none for one of this host.
    pub input: Option<DeviceId>,
    /// `skb->mark`, which rules can look at.
    pub mark: u32,
    /// The table to look in; none for what the rules say.
    pub table: Option<u32>,
}

/// What a rule does with a packet that it fits (`FR_ACT_*`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RuleAction {
    /// Looks into a table; without an answer there, the next rule is asked.
    Table(u32),
    /// Drops it in silence.
    Blackhole,
    /// Answers with "network unreachable".
    Unreachable,
    /// Answers with "prohibited".
    Prohibit,
}

/// Which table packets look for their way in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// Rules are asked by ascending number, those with the same in the order of addition. The
    /// kernel's own are 0 (the local table), 32766 (main) and 32767 (default).
    pub priority: u32,
    /// Whether it is one for IPv6.
    pub ipv6: bool,
    /// Where the packet comes from.
    pub from: Option<Prefix>,
    /// Where it goes.
    pub to: Option<Prefix>,
    /// The device that it came in by; the loopback device for one of this host.
    pub input: Option<DeviceId>,
    /// The mark, and which of its bits count.
    pub mark: Option<(u32, u32)>,
    /// What becomes of it.
    pub action: RuleAction,
}

impl Route {
    /// A route of the main table to a network behind a device, without a gateway.
    pub fn new(network: IpAddr, prefix: u8, device: DeviceId) -> Self {
        Self {
            network,
            prefix,
            table: TABLE_MAIN,
            kind: RouteKind::Unicast,
            device,
            gateway: None,
            mtu: None,
            mtu_locked: false,
            metric: 0,
            source: None,
        }
    }

    /// Whether an address is in the route's network.
    pub fn contains(&self, address: IpAddr) -> bool {
        Prefix::new(self.network, self.prefix).is_some_and(|prefix| prefix.contains(address))
    }
}

impl Rule {
    /// Whether the rule speaks of a packet (`fib_rule_match`). `loopback` is the node's loopback
    /// device, which packets of the node itself come from.
    pub(super) fn fits(&self, query: &RouteQuery, loopback: DeviceId) -> bool {
        let within = |prefix: Option<Prefix>, address| prefix.is_none_or(|p| p.contains(address));
        let input = query.input.unwrap_or(loopback);
        let marked = self
            .mark
            .is_none_or(|(mark, mask)| query.mark & mask == mark & mask);
        self.ipv6 == query.destination.is_ipv6()
            && within(self.from, query.source)
            && within(self.to, query.destination)
            && self.input.is_none_or(|device| device == input)
            && marked
    }
}
