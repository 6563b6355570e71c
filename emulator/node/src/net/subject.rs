//! The packet that a program runs on.

use twinpath_machine::memory::{Memory, Object};
use twinpath_machine::{AttachType, ProgramType};

use super::{DeviceId, Metadata, Net, NodeId};
use crate::packet::{Frame, Skb, Tunnel, Xdp};

/// Where a packet is, for helpers that programs of several types have.
pub(crate) trait Placed {
    /// The device that the packet is on.
    fn device(&self) -> DeviceId;

    /// The namespace.
    fn node(&self, net: &Net) -> NodeId {
        net.device(self.device()).node
    }
}

impl Placed for Xdp {
    fn device(&self) -> DeviceId {
        self.device
    }
}

impl Placed for Skb {
    fn device(&self) -> DeviceId {
        self.device
    }
}

/// The packet that a program runs on.
#[derive(Debug)]
#[allow(clippy::large_enum_variant)] // A box would be an allocation per packet.
pub(crate) enum Subject {
    Xdp(Xdp),
    Skb(Skb),
}

impl Subject {
    /// Writes the context that the program sees.
    pub(crate) fn publish(&self, memory: &mut Memory, context: u32) {
        match self {
            Self::Xdp(xdp) => xdp.publish(memory, context),
            Self::Skb(skb) => skb.publish(memory, context),
        }
    }

    /// Takes over what the program wrote into its context.
    pub(super) fn absorb(&mut self, memory: &Memory, context: u32) {
        match self {
            Self::Xdp(xdp) => xdp.absorb(memory, context),
            Self::Skb(skb) => skb.absorb(memory, context),
        }
    }

    /// The addresses that packet pointers may reach, when the program type has such pointers.
    pub(super) fn reach(&self, kind: ProgramType) -> Option<(u32, u32)> {
        match self {
            Self::Xdp(xdp) => Some(xdp.reach()),
            Self::Skb(skb) if kind != ProgramType::SocketFilter => Some(skb.reach()),
            Self::Skb(_) => None,
        }
    }

    /// How the program is attached, as far as its context depends on it.
    pub(super) fn attach(&self) -> Option<AttachType> {
        match self {
            Self::Xdp(xdp) if xdp.egress != 0 => Some(AttachType::XdpDevmap),
            _ => None,
        }
    }

    /// The socket that the context points to, as the context's type has it.
    pub(super) fn bound(&self) -> Option<Object> {
        match self {
            Self::Xdp(_) => None,
            Self::Skb(skb) => skb.owner.object,
        }
    }

    /// What the kernel keeps beside the packet, for the record.
    pub(super) fn metadata(&self) -> Metadata {
        match self {
            Self::Xdp(_) => Metadata::default(),
            Self::Skb(skb) => Metadata {
                mark: skb.mark,
                priority: skb.priority,
                tc_index: skb.tc_index,
                cb: skb.cb,
                vlan: skb.vlan,
                tunnel: skb.tunnel.as_ref().map(Tunnel::key),
            },
        }
    }

    /// Appends the frame from where the program sees it.
    pub(super) fn write_frame(&self, memory: &Memory, into: &mut Vec<u8>) {
        match self {
            Self::Xdp(xdp) => into.extend_from_slice(xdp.frame.bytes(memory)),
            Self::Skb(skb) => skb.write_frame(memory, skb.frame.data(), into),
        }
    }

    /// The packet's bytes.
    pub(super) fn frame(&self) -> &Frame {
        match self {
            Self::Xdp(xdp) => &xdp.frame,
            Self::Skb(skb) => &skb.frame,
        }
    }

    /// The packet loads of classic BPF.
    pub(super) fn load(&self, memory: &Memory, offset: i32, into: &mut [u8]) -> Option<()> {
        match self {
            Self::Xdp(_) => None,
            Self::Skb(skb) => skb.load(memory, offset, into),
        }
    }
}
