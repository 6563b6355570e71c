//! Building frames: a description in types, encoded by etherparse.
//!
//! Lengths and checksums are right unless a field says otherwise; what says otherwise can be any
//! lie that a datapath should see through.
//!
//! ```
//! use twinpath_pcaps::TcpFlags;
//! use twinpath_pcaps::build::{Checksum, EtherBody, Ethernet, Ip, Ipv4, Tcp, Transport};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mut tcp = Tcp::new(1234, 80, TcpFlags::SYN);
//! tcp.checksum = Checksum::Wrong;
//! let mut ip = Ipv4::new("10.0.0.1".parse()?, "10.0.0.2".parse()?, Transport::Tcp(tcp));
//! ip.ttl = 3;
//! let frame = Ethernet::new(EtherBody::Ip(Ip::V4(ip))).to_bytes()?;
//! assert_eq!(frame.len(), 14 + 20 + 20);
//! # Ok(())
//! # }
//! ```

mod arp;
mod checksum;
mod error;
mod ethernet;
mod fragment;
mod icmp;
mod ip;
mod ipv4;
mod ipv6;
mod tcp;
mod transport;
mod udp;

pub use arp::Arp;
pub use checksum::Checksum;
pub use error::BuildError;
pub use ethernet::{EtherBody, Ethernet, VlanTag};
pub use etherparse::{
    ArpOperation, EtherType, IpDscp, IpEcn, IpNumber, Ipv6FlowLabel, TcpOptionElement, TcpOptions,
    VlanId, VlanPcp,
};
pub use fragment::{More, Piece};
pub use icmp::{Icmp, icmpv4, icmpv6};
pub use ip::Ip;
pub use ipv4::Ipv4;
pub use ipv6::{Extension, Ipv6};
pub use tcp::Tcp;
pub use transport::Transport;
pub use udp::{Udp, Vni};
