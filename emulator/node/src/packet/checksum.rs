//! The Internet checksum as the kernel computes with it (`net/checksum.h`, `lib/checksum.c`).
//!
//! A *sum* is 32 bits wide and stands for any number that is equal to it modulo 0xffff. Which of
//! those numbers it is shows in places, so each function yields the kernel's. Bytes are summed as
//! little-endian words, as on the hosts that the kernel runs on here.

/// A 32-bit partial sum (`__wsum`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Sum(pub(crate) u32);

impl Sum {
    /// `csum_partial`: the sum of bytes and a seed.
    pub(crate) fn of(bytes: &[u8], seed: Self) -> Self {
        let mut sum = u64::from(seed.0);
        let mut words = bytes.chunks_exact(4);
        for word in &mut words {
            sum += u64::from(u32::from_le_bytes([word[0], word[1], word[2], word[3]]));
        }
        let mut last = [0; 4];
        last[..words.remainder().len()].copy_from_slice(words.remainder());
        sum += u64::from(u32::from_le_bytes(last));
        sum = (sum & 0xffff_ffff) + (sum >> 32);
        sum = (sum & 0xffff_ffff) + (sum >> 32);
        Self(sum as u32)
    }

    /// `csum_add`.
    pub(crate) fn add(self, other: Self) -> Self {
        let (sum, carry) = self.0.overflowing_add(other.0);
        Self(sum + u32::from(carry))
    }

    /// `csum_sub`.
    pub(crate) fn sub(self, other: Self) -> Self {
        self.add(!other)
    }

    /// `wsum_negate`.
    pub(crate) const fn negate(self) -> Self {
        Self(self.0.wrapping_neg())
    }

    /// `csum_fold`: the 16 bits that go into a packet, complemented.
    pub(crate) fn fold(self) -> u16 {
        !self.to_16()
    }

    /// `csum_from32to16`: the 16 bits without the complement.
    pub(crate) fn to_16(self) -> u16 {
        let half = |sum: u32| (sum & 0xffff) + (sum >> 16);
        half(half(self.0)) as u16
    }

    /// `csum_unfold`.
    pub(crate) const fn unfold(folded: u16) -> Self {
        Self(folded as u32)
    }

    /// `csum_shift`: the sum of the same bytes at an odd offset.
    pub(crate) const fn at(self, offset: u32) -> Self {
        if offset.is_multiple_of(2) {
            self
        } else {
            Self(self.0.rotate_right(8))
        }
    }
}

impl std::ops::Not for Sum {
    type Output = Self;

    fn not(self) -> Self {
        Self(!self.0)
    }
}

/// `csum16_add`.
pub(crate) fn add_16(a: u16, b: u16) -> u16 {
    let (sum, carry) = a.overflowing_add(b);
    sum + u16::from(carry)
}

/// `csum_replace2`: a checksum after a 16-bit field has changed.
pub(crate) fn replace_2(check: u16, from: u16, to: u16) -> u16 {
    !add_16(add_16(!check, !from), to)
}

/// `csum_replace4`: a checksum after a 32-bit field has changed.
pub(crate) fn replace_4(check: u16, from: u32, to: u32) -> u16 {
    (!Sum::unfold(check)).sub(Sum(from)).add(Sum(to)).fold()
}

/// `csum_replace_by_diff`: a checksum after fields have changed whose difference is a sum.
pub(crate) fn replace_by_difference(check: u16, difference: Sum) -> u16 {
    difference.add(!Sum::unfold(check)).fold()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ipv4_header_sums_to_its_checksum() {
        // The example of RFC 1071's usual illustration: 4500 0073 0000 4000 4011 ---- c0a8 0001 c0a8 00c7.
        let header = [
            0x45, 0, 0, 0x73, 0, 0, 0x40, 0, 0x40, 0x11, 0, 0, 0xc0, 0xa8, 0, 1, 0xc0, 0xa8, 0,
            0xc7,
        ];
        assert_eq!(Sum::of(&header, Sum(0)).fold().to_le_bytes(), [0xb8, 0x61]);
    }

    #[test]
    fn only_nothing_sums_to_zero() {
        assert_eq!(Sum::of(&[0; 7], Sum(0)), Sum(0));
        assert_eq!(Sum::of(&[0xff; 8], Sum(0)), Sum(0xffff_ffff));
    }

    #[test]
    fn replacing_a_field_gives_the_sum_of_the_new_bytes() {
        let before = [1, 2, 3, 4, 5, 6, 7, 8];
        let after = [1, 2, 9, 10, 5, 6, 7, 8];
        let check = Sum::of(&before, Sum(0)).fold();
        let expected = Sum::of(&after, Sum(0)).fold();
        assert_eq!(replace_2(check, 0x0403, 0x0a09), expected);
        assert_eq!(replace_4(check, 0x0403_0201, 0x0a09_0201), expected);
        let difference = Sum::of(&after, Sum(0)).sub(Sum::of(&before, Sum(0)));
        assert_eq!(replace_by_difference(check, difference), expected);
    }
}
