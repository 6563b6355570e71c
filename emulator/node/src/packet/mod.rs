//! Packets: their bytes in guest memory and what the kernel keeps beside them.

pub(crate) mod checksum;
mod ethernet;
pub(crate) mod flow;
mod frame;
mod pool;
mod skb;
mod xdp;

pub(crate) use ethernet::{ETH_HLEN, VLAN_HLEN, header_protocol};
pub use ethernet::{EtherType, Vlan};
pub(crate) use frame::Frame;
pub(crate) use pool::Pool;
pub(crate) use skb::{Checksum, Hash, LinkAddresses, PacketType, Skb, gso};
pub(crate) use xdp::{HEADROOM, Xdp};
