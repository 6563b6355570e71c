//! A decision to drop a packet: why, and which line decided it.

use twinpath_abi::{Direction, DropReason, SourceFile};

use crate::context::Context;
use crate::events::Flow;
use crate::metrics;

/// Why a packet is dropped and where that was decided.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Drop {
    pub reason: DropReason,
    pub file: SourceFile,
    pub line: u16,
}

impl Drop {
    /// The first byte of none is lower.
    pub const LOWEST: u8 = DropReason::InvalidSourceMac as u8;
}

/// A [`Drop`] decided on this line of the file with this name in [`SourceFile`].
macro_rules! drop_packet {
    ($file:ident, $reason:ident) => {
        $crate::drops::Drop {
            reason: twinpath_abi::DropReason::$reason,
            file: twinpath_abi::SourceFile::$file,
            line: line!() as u16,
        }
    };
}
pub(crate) use drop_packet;

/// Counts a dropped packet and tells of it.
#[inline(always)]
pub fn report<C: Context>(ctx: &C, flow: &Flow, drop: Drop, direction: Direction) {
    metrics::dropped(ctx, drop, direction);
    ctx.tell_drop(flow, drop);
}
