//! A packet at an XDP hook (`struct xdp_buff`).

use twinpath_machine::memory::{Memory, OutOfMemory};

use super::{Frame, Pool};
use crate::context;
use crate::net::DeviceId;

/// Bytes before a received packet (`XDP_PACKET_HEADROOM`).
pub(crate) const HEADROOM: u32 = 256;
/// Bytes at the start of the buffer that the kernel keeps for itself (`sizeof(struct xdp_frame)`).
const RESERVED: u32 = 40;

/// A packet at an XDP hook.
#[derive(Debug)]
pub(crate) struct Xdp {
    /// The bytes.
    pub(crate) frame: Frame,
    /// Guest address of the metadata, which ends where the packet begins.
    pub(crate) meta: u32,
    /// The device that received it.
    pub(crate) device: DeviceId,
    /// Its interface index.
    pub(crate) ingress: u32,
    /// Interface index of the device that it is about to leave by, for programs of a devmap.
    pub(crate) egress: u32,
    /// Bytes of a page behind the linear part, where the driver lets it grow (`frag_size`).
    pub(crate) fragment_size: Option<u32>,
    /// The receive queue.
    pub(crate) rx_queue: u32,
}

impl Xdp {
    /// The lowest address at which metadata or packet may begin.
    pub(crate) fn lowest(&self) -> u32 {
        self.frame.head() + RESERVED
    }

    /// The same packet in another buffer.
    pub(crate) fn copy(&self, pool: &mut Pool, memory: &mut Memory) -> Result<Self, OutOfMemory> {
        let frame = self.frame.copy(pool, memory)?;
        Ok(Self {
            meta: frame.data() - self.metadata(),
            frame,
            ..*self
        })
    }

    /// Bytes of metadata.
    pub(crate) fn metadata(&self) -> u32 {
        self.frame.data() - self.meta
    }

    /// XDP programs write nothing into their context.
    pub(crate) fn absorb(&mut self, _memory: &Memory, _context: u32) {}

    /// Writes the context that the program sees.
    pub(crate) fn publish(&self, memory: &mut Memory, context: u32) {
        context::write_xdp(memory, context, self);
    }

    /// The addresses that packet pointers may reach.
    pub(crate) fn reach(&self) -> (u32, u32) {
        (self.meta, self.frame.linear_end())
    }
}
