//! Incremental Internet checksums (RFC 1624). One's complement sums do not depend on the byte order,
//! so words are added as they are loaded.

use twinpath_abi::Address;

/// What a rewrite adds to a sum: each old word complemented, and each new one.
#[derive(Clone, Copy, Default)]
pub struct Difference(u64);

impl Difference {
    /// Accounts for a 16-bit word that changes.
    #[inline(always)]
    pub fn word(self, from: u16, to: u16) -> Self {
        Self(self.0 + u64::from(!from) + u64::from(to))
    }

    /// Accounts for an address that changes. The unused words of IPv4 cancel out.
    #[inline(always)]
    pub fn address(self, from: Address, to: Address) -> Self {
        let [f0, f1, f2, f3] = from.words();
        let [t0, t1, t2, t3] = to.words();
        let removed = u64::from(!f0) + u64::from(!f1) + u64::from(!f2) + u64::from(!f3);
        let added = u64::from(t0) + u64::from(t1) + u64::from(t2) + u64::from(t3);
        Self(self.0 + removed + added)
    }

    /// The checksum after the rewrite.
    #[inline(always)]
    pub fn apply(self, check: u16) -> u16 {
        !fold(self.0 + u64::from(!check))
    }

    /// A UDP checksum after the rewrite. 0 means that there is none, and stays; a sum that comes out
    /// as 0 is sent as its other form (RFC 768).
    #[inline(always)]
    pub fn apply_udp(self, check: u16) -> u16 {
        if check == 0 {
            return 0;
        }
        match self.apply(check) {
            0 => 0xffff,
            check => check,
        }
    }
}

#[inline(always)]
fn fold(sum: u64) -> u16 {
    let sum = (sum & 0xffff_ffff) + (sum >> 32);
    let sum = (sum & 0xffff) + (sum >> 16);
    let sum = (sum & 0xffff) + (sum >> 16);
    let sum = (sum & 0xffff) + (sum >> 16);
    sum as u16
}
