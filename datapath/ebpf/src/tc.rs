//! The context of a tc program, and the helpers that act on it.
#![allow(
    unsafe_code,
    reason = "the context is the kernel's structure and helpers take raw pointers"
)]

use core::ffi::c_void;
use core::mem::{MaybeUninit, zeroed};
use core::ptr::null_mut;

use aya_ebpf::EbpfContext;
use aya_ebpf::bindings::{
    __sk_buff, BPF_F_INGRESS, BPF_F_PSEUDO_HDR, BPF_F_RECOMPUTE_CSUM, BPF_F_TUNINFO_IPV6,
    bpf_fib_lookup, bpf_tunnel_key,
};
use aya_ebpf::helpers::generated::{
    bpf_csum_diff, bpf_fib_lookup as bpf_fib_lookup_by_helper, bpf_l3_csum_replace,
    bpf_l4_csum_replace, bpf_redirect, bpf_redirect_neigh, bpf_redirect_peer,
    bpf_skb_get_tunnel_key, bpf_skb_load_bytes, bpf_skb_pull_data, bpf_skb_set_tunnel_key,
    bpf_skb_store_bytes, bpf_tail_call,
};
use aya_ebpf::programs::TcContext;
use twinpath_abi::{Ifindex, Mark, TailCall, TraceReason};

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
    /// How a packet gets to an endpoint: a [`Delivery`].
    Delivery = 1,
    /// What conntrack knew of it: a [`TraceReason`], and [`REPORT`] if it is told of in any case.
    Reason = 2,
}

/// How a packet gets to an endpoint.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum Delivery {
    /// Out of the endpoint's device.
    Device = 0,
    /// To the endpoint's end of it at once.
    Peer = 1,
    /// It is being sent out of the endpoint's device.
    InPlace = 2,
}

/// Beside a reason in [`Cb::Reason`].
const REPORT: u32 = 1 << 8;

/// In `tc_index`: an endpoint's policy has let the packet pass, and need not be asked again where it leaves
/// for the endpoint. The bit is none of Cilium's (`TC_INDEX_F_*`).
const ADMITTED: u32 = 1 << 7;

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

    /// The packet's mark.
    #[inline(always)]
    pub fn mark(&self) -> Mark {
        // SAFETY: as above.
        Mark(unsafe { (*self.skb()).mark })
    }

    /// Notes that an endpoint's policy has let the packet pass.
    #[inline(always)]
    pub fn set_admitted(&self) {
        // SAFETY: as above; programs at tc may write this field.
        unsafe { (*self.skb()).tc_index |= ADMITTED }
    }

    /// Whether an endpoint's policy has let the packet pass; that is forgotten then.
    #[inline(always)]
    pub fn take_admitted(&self) -> bool {
        // SAFETY: as above.
        unsafe {
            let index = (*self.skb()).tc_index;
            (*self.skb()).tc_index = index & !ADMITTED;
            index & ADMITTED != 0
        }
    }

    /// How the calling program wants the packet to get to the endpoint.
    #[inline(always)]
    pub fn delivery(&self) -> Delivery {
        match self.cb(Cb::Delivery) {
            1 => Delivery::Peer,
            2 => Delivery::InPlace,
            _ => Delivery::Device,
        }
    }

    /// What the calling program knew of the packet's connection, and whether it is told of in any case.
    #[inline(always)]
    pub fn reason(&self) -> (TraceReason, bool) {
        let word = self.cb(Cb::Reason);
        let reason = match word & !REPORT {
            0 => TraceReason::New,
            1 => TraceReason::Established,
            2 => TraceReason::Reply,
            3 => TraceReason::Related,
            _ => TraceReason::Unknown,
        };
        (reason, word & REPORT != 0)
    }

    /// Leaves that for the program that is called.
    #[inline(always)]
    pub fn set_reason(&self, reason: TraceReason, report: bool) {
        let report = if report { REPORT } else { 0 };
        self.set_cb(Cb::Reason, reason as u32 | report);
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

    /// Takes the packet in as if it had come by a device. Returns the program's return code.
    #[inline(always)]
    pub fn redirect_in(&self, device: Ifindex) -> i32 {
        // SAFETY: the helper takes plain numbers.
        unsafe { bpf_redirect(device.0, u64::from(BPF_F_INGRESS)) as i32 }
    }

    /// Sends the packet to the far end of a device, as if it had come in there. At tc ingress only. Returns
    /// the program's return code.
    #[inline(always)]
    pub fn redirect_peer(&self, to: Ifindex) -> i32 {
        // SAFETY: the helper takes plain numbers.
        unsafe { bpf_redirect_peer(to.0, 0) as i32 }
    }

    /// Sends the packet out of a device, to the neighbour that the node's routes say. Returns the program's
    /// return code.
    #[inline(always)]
    pub fn redirect_neighbour(&self, device: Ifindex) -> i32 {
        // SAFETY: without parameters the helper takes plain numbers.
        unsafe { bpf_redirect_neigh(device.0, null_mut(), 0, 0) as i32 }
    }

    /// Asks for the way of a packet that came in by this device; returns `BPF_FIB_LKUP_RET_*`.
    #[inline(always)]
    pub fn fib_lookup(&self, way: &mut bpf_fib_lookup) -> i64 {
        let size = size_of::<bpf_fib_lookup>() as i32;
        // SAFETY: the context is valid, and the structure for reads and writes of its size.
        unsafe { bpf_fib_lookup_by_helper(self.0.as_ptr(), way, size, 0) }
    }

    /// The tunnel that the packet came out of.
    #[inline(always)]
    pub fn tunnel_key(&self) -> Result<bpf_tunnel_key, WriteError> {
        // SAFETY: a structure of numbers, all of which may be 0.
        let mut key: bpf_tunnel_key = unsafe { zeroed() };
        let size = size_of::<bpf_tunnel_key>() as u32;
        // The kernel refuses to say what the other family's addresses are.
        // SAFETY: the context is valid, and the structure for writes of its size.
        let result = unsafe {
            match bpf_skb_get_tunnel_key(self.skb(), &mut key, size, 0) {
                0 => 0,
                _ => bpf_skb_get_tunnel_key(
                    self.skb(),
                    &mut key,
                    size,
                    u64::from(BPF_F_TUNINFO_IPV6),
                ),
            }
        };
        written(result)?;
        Ok(key)
    }

    /// Says which tunnel the packet goes into.
    #[inline(always)]
    pub fn set_tunnel_key(&self, key: &mut bpf_tunnel_key, flags: u64) -> Result<(), WriteError> {
        let size = size_of::<bpf_tunnel_key>() as u32;
        // SAFETY: the context is valid, and the helper only reads the structure.
        written(unsafe { bpf_skb_set_tunnel_key(self.skb(), key, size, flags) })
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
