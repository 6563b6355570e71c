//! Checksums: right, or wrong on purpose.

use std::net::{Ipv4Addr, Ipv6Addr};

use etherparse::IpNumber;
use etherparse::checksum::Sum16BitWords;

/// What to write where a checksum belongs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Checksum {
    /// The right one.
    #[default]
    Right,
    /// One that is surely wrong, and is not 0.
    Wrong,
    /// This one. In UDP over IPv4, 0 says that there is none.
    Is(u16),
}

impl Checksum {
    /// What to write when `right` is right.
    fn choose(self, right: u16) -> u16 {
        // In one's complement 0 and 0xffff are equal, so neither may become the other.
        match self {
            Self::Right => right,
            Self::Wrong if right == 0x00ff => 0xff00,
            Self::Wrong => right ^ 0x00ff,
            Self::Is(other) => other,
        }
    }

    /// Writes the checksum of `bytes`, added to `sum`, at offset `at` of `bytes`.
    pub(super) fn seal(self, bytes: &mut [u8], at: usize, sum: Sum16BitWords) {
        bytes[at..at + 2].fill(0);
        let right = sum.add_slice(bytes).ones_complement().to_be();
        bytes[at..at + 2].copy_from_slice(&self.choose(right).to_be_bytes());
    }

    /// The same for UDP, where a checksum that comes out as 0 is written as 0xffff.
    pub(super) fn seal_udp(self, bytes: &mut [u8], at: usize, sum: Sum16BitWords) {
        bytes[at..at + 2].fill(0);
        let right = sum.add_slice(bytes).to_ones_complement_with_no_zero();
        bytes[at..at + 2].copy_from_slice(&self.choose(right.to_be()).to_be_bytes());
    }
}

/// The two addresses that a pseudo header holds.
#[derive(Clone, Copy, Debug)]
pub(super) enum Ends {
    V4(Ipv4Addr, Ipv4Addr),
    V6(Ipv6Addr, Ipv6Addr),
}

impl Ends {
    /// The sum over the pseudo header (RFC 9293, 3.1; RFC 8200, 8.1).
    pub fn pseudo_header(self, protocol: IpNumber, len: usize) -> Sum16BitWords {
        let len = (len as u32).to_be_bytes();
        let sum = match self {
            Self::V4(source, destination) => Sum16BitWords::new()
                .add_4bytes(source.octets())
                .add_4bytes(destination.octets()),
            Self::V6(source, destination) => Sum16BitWords::new()
                .add_16bytes(source.octets())
                .add_16bytes(destination.octets()),
        };
        let mut sum = sum.add_2bytes([0, protocol.0]);
        sum.add_4bytes(len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_checksum_is_wrong() {
        for right in 0..=u16::MAX {
            let wrong = Checksum::Wrong.choose(right);
            let canonical = |sum: u16| if sum == 0xffff { 0 } else { sum };
            assert_ne!(canonical(wrong), canonical(right), "{right:#x}");
            assert_ne!(wrong, 0, "{right:#x}");
        }
    }
}
