//! Connections: which packets belong together, and what has been seen of them.

use crate::{Address, Family, FlowTuple, Identity, Port, Protocol, RevNatIndex, records, sizes};

records! {
    /// Key of [`map::CT`](crate::map::CT) (Cilium's `ipv6_ct_tuple`, for both families). Addresses and ports
    /// are those of the packet that opened the connection. An ICMP error belongs to the connection of the
    /// packet that it quotes, so it has no entry of its own, as Cilium's `TUPLE_F_RELATED` ones.
    pub struct CtTuple {
        /// Whom it was for.
        pub daddr: Address,
        /// Who sent it.
        pub saddr: Address,
        /// The receiver's port; of an ICMP echo reply, its identifier; otherwise 0.
        pub dport: Port,
        /// The sender's port; of an ICMP echo request, its identifier; otherwise 0.
        pub sport: Port,
        /// The protocol.
        pub nexthdr: Protocol,
        /// Who keeps the entry, and what it is about.
        pub flags: CtTupleFlags,
        /// Which kind of addresses they are.
        pub family: Family,
        /// Always 0.
        pub reserved: u8,
    }

    /// Flags of a [`CtTuple`] (Cilium's `TUPLE_F_*`).
    #[derive(Default)]
    pub struct CtTupleFlags(pub u8);

    /// Value of [`map::CT`](crate::map::CT) (Cilium's `ct_entry`).
    pub struct CtEntry {
        /// Always 0.
        pub reserved: u64,
        /// Of a service's entry: the backend. Otherwise 0.
        pub backend_id: u64,
        /// Packets, in both directions.
        pub packets: u64,
        /// Their bytes, Ethernet header included.
        pub bytes: u64,
        /// Until when it counts, in seconds of `CLOCK_MONOTONIC`.
        pub lifetime: u32,
        /// What is known of the connection.
        pub flags: CtFlags,
        /// The service that it goes through; 0 for none.
        pub rev_nat_index: RevNatIndex,
        /// The proxy that it goes through; 0 for none.
        pub proxy_port: Port,
        /// TCP flags seen in what the endpoint sent.
        pub tx_flags_seen: u8,
        /// TCP flags seen in what the endpoint got.
        pub rx_flags_seen: u8,
        /// Identity of who opened it.
        pub src_sec_id: Identity,
        /// When a packet that the endpoint sent was last reported, in seconds of `CLOCK_MONOTONIC`.
        pub last_tx_report: u32,
        /// The same for what it got.
        pub last_rx_report: u32,
    }

    /// Flags of a [`CtEntry`], in the order of Cilium's bit field.
    #[derive(Default)]
    pub struct CtFlags(pub u16);
}

sizes!(CtTuple = 40, CtEntry = 56, CtTupleFlags = 1, CtFlags = 2);

impl CtTupleFlags {
    /// The endpoint opened the connection.
    pub const OUT: Self = Self(0);
    /// Somebody opened it to the endpoint.
    pub const IN: Self = Self(1);
    /// The connection as the client of a service sees it.
    pub const SERVICE: Self = Self(4);

    /// Whether all of these are set.
    pub const fn has(self, flags: Self) -> bool {
        self.0 & flags.0 == flags.0
    }
}

impl CtFlags {
    /// Whoever is remote has closed it.
    pub const RX_CLOSING: Self = Self(1);
    /// The endpoint has closed it.
    pub const TX_CLOSING: Self = Self(1 << 1);
    /// A packet without SYN was seen.
    pub const SEEN_NON_SYN: Self = Self(1 << 4);
    /// It goes through a proxy.
    pub const PROXY_REDIRECT: Self = Self(1 << 6);
    /// It came through a tunnel.
    pub const FROM_TUNNEL: Self = Self(1 << 9);

    /// Whether all of these are set.
    #[inline(always)]
    pub const fn has(self, flags: Self) -> bool {
        self.0 & flags.0 == flags.0
    }

    /// These flags and those.
    #[inline(always)]
    pub const fn with(self, flags: Self) -> Self {
        Self(self.0 | flags.0)
    }

    /// These flags without those.
    #[inline(always)]
    pub const fn without(self, flags: Self) -> Self {
        Self(self.0 & !flags.0)
    }
}

impl CtTuple {
    /// The key of a packet's own direction.
    #[inline(always)]
    pub const fn new(flow: &FlowTuple, flags: CtTupleFlags) -> Self {
        Self {
            daddr: flow.daddr,
            saddr: flow.saddr,
            dport: flow.dport,
            sport: flow.sport,
            nexthdr: flow.proto,
            flags,
            family: flow.family,
            reserved: 0,
        }
    }

    /// The key with its ends swapped.
    #[inline(always)]
    pub const fn reversed(&self) -> Self {
        Self {
            daddr: self.saddr,
            saddr: self.daddr,
            dport: self.sport,
            sport: self.dport,
            ..*self
        }
    }
}

/// Seconds that a connection lives after its last packet, unless the loader says otherwise (Cilium's
/// `CT_*_LIFETIME_*`).
pub mod lifetime {
    /// TCP, once a packet without SYN was seen.
    pub const TCP: u32 = 21600;
    /// Everything else.
    pub const ANY: u32 = 60;
    /// TCP before that.
    pub const SYN: u32 = 60;
    /// TCP that both sides have closed.
    pub const CLOSE: u32 = 10;
    /// How often a connection is reported that is known already.
    pub const REPORT_INTERVAL: u32 = 5;
}
