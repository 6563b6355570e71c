//! The ipcache: who an address is, and how it is reached.

use core::net::IpAddr;

use crate::{Address, Family, Identity, records, sizes};

records! {
    /// Value of [`map::IPCACHE`](crate::map::IPCACHE) (Cilium's `remote_endpoint_info`).
    pub struct RemoteEndpoint {
        /// The identity behind the prefix.
        pub sec_identity: Identity,
        /// The node that tunnels to it end at, valid with [`RemoteFlags::HAS_TUNNEL`].
        pub tunnel_endpoint: Address,
        /// Always 0.
        pub reserved: u16,
        /// Always 0.
        pub key: u8,
        /// How it is reached.
        pub flags: RemoteFlags,
    }

    /// Flags of a [`RemoteEndpoint`] (Cilium's `flag_*` bits).
    #[derive(Default)]
    pub struct RemoteFlags(pub u8);
}

sizes!(RemoteEndpoint = 24, RemoteFlags = 1);

impl RemoteFlags {
    /// It is reached without the tunnel.
    pub const SKIP_TUNNEL: Self = Self(1);
    /// It is on another node, at [`RemoteEndpoint::tunnel_endpoint`].
    pub const HAS_TUNNEL: Self = Self(1 << 1);
    /// The tunnel's endpoint is an IPv6 address.
    pub const IPV6_TUNNEL: Self = Self(1 << 2);
    /// It is in another cluster.
    pub const REMOTE_CLUSTER: Self = Self(1 << 3);

    /// Whether all of these are set.
    #[inline(always)]
    pub const fn has(self, flags: Self) -> bool {
        self.0 & flags.0 == flags.0
    }
}

impl RemoteEndpoint {
    /// Somebody, on another node if `node` is one.
    pub fn new(identity: Identity, node: Option<IpAddr>) -> Self {
        let flags = match node {
            None => RemoteFlags::default(),
            Some(IpAddr::V4(_)) => RemoteFlags::HAS_TUNNEL,
            Some(IpAddr::V6(_)) => {
                RemoteFlags(RemoteFlags::HAS_TUNNEL.0 | RemoteFlags::IPV6_TUNNEL.0)
            }
        };
        Self {
            sec_identity: identity,
            tunnel_endpoint: node.map_or(Address::UNSPECIFIED, Address::from),
            reserved: 0,
            key: 0,
            flags,
        }
    }

    /// The same, in another cluster if it is in one.
    #[must_use]
    pub fn in_other_cluster(mut self, other: bool) -> Self {
        if other {
            self.flags.0 |= RemoteFlags::REMOTE_CLUSTER.0;
        }
        self
    }

    /// The node that tunnels to it end at, if it is on another one.
    pub fn node(&self) -> Option<IpAddr> {
        let family = if self.flags.has(RemoteFlags::IPV6_TUNNEL) {
            Family::V6
        } else {
            Family::V4
        };
        let has = self.flags.has(RemoteFlags::HAS_TUNNEL);
        has.then(|| self.tunnel_endpoint.to_ip(family)).flatten()
    }
}
