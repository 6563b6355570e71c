//! Policies: who may speak with an endpoint.

use crate::{Direction, EndpointId, Identity, Port, Protocol, records, sizes};

records! {
    /// What a trie compares: whose policy, which way and who fit as a whole, then the protocol, then the
    /// first bits of the port.
    pub struct PolicyData {
        /// Whose policy.
        pub endpoint: EndpointId,
        /// [`PolicyData::INGRESS`] or [`PolicyData::EGRESS`].
        pub egress: u8,
        /// Always 0.
        pub reserved: u8,
        /// The other end; 0 for anybody.
        pub identity: Identity,
        /// Always 0.
        pub reserved2: u8,
        /// The protocol.
        pub protocol: Protocol,
        /// The receiver's port; of ICMP and ICMPv6, the message's type.
        pub dport: Port,
    }

    /// Key of [`map::POLICY`](crate::map::POLICY) (Cilium's `policy_key`, and the endpoint, as all endpoints
    /// share one trie).
    pub struct PolicyKey {
        /// How many bits of [`PolicyKey::data`] count: [`POLICY_STATIC_BITS`], 8 for the protocol if it is
        /// given, and those of the port.
        pub prefix_len: u32,
        /// What is compared.
        pub data: PolicyData,
    }

    /// Value of [`map::POLICY`](crate::map::POLICY) (Cilium's `policy_entry`).
    pub struct PolicyEntry {
        /// Where to redirect what is allowed; 0 for nowhere.
        pub proxy_port: Port,
        /// Allow or deny.
        pub flags: PolicyFlags,
        /// How many bits of protocol and port the key counts: 0, 8 or 8 to 24.
        pub lpm_prefix_length: u8,
        /// The kind of authentication that is required; 0 for none.
        pub auth_type: u8,
        /// Of two entries that allow, the one with the higher value is taken, however narrow the other is
        /// (Cilium's `proxy_port_priority`).
        pub precedence: u8,
        /// Always 0.
        pub reserved: u16,
        /// Shown in verdicts: user space keeps by it where the entry came from; 0 for none.
        pub cookie: u32,
    }

    /// Flags of a [`PolicyEntry`].
    #[derive(Default)]
    pub struct PolicyFlags(pub u8);
}

sizes!(PolicyData = 12, PolicyKey = 16, PolicyEntry = 12);

/// Bits of [`PolicyData`] before the protocol. They always match as a whole.
pub const POLICY_STATIC_BITS: u32 = 72;

/// Bits of [`PolicyData`]: what programs look up.
pub const POLICY_FULL_BITS: u32 = 96;

impl PolicyFlags {
    /// What fits is dropped.
    pub const DENY: Self = Self(1);

    /// Whether all of these are set.
    #[inline(always)]
    pub const fn has(self, flags: Self) -> bool {
        self.0 & flags.0 == flags.0
    }
}

impl PolicyData {
    /// For what comes to the endpoint.
    pub const INGRESS: u8 = 0;
    /// For what it sends.
    pub const EGRESS: u8 = 1;

    /// What a trie compares for a packet.
    #[inline(always)]
    pub const fn new(
        endpoint: EndpointId,
        direction: Direction,
        identity: Identity,
        protocol: Protocol,
        dport: Port,
    ) -> Self {
        Self {
            endpoint,
            egress: match direction {
                Direction::Ingress => Self::INGRESS,
                Direction::Egress => Self::EGRESS,
            },
            reserved: 0,
            identity,
            reserved2: 0,
            protocol,
            dport,
        }
    }
}

impl PolicyKey {
    /// The key of an entry. `layer4_bits` of protocol and port count: 0, 8 or 8 to 24.
    pub const fn new(data: PolicyData, layer4_bits: u8) -> Self {
        Self {
            prefix_len: POLICY_STATIC_BITS + layer4_bits as u32,
            data,
        }
    }
}

impl PolicyEntry {
    /// An entry that allows, under a key with so many bits of protocol and port.
    pub const fn allow(layer4_bits: u8) -> Self {
        Self {
            proxy_port: Port::new(0),
            flags: PolicyFlags(0),
            lpm_prefix_length: layer4_bits,
            auth_type: 0,
            precedence: 0,
            reserved: 0,
            cookie: 0,
        }
    }

    /// An entry that denies.
    pub const fn deny(layer4_bits: u8) -> Self {
        Self {
            flags: PolicyFlags::DENY,
            ..Self::allow(layer4_bits)
        }
    }
}
