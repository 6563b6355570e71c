//! Source NAT: connections that leave the cluster under the node's address.

use crate::{Address, CtTuple, Family, Port, records, sizes};

records! {
    /// Value of [`map::SNAT`](crate::map::SNAT) (Cilium's `ipv6_nat_entry`, for both families).
    ///
    /// A translation has two entries. The one under the packet as it is before (flags
    /// [`CtTupleFlags::OUT`](crate::CtTupleFlags::OUT)) says what its source becomes; the one under the
    /// answer as it comes from the network ([`CtTupleFlags::IN`](crate::CtTupleFlags::IN)) says what the
    /// answer's destination becomes.
    pub struct SnatEntry {
        /// When it was made, in nanoseconds of `CLOCK_MONOTONIC`.
        pub created: u64,
        /// Always 0.
        pub needs_ct: u64,
        /// The address to write.
        pub to_addr: Address,
        /// The port to write; of an ICMP echo, the identifier.
        pub to_port: Port,
        /// Which kind of address it is.
        pub family: Family,
        /// Always 0.
        pub reserved: [u8; 5],
    }

    /// Value of [`map::IPMASQ`](crate::map::IPMASQ): destinations that are reached without translation.
    pub struct MasqueradeRule {
        /// Place of the prefix in the list of exclusions, counted from 0.
        pub rule: u32,
    }
}

sizes!(SnatEntry = 40, MasqueradeRule = 4);

/// How many ports are tried before a connection is refused (Cilium's `SNAT_COLLISION_RETRIES`).
pub const SNAT_RETRIES: u32 = 32;

/// Ports that translations may use, unless the loader says otherwise: above those of node ports.
pub const SNAT_PORTS: core::ops::RangeInclusive<u16> = 32768..=65535;

/// The key of a translation.
pub type SnatTuple = CtTuple;
