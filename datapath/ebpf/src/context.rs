//! What the XDP and tc contexts have in common. What tc has beyond that is in `tc`.
#![allow(
    unsafe_code,
    reason = "contexts are the kernel's structures and helpers take raw pointers"
)]

use core::ffi::c_void;

use aya_ebpf::bindings::xdp_md;
use aya_ebpf::helpers::generated::bpf_xdp_load_bytes;
use aya_ebpf::programs::XdpContext;
use twinpath_abi::{CAPTURE_LEN, Ifindex, MetricsKey};

use crate::drops::Drop;
use crate::events::{self, Flow};
use crate::maps;
use crate::opaque::opaque;
use crate::packet::Packet;

/// A packet's context at any hook.
pub trait Context: Sized {
    /// What the kernel hands over.
    type Raw;

    fn of(raw: Self::Raw) -> Self;

    fn raw(&self) -> Self::Raw;

    /// Counts the packet.
    fn count(&self, key: &MetricsKey);

    /// Tells of a packet that is dropped.
    fn tell_drop(&self, flow: &Flow, drop: Drop);

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

    /// Copies the head of the packet, as much of it as a record holds, to `payload`, and zeroes the rest.
    ///
    /// # Safety
    ///
    /// `payload` is valid for writes.
    #[inline(always)]
    unsafe fn capture(&self, payload: *mut [u8; CAPTURE_LEN]) {
        let len = self.len().min(CAPTURE_LEN as u32);
        // SAFETY: the caller's promise; the length is at most that of the payload.
        unsafe {
            payload.write([0; CAPTURE_LEN]);
            // The mask changes nothing: it tells verifiers before Linux 6.8, which learn nothing from a
            // comparison with 0, that the length is within bounds.
            const _: () = assert!(CAPTURE_LEN.is_power_of_two());
            if let Some(last) = len.checked_sub(1) {
                let last = opaque(u64::from(last)) as u32 & (CAPTURE_LEN as u32 - 1);
                self.load(payload.cast(), last + 1);
            }
        }
    }
}

/// The context of an XDP program.
pub struct Xdp(XdpContext);

impl Context for Xdp {
    type Raw = *mut xdp_md;

    #[inline(always)]
    fn of(raw: *mut xdp_md) -> Self {
        Self(XdpContext::new(raw))
    }

    #[inline(always)]
    fn raw(&self) -> *mut xdp_md {
        self.0.ctx
    }

    #[inline(always)]
    fn count(&self, key: &MetricsKey) {
        maps::count(*key, self.len());
    }

    #[inline(always)]
    fn tell_drop(&self, flow: &Flow, drop: Drop) {
        events::dropped_at_xdp(self, flow, drop);
    }

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
