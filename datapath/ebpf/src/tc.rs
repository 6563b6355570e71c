//! The context of a tc program, and the helpers that act on it.
#![allow(
    unsafe_code,
    reason = "the context is the kernel's structure and helpers take raw pointers"
)]

use core::ffi::c_void;
use core::mem::MaybeUninit;

use aya_ebpf::EbpfContext;
use aya_ebpf::bindings::{__sk_buff, BPF_F_PSEUDO_HDR, BPF_F_RECOMPUTE_CSUM};
use aya_ebpf::helpers::generated::{
    bpf_csum_diff, bpf_l3_csum_replace, bpf_l4_csum_replace, bpf_redirect, bpf_skb_load_bytes,
    bpf_skb_pull_data, bpf_skb_store_bytes, bpf_tail_call,
};
use aya_ebpf::programs::TcContext;
use twinpath_abi::{Ifindex, Mark, TailCall};

use crate::context::Context;
use crate::maps;
use crate::packet::{Header, Packet, Source};
use crate::wire::{Ethernet, Ipv6};

/// What is directly accessible: the longest headers without options or extensions.
const HEADERS: u32 = (size_of::<Ethernet>() + size_of::<Ipv6>()) as u32;

/// The context of a tc program.
pub struct Tc(TcContext);

/// A helper refused to read or write the packet.
pub struct WriteError;

/// The words that travel with a packet from one program to the next by tail call.
#[derive(Clone, Copy)]
pub enum Cb {
    /// The sender's identity.
    SourceIdentity = 0,
}

#[inline(always)]
fn written(result: i64) -> Result<(), WriteError> {
    if result == 0 { Ok(()) } else { Err(WriteError) }
}

impl Tc {
    #[inline(always)]
    pub fn new(ctx: TcContext) -> Self {
        Self(ctx)
    }

    #[inline(always)]
    fn skb(&self) -> *mut __sk_buff {
        self.0.skb.skb
    }

    /// Whether the frame had a VLAN tag, which the stack took off and keeps beside it.
    #[inline(always)]
    pub fn has_vlan_tag(&self) -> bool {
        // SAFETY: the context is valid while the program runs.
        unsafe { (*self.skb()).vlan_present != 0 }
    }

    /// Marks the packet, for programs at later hooks and for the stack.
    #[inline(always)]
    pub fn set_mark(&self, mark: Mark) {
        // SAFETY: as above; programs at tc may write this field.
        unsafe { (*self.skb()).mark = mark.0 }
    }

    /// A word that the calling program left.
    #[inline(always)]
    pub fn cb(&self, word: Cb) -> u32 {
        // SAFETY: as above.
        unsafe { (*self.skb()).cb[word as usize] }
    }

    /// Leaves a word for the program that is called.
    #[inline(always)]
    pub fn set_cb(&self, word: Cb, value: u32) {
        // SAFETY: as above; programs at tc may write this field.
        unsafe { (*self.skb()).cb[word as usize] = value }
    }

    /// The packet, with its headers (or all, if it is shorter) directly accessible.
    #[inline(always)]
    pub fn pull(&self) -> Packet {
        let len = HEADERS.min(self.len());
        if self.0.data() + len as usize > self.0.data_end() {
            // A failure leaves the packet as it was, and then parsing finds it too short.
            // SAFETY: the context is valid; no pointer into the packet is alive.
            unsafe { bpf_skb_pull_data(self.skb(), len) };
        }
        self.packet()
    }

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

    /// Corrects the checksum of a transport header at `offset` for a 16-bit word of its own that changes.
    #[inline(always)]
    pub fn replace_l4_csum(&self, offset: usize, from: u16, to: u16) -> Result<(), WriteError> {
        // SAFETY: the context is valid; the helper checks the packet's bounds.
        written(unsafe {
            bpf_l4_csum_replace(
                self.skb(),
                offset as u32,
                u64::from(from),
                u64::from(to),
                size_of::<u16>() as u64,
            )
        })
    }

    /// Corrects the checksum of a transport header at `offset` for bytes of what it covers that change.
    #[inline(always)]
    pub fn replace_l4_bytes<const N: usize>(
        &self,
        offset: usize,
        from: &[u8; N],
        to: &[u8; N],
    ) -> Result<(), WriteError> {
        self.replace_l4_difference(offset, from, to, 0)
    }

    /// The same for bytes of the pseudo header, which is not in the packet.
    #[inline(always)]
    pub fn replace_l4_pseudo<const N: usize>(
        &self,
        offset: usize,
        from: &[u8; N],
        to: &[u8; N],
    ) -> Result<(), WriteError> {
        self.replace_l4_difference(offset, from, to, u64::from(BPF_F_PSEUDO_HDR))
    }

    #[inline(always)]
    fn replace_l4_difference<const N: usize>(
        &self,
        offset: usize,
        from: &[u8; N],
        to: &[u8; N],
        flags: u64,
    ) -> Result<(), WriteError> {
        const { assert!(N.is_multiple_of(4)) };
        let (from, to) = (from.as_ptr().cast_mut(), to.as_ptr().cast_mut());
        // SAFETY: both are valid for reads of N bytes, and the helper only reads.
        let difference = unsafe { bpf_csum_diff(from.cast(), N as u32, to.cast(), N as u32, 0) };
        // SAFETY: as in `replace_l4_csum`.
        written(unsafe {
            bpf_l4_csum_replace(self.skb(), offset as u32, 0, difference as u64, flags)
        })
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

    /// Sends the packet out of a device. Returns the program's return code.
    #[inline(always)]
    pub fn redirect(&self, to: Ifindex) -> i32 {
        // SAFETY: the helper takes plain numbers.
        unsafe { bpf_redirect(to.0, 0) as i32 }
    }

    /// Goes on in another program. Returns only if there is none.
    #[inline(always)]
    pub fn tail_call(&self, to: TailCall) {
        // SAFETY: the context and the map are valid; nothing here needs to be dropped.
        unsafe { bpf_tail_call(self.0.as_ptr(), maps::calls(), to as u32) };
    }
}

impl Context for Tc {
    #[inline(always)]
    fn len(&self) -> u32 {
        self.0.len()
    }

    #[inline(always)]
    fn ifindex(&self) -> Ifindex {
        // SAFETY: the context is valid while the program runs.
        Ifindex(unsafe { (*self.skb()).ifindex })
    }

    #[inline(always)]
    fn packet(&self) -> Packet {
        Packet::new(self.0.data(), self.0.data_end(), self.len())
    }

    #[inline(always)]
    unsafe fn load(&self, to: *mut c_void, len: u32) {
        // SAFETY: the caller's promise about `to`; the helper checks the packet's bounds.
        unsafe {
            bpf_skb_load_bytes(self.0.as_ptr().cast(), 0, to, len);
        }
    }
}

/// Headers at places that only the packet tells are copied: they may lie beyond what is directly
/// accessible, and the verifier has less to follow.
impl Source for Tc {
    #[inline(always)]
    fn read<T>(&self, offset: usize, room: &mut MaybeUninit<T>) -> Option<Header<T>> {
        // SAFETY: the room is valid for writes of its size; the helper checks the packet's bounds, and
        // fills the room if it does not fail.
        let result = unsafe {
            bpf_skb_load_bytes(
                self.0.as_ptr().cast(),
                offset as u32,
                room.as_mut_ptr().cast(),
                size_of::<T>() as u32,
            )
        };
        (result == 0).then(|| Header::in_room(room))
    }
}
