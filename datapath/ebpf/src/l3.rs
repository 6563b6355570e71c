//! What a router does to every packet that it sends on.

use twinpath_abi::Protocol;

use crate::drops::{Drop, drop_packet};
use crate::parse::L3;

/// The time to live (IPv6: hop limit) after a hop.
#[derive(Clone, Copy)]
pub struct Hop {
    pub ttl: u8,
    /// The word of the IPv4 header that holds it, before.
    pub from: u16,
    /// The same word after.
    pub to: u16,
}

impl Hop {
    /// Refuses a packet which may not go any further (RFC 1812 5.3.1, RFC 8200 3).
    #[inline(always)]
    pub fn after(l3: &L3) -> Result<Self, Drop> {
        if l3.ttl <= 1 {
            return Err(drop_packet!(L3, TtlExceeded));
        }
        let ttl = l3.ttl - 1;
        let from = word(l3.ttl, l3.protocol);
        let to = word(ttl, l3.protocol);
        Ok(Self { ttl, from, to })
    }
}

#[inline(always)]
fn word(ttl: u8, protocol: Protocol) -> u16 {
    u16::from_ne_bytes([ttl, protocol.0])
}
