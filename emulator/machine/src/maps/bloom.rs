//! Bloom filters (`kernel/bpf/bloom_filter.c`).

use super::MapDef;
use super::table::jenkins;
use crate::errno::Errno;

/// A set that may say of a value that was never added that it was.
///
/// Size, hash and number of hashes are the kernel's, its seed is zero: the same values are mistaken for
/// members as in a kernel's filter with `BPF_F_ZERO_SEED`.
#[derive(Debug)]
pub(super) struct Bloom {
    bits: Vec<u64>,
    mask: u32,
    hashes: u32,
}

/// Hash functions when `map_extra` gives no number.
const DEFAULT_HASHES: u32 = 5;

impl Bloom {
    pub(super) fn new(def: &MapDef) -> Self {
        let hashes = match def.extra as u32 {
            0 => DEFAULT_HASHES,
            hashes => hashes,
        };
        let mask = mask(def.max_entries, hashes);
        Self {
            bits: vec![0; (u64::from(mask) + 1).div_ceil(64) as usize],
            mask,
            hashes,
        }
    }

    pub(super) fn push(&mut self, value: &[u8], flags: u64) -> Result<(), Errno> {
        if flags != 0 {
            return Err(Errno::EINVAL);
        }
        for seed in 0..self.hashes {
            let bit = jenkins(value, seed) & self.mask;
            self.bits[bit as usize / 64] |= 1 << (bit % 64);
        }
        Ok(())
    }

    pub(super) fn contains(&self, value: &[u8]) -> Result<(), Errno> {
        let set = |seed| {
            let bit = jenkins(value, seed) & self.mask;
            self.bits[bit as usize / 64] >> (bit % 64) & 1 != 0
        };
        if (0..self.hashes).all(set) {
            Ok(())
        } else {
            Err(Errno::ENOENT)
        }
    }
}

/// The number of bits less one: `entries * hashes / ln 2`, about, rounded up to a power of two.
fn mask(entries: u32, hashes: u32) -> u32 {
    let wanted = entries
        .checked_mul(hashes)
        .and_then(|bits| (bits / 5).checked_mul(7));
    match wanted {
        Some(bits) if bits <= 1 << 31 => bits.max(64).next_power_of_two() - 1,
        _ => u32::MAX,
    }
}
