//! What the XDP and tc contexts have in common, and the helpers that act on a context.
#![allow(
    unsafe_code,
    reason = "contexts are the kernel's structures and helpers take raw pointers"
)]

use core::ffi::c_void;

use aya_ebpf::EbpfContext;
use aya_ebpf::bindings::BPF_F_RECOMPUTE_CSUM;
use aya_ebpf::helpers::generated::{
    bpf_l3_csum_replace, bpf_redirect, bpf_skb_load_bytes, bpf_skb_pull_data, bpf_skb_store_bytes,
    bpf_xdp_load_bytes,
};
use aya_ebpf::programs::{TcContext, XdpContext};
use twinpath_abi::{CAPTURE_LEN, DropNotify, DropRecord, Ifindex};

use crate::opaque::opaque;
use crate::packet::Packet;

/// A packet's context at any hook.
pub trait Context {
    /// The packet's length in bytes, Ethernet header included.
    fn len(&self) -> u32;

    /// The device that it came in by.
    fn ifindex(&self) -> Ifindex;

    /// The part of the packet which can be accessed directly.
    fn packet(&self) -> Packet;

    /// Copies the packet's first `len` bytes, at most [`CAPTURE_LEN`], to `to`.
    ///
    /// # Safety
    ///
    /// `to` is valid for writes of `len` bytes.
    unsafe fn load(&self, to: *mut c_void, len: u32);

    /// Fills a record: `notify`, then the packet's first `notify.capture.len_cap` bytes, then zeroes.
    #[inline(always)]
    fn capture(&self, record: *mut DropRecord, notify: DropNotify) {
        let len = u32::from(notify.capture.len_cap);
        // SAFETY: the record is the ring buffer's own memory, aligned to 8 and as large as the type;
        // the payload has CAPTURE_LEN bytes.
        unsafe {
            record.write(DropRecord {
                notify,
                payload: [0; CAPTURE_LEN],
            });
            let payload = (&raw mut (*record).payload).cast();
            // The mask changes nothing: it tells verifiers before Linux 6.8, which learn nothing from a
            // comparison with 0, that the length is within bounds.
            const _: () = assert!(CAPTURE_LEN.is_power_of_two());
            if let Some(last) = len.checked_sub(1) {
                let last = opaque(u64::from(last)) as u32 & (CAPTURE_LEN as u32 - 1);
                self.load(payload, last + 1);
            }
        }
    }
}

/// The context of an XDP program.
pub struct Xdp(XdpContext);

/// The context of a tc program.
pub struct Tc(TcContext);

impl Xdp {
    #[inline(always)]
    pub fn new(ctx: XdpContext) -> Self {
        Self(ctx)
    }
}

impl Context for Xdp {
    #[inline(always)]
    fn len(&self) -> u32 {
        // The verifier allows the difference of two packet pointers in 64 bits only.
        opaque((self.0.data_end() - self.0.data()) as u64) as u32
    }

    #[inline(always)]
    fn ifindex(&self) -> Ifindex {
        Ifindex(self.0.ingress_ifindex() as u32)
    }

    #[inline(always)]
    fn packet(&self) -> Packet {
        Packet::new(self.0.data(), self.0.data_end(), self.len())
    }

    #[inline(always)]
    unsafe fn load(&self, to: *mut c_void, len: u32) {
        // SAFETY: the caller's promise about `to`; the helper checks the packet's bounds.
        unsafe {
            bpf_xdp_load_bytes(self.0.ctx, 0, to, len);
        }
    }
}

/// A helper refused to write to the packet.
pub struct WriteError;

impl Tc {
    #[inline(always)]
    pub fn new(ctx: TcContext) -> Self {
        Self(ctx)
    }

    /// Whether the frame had a VLAN tag, which the stack took off and keeps beside it.
    #[inline(always)]
    pub fn has_vlan_tag(&self) -> bool {
        // SAFETY: the context is valid while the program runs.
        unsafe { (*self.0.skb.skb).vlan_present != 0 }
    }

    /// The packet, with its first `len` bytes (or all, if there are fewer) directly accessible.
    #[inline(always)]
    pub fn pull(&self, len: u32) -> Packet {
        let len = len.min(self.len());
        if self.0.data() + len as usize > self.0.data_end() {
            // A failure leaves the packet as it was, and then parsing finds it too short.
            // SAFETY: the context is valid; no pointer into the packet is alive.
            unsafe { bpf_skb_pull_data(self.0.skb.skb, len) };
        }
        self.packet()
    }

    /// Writes `bytes` at `offset`. The stack's checksum over the packet is kept right.
    #[inline(always)]
    pub fn store<const N: usize>(&self, offset: usize, bytes: &[u8; N]) -> Result<(), WriteError> {
        // SAFETY: `bytes` is valid for reads of N bytes; the helper checks the packet's bounds.
        let result = unsafe {
            bpf_skb_store_bytes(
                self.0.as_ptr().cast(),
                offset as u32,
                bytes.as_ptr().cast(),
                N as u32,
                u64::from(BPF_F_RECOMPUTE_CSUM),
            )
        };
        if result == 0 { Ok(()) } else { Err(WriteError) }
    }

    /// Writes `bytes` at `offset` in a header whose own checksum has accounted for them.
    #[inline(always)]
    pub fn store_balanced<const N: usize>(
        &self,
        offset: usize,
        bytes: &[u8; N],
    ) -> Result<(), WriteError> {
        // SAFETY: as in `store`.
        let result = unsafe {
            bpf_skb_store_bytes(
                self.0.as_ptr().cast(),
                offset as u32,
                bytes.as_ptr().cast(),
                N as u32,
                0,
            )
        };
        if result == 0 { Ok(()) } else { Err(WriteError) }
    }

    /// Corrects the header checksum at `offset` for a 16-bit word that changes.
    #[inline(always)]
    pub fn replace_l3_csum(&self, offset: usize, from: u16, to: u16) -> Result<(), WriteError> {
        // SAFETY: the context is valid; the helper checks the packet's bounds.
        let result = unsafe {
            bpf_l3_csum_replace(
                self.0.skb.skb,
                offset as u32,
                u64::from(from),
                u64::from(to),
                size_of::<u16>() as u64,
            )
        };
        if result == 0 { Ok(()) } else { Err(WriteError) }
    }

    /// Sends the packet out of a device. Returns the program's return code.
    #[inline(always)]
    pub fn redirect(&self, to: Ifindex) -> i32 {
        // SAFETY: the helper takes plain numbers.
        unsafe { bpf_redirect(to.0, 0) as i32 }
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
        Ifindex(unsafe { (*self.0.skb.skb).ifindex })
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
