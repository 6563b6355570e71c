//! What is known about a packet's checksum, and how it follows changes of the packet.

use twinpath_machine::memory::Memory;

use super::{Skb, Sum};

/// What is known about the packet's L4 checksum (`ip_summed`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Checksum {
    /// `CHECKSUM_NONE`: the field in the packet counts.
    None,
    /// `CHECKSUM_UNNECESSARY`: checked, with as many more levels of headers.
    Unnecessary(u8),
    /// `CHECKSUM_COMPLETE`: `sum` is that of all bytes from the network header on.
    Complete,
    /// `CHECKSUM_PARTIAL`: the sender leaves the field to the device; where summing starts as a guest
    /// address, and the field's distance from there.
    Partial { start: u32, offset: u32 },
}

/// A checksum that the sender left to its device: where summing starts and the distance of the field
/// from there (`csum_start`, `csum_offset` of `struct virtio_net_hdr`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChecksumOffload {
    /// First byte that is summed, from the start of the frame.
    pub start: u16,
    /// Where the sum goes, from `start`.
    pub offset: u16,
}

impl Skb {
    /// `skb_postpull_rcsum`: `bytes` have left the front of what the checksum covers.
    pub(crate) fn pulled(&mut self, memory: &Memory, at: u32, len: u32) {
        match self.checksum {
            Checksum::Complete => {
                self.sum = Sum::of(memory.raw(at, len), self.sum.negate()).negate();
            }
            _ => self.check_start(),
        }
    }

    /// `skb_postpush_rcsum`: `bytes` have come to the front of what the checksum covers.
    pub(crate) fn pushed(&mut self, memory: &Memory, at: u32, len: u32) {
        self.pushed_at(memory, at, len, 0);
    }

    /// `__skb_postpull_rcsum`: bytes at this offset in the packet are about to change.
    pub(crate) fn pulled_at(&mut self, memory: &Memory, at: u32, len: u32, offset: u32) {
        match self.checksum {
            Checksum::Complete => {
                let changed = Sum::of(memory.raw(at, len), Sum(0));
                self.sum = self.sum.add((!changed).at(offset));
            }
            _ => self.check_start(),
        }
    }

    /// `__skb_postpush_rcsum`: bytes at this offset in the packet have changed.
    pub(crate) fn pushed_at(&mut self, memory: &Memory, at: u32, len: u32, offset: u32) {
        if self.checksum == Checksum::Complete {
            let changed = Sum::of(memory.raw(at, len), Sum(0));
            self.sum = self.sum.add(changed.at(offset));
        }
    }

    /// A checksum that the device was to fill in is lost when the data begins behind its start.
    fn check_start(&mut self) {
        if let Checksum::Partial { start, .. } = self.checksum
            && start < self.frame.data()
        {
            self.checksum = Checksum::None;
        }
    }

    /// `__skb_incr_checksum_unnecessary`.
    pub(crate) fn raise_checksum_level(&mut self) {
        /// `SKB_MAX_CSUM_LEVEL`.
        const MAX: u8 = 3;
        self.checksum = match self.checksum {
            Checksum::Unnecessary(level) => Checksum::Unnecessary((level + 1).min(MAX)),
            Checksum::None => Checksum::Unnecessary(0),
            other => other,
        };
    }

    /// `__skb_decr_checksum_unnecessary`.
    pub(crate) fn lower_checksum_level(&mut self) {
        self.checksum = match self.checksum {
            Checksum::Unnecessary(0) => Checksum::None,
            Checksum::Unnecessary(level) => Checksum::Unnecessary(level - 1),
            other => other,
        };
    }

    /// `__skb_reset_checksum_unnecessary`.
    pub(crate) fn reset_checksum(&mut self) {
        if let Checksum::Unnecessary(_) = self.checksum {
            self.checksum = Checksum::None;
        }
    }

    /// Whether the L4 checksum in the packet has to be looked at (`skb_csum_unnecessary`).
    pub(crate) fn needs_check(&self) -> bool {
        matches!(self.checksum, Checksum::None | Checksum::Complete)
    }

    /// What follows the packet was cut off, so that the sum of all bytes is another
    /// (`pskb_trim_rcsum`).
    pub(crate) fn reset_complete(&mut self) {
        if self.checksum == Checksum::Complete {
            self.checksum = Checksum::None;
        }
    }

    /// Leaves the checksum to the device (`skb_partial_csum_set`). The data begins with the Ethernet
    /// header. False when the field is not in the packet.
    pub(crate) fn offload_checksum(&mut self, offload: ChecksumOffload) -> bool {
        let (start, offset) = (u32::from(offload.start), u32::from(offload.offset));
        let inside = start + offset + 2 <= self.frame.len();
        if inside {
            let start = self.frame.data() + start;
            self.checksum = Checksum::Partial { start, offset };
            self.transport_header = Some(start);
        }
        inside
    }

    /// Fills in a checksum that was left to the device (`skb_checksum_help`).
    pub(crate) fn fill_checksum(&mut self, memory: &mut Memory) {
        let Checksum::Partial { start, offset } = self.checksum else {
            return;
        };
        self.checksum = Checksum::None;
        let end = self.frame.data() + self.frame.len();
        if start + offset + 2 > end {
            return;
        }
        // Zero would mean that there is no checksum.
        let sum = match Sum::of(memory.raw(start, end - start), Sum(0)).fold() {
            0 => 0xffff,
            sum => sum,
        };
        let field = memory.raw_mut(start + offset, 2);
        field.copy_from_slice(&sum.to_le_bytes());
    }
}
