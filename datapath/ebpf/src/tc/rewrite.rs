//! Reading and writing the packet by helpers, which keep the stack's checksum of it right.

use aya_ebpf::EbpfContext as _;
use aya_ebpf::bindings::{BPF_F_PSEUDO_HDR, BPF_F_RECOMPUTE_CSUM};
use aya_ebpf::helpers::generated::{
    bpf_csum_diff, bpf_l3_csum_replace, bpf_l4_csum_replace, bpf_skb_load_bytes,
    bpf_skb_store_bytes,
};

use super::Tc;

/// A helper refused to read or write the packet.
pub struct WriteError;

#[inline(always)]
pub(super) fn written(result: i64) -> Result<(), WriteError> {
    if result == 0 { Ok(()) } else { Err(WriteError) }
}

/// What a change adds to a sum.
#[inline(always)]
fn difference<const N: usize>(from: &[u8; N], to: &[u8; N]) -> u64 {
    const { assert!(N.is_multiple_of(4)) };
    let (from, to) = (from.as_ptr().cast_mut(), to.as_ptr().cast_mut());
    // SAFETY: both are valid for reads of N bytes, and the helper only reads.
    unsafe { bpf_csum_diff(from.cast(), N as u32, to.cast(), N as u32, 0) as u64 }
}

impl Tc {
    /// Writes `bytes` at `offset`. The stack's checksum over the packet is kept right.
    #[inline(always)]
    pub fn store<const N: usize>(&self, offset: usize, bytes: &[u8; N]) -> Result<(), WriteError> {
        self.store_flags(offset, bytes, u64::from(BPF_F_RECOMPUTE_CSUM))
    }

    /// Writes `bytes` at `offset` in a header whose own checksum has accounted for them.
    #[inline(always)]
    pub fn store_balanced<const N: usize>(
        &self,
        offset: usize,
        bytes: &[u8; N],
    ) -> Result<(), WriteError> {
        self.store_flags(offset, bytes, 0)
    }

    #[inline(always)]
    fn store_flags<const N: usize>(
        &self,
        offset: usize,
        bytes: &[u8; N],
        flags: u64,
    ) -> Result<(), WriteError> {
        // SAFETY: `bytes` is valid for reads of N bytes; the helper checks the packet's bounds.
        written(unsafe {
            bpf_skb_store_bytes(
                self.0.as_ptr().cast(),
                offset as u32,
                bytes.as_ptr().cast(),
                N as u32,
                flags,
            )
        })
    }

    /// Corrects the header checksum at `offset` for a 16-bit word that changes.
    #[inline(always)]
    pub fn replace_l3_csum(&self, offset: usize, from: u16, to: u16) -> Result<(), WriteError> {
        // SAFETY: the context is valid; the helper checks the packet's bounds.
        written(unsafe {
            bpf_l3_csum_replace(
                self.skb(),
                offset as u32,
                u64::from(from),
                u64::from(to),
                size_of::<u16>() as u64,
            )
        })
    }

    /// Corrects the header checksum at `offset` for bytes that change.
    #[inline(always)]
    pub fn replace_l3_bytes<const N: usize>(
        &self,
        offset: usize,
        from: &[u8; N],
        to: &[u8; N],
    ) -> Result<(), WriteError> {
        let difference = difference(from, to);
        // SAFETY: the context is valid; the helper checks the packet's bounds.
        written(unsafe { bpf_l3_csum_replace(self.skb(), offset as u32, 0, difference, 0) })
    }

    /// Corrects the checksum of a transport header at `offset` for a 16-bit word of its own that changes. The flags
    /// are the helper's.
    #[inline(always)]
    pub fn replace_l4_word(
        &self,
        offset: usize,
        from: u16,
        to: u16,
        flags: u64,
    ) -> Result<(), WriteError> {
        let flags = flags | size_of::<u16>() as u64;
        self.replace_l4(offset, u64::from(from), u64::from(to), flags)
    }

    /// Corrects the checksum of a transport header at `offset` for bytes of what it covers that change.
    #[inline(always)]
    pub fn replace_l4_bytes<const N: usize>(
        &self,
        offset: usize,
        from: &[u8; N],
        to: &[u8; N],
    ) -> Result<(), WriteError> {
        self.replace_l4(offset, 0, difference(from, to), 0)
    }

    /// The same for bytes of the pseudo header, which is not in the packet. The flags are the helper's.
    #[inline(always)]
    pub fn replace_l4_pseudo<const N: usize>(
        &self,
        offset: usize,
        from: &[u8; N],
        to: &[u8; N],
        flags: u64,
    ) -> Result<(), WriteError> {
        let flags = flags | u64::from(BPF_F_PSEUDO_HDR);
        self.replace_l4(offset, 0, difference(from, to), flags)
    }

    #[inline(always)]
    fn replace_l4(&self, offset: usize, from: u64, to: u64, flags: u64) -> Result<(), WriteError> {
        // SAFETY: the context is valid; the helper checks the packet's bounds.
        written(unsafe { bpf_l4_csum_replace(self.skb(), offset as u32, from, to, flags) })
    }

    /// Bytes of the packet.
    #[inline(always)]
    pub fn bytes<const N: usize>(&self, offset: usize) -> Result<[u8; N], WriteError> {
        let mut bytes = [0; N];
        // SAFETY: `bytes` is valid for writes of N bytes; the helper checks the packet's bounds.
        written(unsafe {
            let to = bytes.as_mut_ptr().cast();
            bpf_skb_load_bytes(self.0.as_ptr().cast(), offset as u32, to, N as u32)
        })?;
        Ok(bytes)
    }
}
