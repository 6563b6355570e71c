//! Verifying checksums.

use etherparse::checksum::Sum16BitWords;

use super::field::{ChecksumState, Unverified};

/// What a transport checksum covers besides its own bytes, and whether all of it is here.
#[derive(Clone)]
pub(super) struct Covered {
    /// The sum over both addresses.
    pub addresses: Sum16BitWords,
    /// Why the checksum cannot be verified, if so.
    pub unverified: Option<Unverified>,
}

impl Covered {
    /// The state of the checksum at offset `at` of `bytes`, of the transport protocol `protocol`.
    pub fn verify(&self, protocol: u8, bytes: &[u8], at: usize) -> ChecksumState {
        if let Some(reason) = self.unverified {
            return ChecksumState::Unverified(reason);
        }
        let mut sum = self.addresses.clone().add_2bytes([0, protocol]);
        let sum = sum.add_4bytes((bytes.len() as u32).to_be_bytes());
        verify(sum, bytes, at)
    }

    /// The same for a checksum that covers no addresses: ICMP.
    pub fn verify_alone(&self, bytes: &[u8], at: usize) -> ChecksumState {
        match self.unverified {
            Some(reason) => ChecksumState::Unverified(reason),
            None => verify(Sum16BitWords::new(), bytes, at),
        }
    }
}

/// The state of the checksum at the even offset `at` of `bytes`, over them and `sum`.
pub(super) fn verify(sum: Sum16BitWords, bytes: &[u8], at: usize) -> ChecksumState {
    let expected = sum
        .add_slice(&bytes[..at])
        .add_slice(&bytes[at + 2..])
        .ones_complement()
        .to_be();
    let found = u16::from_be_bytes([bytes[at], bytes[at + 1]]);
    // In one's complement, 0 and 0xffff are the same number.
    let canonical = |sum: u16| if sum == 0xffff { 0 } else { sum };
    match canonical(found) == canonical(expected) {
        true => ChecksumState::Right,
        false => ChecksumState::Wrong { expected },
    }
}
