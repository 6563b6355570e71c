//! Fragments: the ports of a packet are in its first fragment alone.

use crate::{Address, Family, Port, Protocol, records, sizes};

records! {
    /// Key of [`map::FRAGMENTS`](crate::map::FRAGMENTS) (Cilium's `ipv4_frag_id`, for both families): what
    /// all fragments of a packet have in common (RFC 791, RFC 8200).
    pub struct FragmentKey {
        /// Whom the packet is for.
        pub daddr: Address,
        /// Who sent it.
        pub saddr: Address,
        /// The packet's identification, as it stands in the header; of IPv4, its two bytes.
        pub id: u32,
        /// The protocol.
        pub proto: Protocol,
        /// Which kind of addresses they are.
        pub family: Family,
        /// Always 0.
        pub reserved: u16,
    }

    /// Value of [`map::FRAGMENTS`](crate::map::FRAGMENTS) (Cilium's `ipv4_frag_l4ports`).
    pub struct FragmentPorts {
        /// The sender's port; of an ICMP echo request, its identifier.
        pub sport: Port,
        /// The receiver's port; of an ICMP echo reply, its identifier.
        pub dport: Port,
        /// Of ICMP, the message's type.
        pub icmp_type: u8,
        /// Always 0.
        pub reserved: [u8; 3],
    }
}

sizes!(FragmentKey = 40, FragmentPorts = 8);
