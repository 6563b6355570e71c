//! Endpoints: by address for delivery to them, by device for what they send.

use core::net::IpAddr;

use crate::{Address, EndpointId, Family, Identity, Ifindex, Mac, records, sizes};

records! {
    /// Key of [`map::LXC`](crate::map::LXC): an address (Cilium's `endpoint_key`).
    pub struct EndpointKey {
        /// The endpoint's address.
        pub ip: Address,
        /// Which kind of address it is.
        pub family: Family,
        /// Always 0.
        pub key: u8,
        /// Always 0, as in [`PrefixData`](crate::PrefixData).
        pub cluster_id: u16,
    }

    /// Value of [`map::LXC`](crate::map::LXC): where an address lives (Cilium's `endpoint_info`).
    pub struct EndpointInfo {
        /// The node's end of the endpoint's device pair.
        pub ifindex: Ifindex,
        /// The endpoint's number.
        pub lxc_id: EndpointId,
        /// Always 0.
        pub reserved: u16,
        /// What is particular about it.
        pub flags: EndpointFlags,
        /// The endpoint's identity.
        pub sec_id: Identity,
        /// The endpoint's own Ethernet address: destination of what is delivered to it.
        pub mac: Mac,
        /// The Ethernet address of the node's end: source of what is delivered to it.
        pub node_mac: Mac,
        /// Always 0.
        pub reserved2: u32,
    }

    /// Flags of an [`EndpointInfo`].
    #[derive(Default)]
    pub struct EndpointFlags(pub u32);

    /// Value of [`map::LXC_DEVICE`](crate::map::LXC_DEVICE): who sends through a device.
    pub struct DeviceEndpoint {
        /// The endpoint's IPv4 address, valid with [`DeviceEndpoint::HAS_V4`].
        pub ipv4: Address,
        /// The endpoint's IPv6 address, valid with [`DeviceEndpoint::HAS_V6`].
        pub ipv6: Address,
        /// The endpoint's identity.
        pub sec_id: Identity,
        /// The endpoint's number.
        pub lxc_id: EndpointId,
        /// What it has: [`DeviceEndpoint::HAS_V4`], [`DeviceEndpoint::HAS_V6`],
        /// [`DeviceEndpoint::AUDIT`].
        pub flags: u16,
        /// The endpoint's own Ethernet address: the source of what it sends.
        pub mac: Mac,
        /// The Ethernet address of the node's end: that of its gateway.
        pub node_mac: Mac,
    }
}

sizes!(EndpointKey = 20, EndpointInfo = 32, DeviceEndpoint = 52);

impl EndpointKey {
    /// The key of an address in this cluster.
    pub fn new(ip: IpAddr) -> Self {
        Self::from_parts(ip.into(), Family::of(ip))
    }

    /// The key of an address in this cluster, as the programs have it.
    #[inline(always)]
    pub const fn from_parts(ip: Address, family: Family) -> Self {
        Self {
            ip,
            family,
            key: 0,
            cluster_id: 0,
        }
    }
}

impl EndpointFlags {
    /// An address of the node itself (Cilium's `ENDPOINT_F_HOST`).
    pub const HOST: Self = Self(1);
    /// Its policy is in audit mode: what that denies is reported and goes on.
    pub const AUDIT: Self = Self(1 << 8);

    /// These, and [`EndpointFlags::AUDIT`] if it is to be in audit mode.
    #[must_use]
    pub const fn audited(self, audit: bool) -> Self {
        Self(if audit {
            self.0 | Self::AUDIT.0
        } else {
            self.0
        })
    }

    /// Whether all of these are set.
    #[inline(always)]
    pub const fn has(self, flags: Self) -> bool {
        self.0 & flags.0 == flags.0
    }
}

impl DeviceEndpoint {
    /// [`DeviceEndpoint::ipv4`] is the endpoint's address.
    pub const HAS_V4: u16 = 1;
    /// [`DeviceEndpoint::ipv6`] is the endpoint's address.
    pub const HAS_V6: u16 = 2;
    /// Its policy is in audit mode: what that denies is reported and goes on.
    pub const AUDIT: u16 = 4;

    /// The endpoint's address of one family.
    pub fn address(&self, family: Family) -> Option<IpAddr> {
        let (ip, flag) = match family {
            Family::V4 => (self.ipv4, Self::HAS_V4),
            _ => (self.ipv6, Self::HAS_V6),
        };
        (self.flags & flag != 0).then(|| ip.to_ip(family)).flatten()
    }
}
