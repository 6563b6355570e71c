//! What is known of a packet's layers, once they were parsed.

use twinpath_abi::{Family, FlowTuple, Mac, Port, Protocol};

use crate::apart::plain;
use crate::wire::{Ethernet, Fragment, ethertype};

plain! {
    /// The link layer.
    pub struct L2 {
        pub dst: Mac,
        pub src: Mac,
        /// The innermost ethertype. A VLAN's, if there are more tags than we look behind.
        pub ethertype: u16,
        /// Where the next header begins.
        pub end: u16,
    }
}

plain! {
    /// The network layer; its addresses are in the flow.
    pub struct L3 {
        /// Which part of a larger packet this is by IPv4's header.
        pub fragment: Fragment,
        /// Where the packet ends, by its own length; what follows is padding.
        pub end: u32,
        /// Where the header begins.
        pub offset: u16,
        /// Where the fixed header and IPv4's options end.
        pub header_end: u16,
        pub family: Family,
        /// IPv4's protocol, or IPv6's first next header.
        pub protocol: Protocol,
        pub ttl: u8,
        pub unused: u8,
    }
}

plain! {
    /// Where the transport layer begins.
    pub struct Transport {
        /// Which part of a larger packet this is.
        pub fragment: Fragment,
        pub offset: usize,
        pub protocol: Protocol,
        pub unused: [u8; 7],
    }
}

plain! {
    /// The transport layer.
    pub struct L4 {
        /// 0 where the protocol has none; of an ICMP echo request, its identifier.
        pub sport: Port,
        /// 0 where the protocol has none; of an ICMP echo reply, its identifier.
        pub dport: Port,
        /// The checksum in the packet.
        pub check: u16,
        pub protocol: Protocol,
        /// Of TCP.
        pub tcp_flags: u8,
        /// Of ICMP and ICMPv6.
        pub icmp_type: u8,
        /// The header is in this packet, and not in another fragment.
        pub has_header: bool,
        pub unused: u16,
        /// Where the header begins.
        pub offset: u32,
    }
}

impl L2 {
    /// Whether the frame is for more than one receiver.
    #[inline(always)]
    pub fn is_multicast(&self) -> bool {
        self.dst.0[0] & 1 != 0
    }

    /// Whether a VLAN tag stands in the frame.
    #[inline(always)]
    pub fn is_tagged(&self) -> bool {
        usize::from(self.end) != size_of::<Ethernet>() || is_vlan(self.ethertype)
    }
}

#[inline(always)]
pub fn is_vlan(ethertype: u16) -> bool {
    matches!(ethertype, ethertype::VLAN | ethertype::QINQ)
}

impl L3 {
    /// As long as nothing is known.
    pub const UNKNOWN: Self = Self {
        fragment: Fragment::NONE,
        end: 0,
        offset: 0,
        header_end: 0,
        family: Family::NONE,
        protocol: Protocol::ANY,
        ttl: 0,
        unused: 0,
    };

    /// Where something of the header is that a helper changes.
    #[inline(always)]
    pub fn at(&self, field: usize) -> usize {
        usize::from(self.offset) + field
    }

    /// Where the packet ends.
    #[inline(always)]
    pub fn end(&self) -> usize {
        self.end as usize
    }
}

impl Transport {
    /// What follows the network layer's own header.
    #[inline(always)]
    pub fn after(l3: &L3) -> Self {
        Self {
            protocol: l3.protocol,
            offset: usize::from(l3.header_end),
            fragment: l3.fragment,
            unused: [0; 7],
        }
    }
}

impl L4 {
    /// As long as nothing is known.
    pub const UNKNOWN: Self = Self {
        sport: Port::new(0),
        dport: Port::new(0),
        check: 0,
        protocol: Protocol::ANY,
        tcp_flags: 0,
        icmp_type: 0,
        has_header: false,
        unused: 0,
        offset: 0,
    };

    /// Nothing but the protocol.
    #[inline(always)]
    pub fn without_header(transport: &Transport) -> Self {
        Self {
            protocol: transport.protocol,
            offset: transport.offset as u32,
            ..Self::UNKNOWN
        }
    }

    /// Where the header begins, or what stands there that a helper changes.
    #[inline(always)]
    pub fn at(&self, field: usize) -> usize {
        self.offset as usize + field
    }

    /// What policies call the port: the receiver's, or the type of an ICMP message.
    #[inline(always)]
    pub fn policy_port(&self) -> Port {
        match self.protocol {
            Protocol::ICMP | Protocol::ICMPV6 => Port::new(u16::from(self.icmp_type)),
            _ => self.dport,
        }
    }

    /// Adds what it knows to a flow.
    #[inline(always)]
    pub fn tell(&self, flow: &mut FlowTuple) {
        flow.sport = self.sport;
        flow.dport = self.dport;
        flow.proto = self.protocol;
    }
}
