//! A packet was dropped.

use super::{CAPTURE_LEN, NotifyCapture, NotifyFlags, NotifyHead, captured};
use crate::{Identity, Ifindex, records, sizes};

records! {
    /// Head of a drop event (Cilium's `drop_notify`, with the time where it has a trace id). Its subtype
    /// is a [`DropReason`](crate::DropReason), its source the sender, if that is an endpoint of this node.
    pub struct DropNotify {
        /// What every record begins with.
        pub head: NotifyHead,
        /// How much of the packet there is.
        pub capture: NotifyCapture,
        /// Identity of the sender.
        pub src_label: Identity,
        /// Identity of the receiver.
        pub dst_label: Identity,
        /// The endpoint that the packet was for; 0 if none is known.
        pub dst_id: u32,
        /// Line of the source file that dropped the packet.
        pub line: u16,
        /// A [`SourceFile`](crate::SourceFile).
        pub file: u8,
        /// Error of a helper, if one made the program drop.
        pub ext_error: i8,
        /// The device that the packet came in by.
        pub ifindex: Ifindex,
        /// Of the packet.
        pub flags: NotifyFlags,
        /// Always 0.
        pub reserved: u8,
        /// Always 0.
        pub reserved2: u16,
        /// When, in nanoseconds of `CLOCK_MONOTONIC`.
        pub timestamp: u64,
    }

    /// A drop event as it stands in [`map::EVENTS`](crate::map::EVENTS).
    pub struct DropRecord {
        /// What happened.
        pub notify: DropNotify,
        /// The head of the packet, as it was when it was dropped.
        pub payload: [u8; CAPTURE_LEN],
    }
}

sizes!(DropNotify = 48, DropRecord = 176);

impl DropNotify {
    /// The version of this layout.
    pub const VERSION: u8 = 3;
}

impl DropRecord {
    /// The captured head of the packet.
    pub fn captured(&self) -> &[u8] {
        captured(&self.notify.capture, &self.payload)
    }
}
