//! What programs write into a packet's `mark`, for each other and for the stack's rules (Cilium's
//! `MARK_MAGIC_*`, `bpf/lib/common.h`).

use crate::{Identity, Port, records, sizes};

records! {
    /// A packet's mark.
    #[derive(Default)]
    pub struct Mark(pub u32);
}

sizes!(Mark = 4);

impl Mark {
    const KIND: u32 = 0x0f00;
    const TO_PROXY: u32 = 0x0200;
    const SNAT_DONE: u32 = 0x0300;
    const OVERLAY: u32 = 0x0400;
    const PROXY_INGRESS: u32 = 0x0a00;
    const PROXY_EGRESS: u32 = 0x0b00;
    const HOST: u32 = 0x0c00;
    const IDENTITY: u32 = 0x0f00;

    /// The sender's identity: its lower 16 bits above, the other 8 below.
    #[inline(always)]
    pub const fn identity(identity: Identity) -> Self {
        Self(Self::IDENTITY | Self::bits(identity))
    }

    /// For the proxy at a port.
    #[inline(always)]
    pub const fn to_proxy(port: Port) -> Self {
        Self(Self::TO_PROXY | (port.network_order() as u32) << 16)
    }

    /// Translated already.
    #[inline(always)]
    pub const fn snat_done(identity: Identity) -> Self {
        Self(Self::SNAT_DONE | Self::bits(identity))
    }

    /// Encapsulated by us, for somebody with this identity.
    #[inline(always)]
    pub const fn overlay(identity: Identity) -> Self {
        Self(Self::OVERLAY | Self::bits(identity))
    }

    /// From the node itself.
    #[inline(always)]
    pub const fn host() -> Self {
        Self(Self::HOST)
    }

    /// From a proxy in front of an endpoint, on behalf of an identity.
    #[inline(always)]
    pub const fn proxy_ingress(identity: Identity) -> Self {
        Self(Self::PROXY_INGRESS | Self::bits(identity))
    }

    /// From a proxy behind an endpoint, on behalf of an identity.
    #[inline(always)]
    pub const fn proxy_egress(identity: Identity) -> Self {
        Self(Self::PROXY_EGRESS | Self::bits(identity))
    }

    #[inline(always)]
    const fn bits(identity: Identity) -> u32 {
        (identity.0 & 0xffff) << 16 | (identity.0 >> 16) & 0xff
    }

    #[inline(always)]
    const fn is(self, kind: u32) -> bool {
        self.0 & Self::KIND == kind
    }

    /// Whether it was translated already.
    #[inline(always)]
    pub const fn is_snat_done(self) -> bool {
        self.is(Self::SNAT_DONE)
    }

    /// Whether it was encapsulated by us.
    #[inline(always)]
    pub const fn is_overlay(self) -> bool {
        self.is(Self::OVERLAY)
    }

    /// Whether it comes from a proxy in front of an endpoint.
    #[inline(always)]
    pub const fn is_from_proxy_ingress(self) -> bool {
        self.is(Self::PROXY_INGRESS)
    }

    /// Whether it comes from a proxy behind an endpoint.
    #[inline(always)]
    pub const fn is_from_proxy_egress(self) -> bool {
        self.is(Self::PROXY_EGRESS)
    }

    /// Whether it comes from a proxy, in front of an endpoint or behind one.
    #[inline(always)]
    pub const fn is_from_proxy(self) -> bool {
        self.is_from_proxy_ingress() || self.is_from_proxy_egress()
    }

    /// The identity that it carries, if its kind has one.
    #[inline(always)]
    pub const fn sender(self) -> Option<Identity> {
        match self.0 & Self::KIND {
            Self::HOST => Some(Identity::HOST),
            Self::IDENTITY | Self::SNAT_DONE | Self::OVERLAY => Some(self.carried()),
            Self::PROXY_INGRESS | Self::PROXY_EGRESS => Some(self.carried()),
            _ => None,
        }
    }

    #[inline(always)]
    const fn carried(self) -> Identity {
        Identity(self.0 >> 16 | (self.0 & 0xff) << 16)
    }
}
