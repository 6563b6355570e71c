//! Records in the ring buffer, laid out as Cilium's monitor has them.
//!
//! Each record begins with a [`NotifyHead`], whose type tells which one it is; those that show a packet
//! have its head as `payload`, zero after `len_cap` bytes.

mod debug;
mod drop;
mod source_file;
mod trace;
mod verdict;

pub use debug::{DebugNotify, DebugPoint};
pub use drop::{DropNotify, DropRecord};
pub use source_file::SourceFile;
pub use trace::{TraceNotify, TracePoint, TraceReason, TraceRecord};
pub use verdict::{PolicyMatch, VerdictFlags, VerdictNotify, VerdictRecord};

use crate::{EndpointId, records, sizes};

/// How many bytes of a packet a record holds at most (Cilium's `TRACE_PAYLOAD_LEN`).
pub const CAPTURE_LEN: usize = 128;

records! {
    /// What every record begins with (Cilium's `NOTIFY_COMMON_HDR`).
    pub struct NotifyHead {
        /// A [`NotifyType`].
        pub r#type: u8,
        /// What it means depends on the type.
        pub subtype: u8,
        /// The endpoint whose program tells it; 0 if it is none's.
        pub source: EndpointId,
        /// Hash of the flow; 0 if the packet could not be read so far.
        pub hash: u32,
    }

    /// How a record shows its packet (Cilium's `NOTIFY_CAPTURE_HDR`).
    pub struct NotifyCapture {
        /// Length of the packet, in bytes.
        pub len_orig: u32,
        /// How much of it follows the record, in bytes: at most [`CAPTURE_LEN`].
        pub len_cap: u16,
        /// The version of the record's layout.
        pub version: u8,
        /// Always 0.
        pub ext_version: u8,
    }

    /// Flags of a drop or trace event.
    #[derive(Default)]
    pub struct NotifyFlags(pub u8);
}

sizes!(NotifyHead = 8, NotifyCapture = 8, NotifyFlags = 1);

/// The first byte of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum NotifyType {
    /// A packet was dropped; the record is a [`DropRecord`].
    Drop = 1,
    /// A program tells what it does; the record is a [`DebugNotify`].
    Debug = 2,
    /// A packet has passed a point of its way; the record is a [`TraceRecord`].
    Trace = 4,
    /// A policy has decided; the record is a [`VerdictRecord`].
    PolicyVerdict = 5,
}

impl NotifyType {
    /// The type with this number.
    pub const fn from_code(code: u8) -> Option<Self> {
        Some(match code {
            1 => Self::Drop,
            2 => Self::Debug,
            4 => Self::Trace,
            5 => Self::PolicyVerdict,
            _ => return None,
        })
    }
}

impl NotifyFlags {
    /// The packet is IPv6.
    pub const IS_IPV6: Self = Self(1);
}

/// The captured head of a packet.
fn captured<'a>(capture: &NotifyCapture, payload: &'a [u8; CAPTURE_LEN]) -> &'a [u8] {
    let len = usize::from(capture.len_cap).min(CAPTURE_LEN);
    payload.split_at(len).0
}
