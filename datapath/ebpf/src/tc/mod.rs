//! The context of a tc program, and the helpers that act on it.
#![allow(
    unsafe_code,
    reason = "the context is the kernel's structure and helpers take raw pointers"
)]

mod rewrite;
mod send;

use core::ffi::c_void;
use core::mem::MaybeUninit;

use aya_ebpf::EbpfContext as _;
use aya_ebpf::bindings::__sk_buff;
use aya_ebpf::helpers::generated::{bpf_skb_load_bytes, bpf_skb_pull_data};
use aya_ebpf::programs::TcContext;
use twinpath_abi::{Ifindex, Mark, MetricsKey, TraceReason};

use crate::context::Context;
use crate::drops::Drop;
use crate::events::{self, Flow};
use crate::metrics;
use crate::packet::{Header, Packet, Source};
use crate::wire::{Ethernet, Ipv6};
pub use rewrite::WriteError;

/// What is directly accessible: the longest headers without options or extensions.
const HEADERS: u32 = (size_of::<Ethernet>() + size_of::<Ipv6>()) as u32;

/// The context of a tc program.
pub struct Tc(TcContext);

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

impl Tc {
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

    /// The ethertype behind VLAN tags that the stack took off.
    #[inline(always)]
    pub fn ethertype(&self) -> u16 {
        // SAFETY: as above. The field has network byte order.
        u16::from_be(unsafe { (*self.skb()).protocol } as u16)
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
}

impl Context for Tc {
    type Raw = *mut __sk_buff;

    #[inline(always)]
    fn of(raw: *mut __sk_buff) -> Self {
        Self(TcContext::new(raw))
    }

    #[inline(always)]
    fn raw(&self) -> *mut __sk_buff {
        self.skb()
    }

    #[inline(always)]
    fn count(&self, key: &MetricsKey) {
        metrics::count_at_tc(self, key);
    }

    #[inline(always)]
    fn tell_drop(&self, flow: &Flow, drop: Drop) {
        events::dropped_at_tc(self, flow, drop);
    }

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
