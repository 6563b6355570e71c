//! Routes (`net/ipv4/fib_frontend.c`, `net/ipv6/route.c`).

use std::net::IpAddr;

use crate::net::DeviceId;

/// What a route does with a packet (`RTN_*`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum RouteKind {
    /// On to another host.
    #[default]
    Unicast,
    /// To this host.
    Local,
    /// To all hosts of a network.
    Broadcast,
    /// Dropped in silence.
    Blackhole,
    /// Answered with "host unreachable".
    Unreachable,
    /// Answered with "prohibited".
    Prohibit,
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
    /// The device that leads there.
    pub device: DeviceId,
    /// The host behind the device that passes it on; none when the destination is a neighbour.
    pub gateway: Option<IpAddr>,
    /// The largest packet of this route (`mtu lock`), if it is not the device's. One that is not locked
    /// does not count when packets are forwarded.
    pub mtu: Option<u32>,
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
    /// The device that it came in by; none for one of this host.
    pub input: Option<DeviceId>,
    /// `skb->mark`, which rules can look at.
    pub mark: u32,
    /// The table to look in; none for what the rules say.
    pub table: Option<u32>,
}

impl Route {
    /// A route of the main table to a network behind a device, without a gateway.
    pub fn new(network: IpAddr, prefix: u8, device: DeviceId) -> Self {
        Self {
            network,
            prefix,
            table: 254,
            kind: RouteKind::Unicast,
            device,
            gateway: None,
            mtu: None,
            metric: 0,
            source: None,
        }
    }

    /// Whether an address is in the route's network.
    pub fn contains(&self, address: IpAddr) -> bool {
        let same = |network: &[u8], address: &[u8]| {
            let whole = usize::from(self.prefix / 8);
            let rest = self.prefix % 8;
            let mask = !(0xffu16 >> rest) as u8;
            network[..whole] == address[..whole]
                && (rest == 0 || (network[whole] ^ address[whole]) & mask == 0)
        };
        match (self.network, address) {
            (IpAddr::V4(network), IpAddr::V4(address)) if self.prefix <= 32 => {
                same(&network.octets(), &address.octets())
            }
            (IpAddr::V6(network), IpAddr::V6(address)) if self.prefix <= 128 => {
                same(&network.octets(), &address.octets())
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_contains_what_shares_its_prefix() {
        let cases = [
            ("10.1.0.0", 16, "10.1.255.3", true),
            ("10.1.0.0", 16, "10.2.0.1", false),
            ("10.1.128.0", 17, "10.1.127.1", false),
            ("10.1.128.0", 17, "10.1.129.1", true),
            ("0.0.0.0", 0, "1.2.3.4", true),
            ("1.2.3.4", 32, "1.2.3.4", true),
            ("1.2.3.4", 32, "1.2.3.5", false),
            ("fd00::", 8, "fd12::1", true),
            ("::", 0, "fd12::1", true),
            ("::", 0, "1.2.3.4", false),
            ("fd00::1", 128, "fd00::2", false),
        ];
        for (network, prefix, address, expected) in cases {
            let route = Route::new(network.parse().unwrap(), prefix, DeviceId(0));
            let found = route.contains(address.parse().unwrap());
            assert_eq!(found, expected, "{address} in {network}/{prefix}");
        }
    }
}
