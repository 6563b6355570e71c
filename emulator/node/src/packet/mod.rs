//! Packets: their bytes in guest memory and what the kernel keeps beside them.

pub(crate) mod checksum;
mod ethernet;
pub(crate) mod flow;
mod frame;
mod pool;
mod segment;
mod skb;
mod skb_checksum;
mod tunnel;
mod xdp;

pub(crate) use checksum::Sum;
pub(crate) use ethernet::{ETH_HLEN, VLAN_HLEN, header_protocol};
pub use ethernet::{EtherType, Vlan};
pub(crate) use frame::{Frame, Moved};
pub(crate) use pool::Pool;
pub use segment::Joined;
pub(crate) use skb::{Gso, Hash, Labels, LinkAddresses, Owner, PacketType, Skb, gso};
pub(crate) use skb_checksum::Checksum;
pub use skb_checksum::ChecksumOffload;
pub(crate) use tunnel::{Tunnel, flag as tunnel_flag};
pub(crate) use xdp::{HEADROOM, Xdp};
