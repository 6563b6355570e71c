//! Headers as they stand in a packet: the types give the places of the fields, the accessors what they
//! mean. Fields whose name says nothing else are in the machine's byte order once read.

mod ethernet;
mod icmp;
mod ip;
mod transport;

use core::mem::offset_of;

use twinpath_abi::{Address, Mac, Port};

pub use ethernet::{Arp, Ethernet, Vlan, ethertype};
pub use icmp::{Icmp, NeighbourMessage, icmp_type};
pub use ip::{Extension, Fragment, Ipv4, Ipv6, Part, extension};
pub use transport::{Ports, Tcp, Udp, tcp_flag};

use crate::packet::Header;

const _: () = {
    assert!(size_of::<Ethernet>() == 14 && size_of::<Vlan>() == 4);
    assert!(size_of::<Ipv4>() == 20 && size_of::<Ipv6>() == 40 && size_of::<Extension>() == 8);
    assert!(size_of::<Tcp>() == 20 && size_of::<Udp>() == 8 && size_of::<Icmp>() == 8);
    assert!(size_of::<Ports>() == 4 && size_of::<Arp>() == 28);
    assert!(size_of::<NeighbourMessage>() == 32);
};

/// Where the fields are that helpers write.
pub mod at {
    use super::{Ethernet, Icmp, Ipv4, Ipv6, NeighbourMessage, Ports, Tcp, Udp, offset_of};

    pub const ETHERNET_DST: usize = offset_of!(Ethernet, dst);
    pub const ETHERNET_SRC: usize = offset_of!(Ethernet, src);
    pub const IPV4_TTL: usize = offset_of!(Ipv4, ttl);
    pub const IPV4_CHECK: usize = offset_of!(Ipv4, check);
    pub const IPV4_SRC: usize = offset_of!(Ipv4, src);
    pub const IPV4_DST: usize = offset_of!(Ipv4, dst);
    pub const IPV6_HOP_LIMIT: usize = offset_of!(Ipv6, hop_limit);
    pub const IPV6_SRC: usize = offset_of!(Ipv6, src);
    pub const IPV6_DST: usize = offset_of!(Ipv6, dst);
    pub const PORTS_SRC: usize = offset_of!(Ports, src);
    pub const PORTS_DST: usize = offset_of!(Ports, dst);
    pub const TCP_CHECK: usize = offset_of!(Tcp, check);
    pub const UDP_CHECK: usize = offset_of!(Udp, check);
    pub const ICMP_CHECK: usize = offset_of!(Icmp, check);
    pub const ICMP_ID: usize = offset_of!(Icmp, id);
    pub const NEIGHBOUR_FLAGS: usize = offset_of!(NeighbourMessage, flags);
    pub const NEIGHBOUR_OPTION: usize = offset_of!(NeighbourMessage, option);
}

impl<T> Header<T> {
    #[inline(always)]
    fn mac<const A: usize, const B: usize, const C: usize>(&self) -> Mac {
        Mac::from_halves([self.u16::<A>(), self.u16::<B>(), self.u16::<C>()])
    }

    /// An IPv6 address, by the places of its words.
    #[inline(always)]
    fn v6<const A: usize, const B: usize, const C: usize, const D: usize>(&self) -> Address {
        Address::from_words([
            self.u32::<A>(),
            self.u32::<B>(),
            self.u32::<C>(),
            self.u32::<D>(),
        ])
    }

    #[inline(always)]
    fn be16<const AT: usize>(&self) -> u16 {
        u16::from_be(self.u16::<AT>())
    }

    #[inline(always)]
    fn port<const AT: usize>(&self) -> Port {
        Port::from_network_order(self.u16::<AT>())
    }
}
