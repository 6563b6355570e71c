//! Networks of addresses.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// An address and how many of its bits count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Prefix {
    address: IpAddr,
    len: u8,
}

impl Prefix {
    /// The network that an address is in; none when there are not so many bits.
    pub fn new(address: IpAddr, len: u8) -> Option<Self> {
        let address = mask(address, len)?;
        Some(Self { address, len })
    }

    /// The network's address: the bits that do not count are zero.
    pub const fn address(&self) -> IpAddr {
        self.address
    }

    /// How many bits count.
    #[allow(clippy::len_without_is_empty)] // A length of zero is a network too.
    pub const fn len(&self) -> u8 {
        self.len
    }

    /// Whether an address is in the network.
    pub fn contains(&self, address: IpAddr) -> bool {
        self.address.is_ipv6() == address.is_ipv6() && mask(address, self.len) == Some(self.address)
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}/{}", self.address, self.len))
    }
}

fn mask(address: IpAddr, len: u8) -> Option<IpAddr> {
    let len = u32::from(len);
    match address {
        IpAddr::V4(address) => {
            let rest = 32u32.checked_sub(len)?;
            let mask = u32::MAX.checked_shl(rest).unwrap_or(0);
            Some(Ipv4Addr::from_bits(address.to_bits() & mask).into())
        }
        IpAddr::V6(address) => {
            let rest = 128u32.checked_sub(len)?;
            let mask = u128::MAX.checked_shl(rest).unwrap_or(0);
            Some(Ipv6Addr::from_bits(address.to_bits() & mask).into())
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
        for (network, len, address, expected) in cases {
            let prefix = Prefix::new(network.parse().unwrap(), len).unwrap();
            let found = prefix.contains(address.parse().unwrap());
            assert_eq!(found, expected, "{address} in {prefix}");
        }
        assert_eq!(Prefix::new("1.2.3.4".parse().unwrap(), 33), None);
    }
}
