//! Services: a virtual IP and port, its backends, and the table that spreads flows over them.

use core::net::IpAddr;

use crate::{Address, Family, Mac, Port, Protocol, records, sizes};

/// Slots in a [`MaglevTable`]: a prime, and one of the sizes that Cilium offers.
pub const MAGLEV_SIZE: usize = 1021;

records! {
    /// Key of [`map::LB_SERVICES`](crate::map::LB_SERVICES) (Cilium's `lb6_key`, for both families).
    pub struct ServiceKey {
        /// The virtual IP.
        pub address: Address,
        /// The port that clients connect to; 0 in the entry of the address as a whole.
        pub dport: Port,
        /// 0: the frontend. Other slots are not used: the backend comes from Maglev.
        pub backend_slot: u16,
        /// TCP or UDP; [`Protocol::ANY`] in the entry of the address as a whole.
        pub proto: Protocol,
        /// Who may use it.
        pub scope: Scope,
        /// Which kind of address it is.
        pub family: Family,
        /// Always 0.
        pub reserved: u8,
    }

    /// Scope of a service lookup; everything is [`Scope::EXTERNAL`] so far.
    #[derive(Default)]
    pub struct Scope(pub u8);

    /// Value of [`map::LB_SERVICES`](crate::map::LB_SERVICES) (Cilium's `lb4_service`).
    pub struct ServiceValue {
        /// Always 0 in slot 0.
        pub backend_id: BackendId,
        /// How many backends there are; a service with none drops.
        pub count: u16,
        /// The service's number and its key in [`map::LB_MAGLEV`](crate::map::LB_MAGLEV).
        pub rev_nat_index: RevNatIndex,
        /// None yet.
        pub flags: u8,
        /// None yet.
        pub flags2: u8,
        /// Always 0.
        pub qcount: u16,
    }

    /// A service's number; 0 is none.
    #[derive(Default)]
    pub struct RevNatIndex(pub u16);

    /// A backend's number, the key of [`map::LB_BACKENDS`](crate::map::LB_BACKENDS); 0 is none.
    #[derive(Default)]
    pub struct BackendId(pub u32);

    /// Value of [`map::LB_BACKENDS`](crate::map::LB_BACKENDS) (Cilium's `lb6_backend`, and the
    /// neighbour's address).
    pub struct Backend {
        /// The backend's address, of the same family as the virtual IP.
        pub address: Address,
        /// The port that it listens on.
        pub port: Port,
        /// TCP or UDP.
        pub proto: Protocol,
        /// None yet.
        pub flags: u8,
        /// The cluster that it runs in; 0 is this one.
        pub cluster_id: u16,
        /// The zone that it runs in; 0 is none.
        pub zone: u8,
        /// Which kind of address it is.
        pub family: Family,
        /// Where packets to it are sent. [`Mac::NONE`]: back to the neighbour they came from, which
        /// routes them.
        pub mac: Mac,
        /// Always 0.
        pub reserved: u16,
    }

    /// Value of [`map::LB_MAGLEV`](crate::map::LB_MAGLEV): a backend for each value of
    /// `flow hash % MAGLEV_SIZE`.
    pub struct MaglevTable {
        /// [`BackendId`] 0 in a slot that has no backend.
        pub backends: [BackendId; MAGLEV_SIZE],
    }
}

sizes!(
    ServiceKey = 24,
    ServiceValue = 12,
    RevNatIndex = 2,
    BackendId = 4
);
sizes!(Backend = 32, MaglevTable = 4084);

impl Scope {
    /// Traffic from anywhere.
    pub const EXTERNAL: Self = Self(0);
    /// Traffic from inside the cluster.
    pub const INTERNAL: Self = Self(1);
}

impl ServiceKey {
    /// The key of a service.
    pub fn new(address: IpAddr, dport: Port, proto: Protocol) -> Self {
        Self::from_parts(address.into(), Family::of(address), dport, proto)
    }

    /// The key of a virtual IP as a whole. Its entry says that the address is one, for packets
    /// whose port cannot be read, such as fragments.
    pub fn wildcard(address: IpAddr) -> Self {
        Self::new(address, Port::new(0), Protocol::ANY)
    }

    /// The key of a service, as the programs have it.
    #[inline(always)]
    pub const fn from_parts(
        address: Address,
        family: Family,
        dport: Port,
        proto: Protocol,
    ) -> Self {
        Self {
            address,
            dport,
            backend_slot: 0,
            proto,
            scope: Scope::EXTERNAL,
            family,
            reserved: 0,
        }
    }
}
