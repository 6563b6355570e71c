//! What a router does to every packet that it sends on.

use twinpath_abi::{Address, Family, Protocol};

use crate::drops::{Drop, drop_packet};
use crate::layers::L3;
use crate::tc::{Tc, WriteError};
use crate::wire::at;

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

/// Writes by helpers, as they keep the stack's checksum of the packet right.
impl L3 {
    /// Sets the time to live.
    #[inline(always)]
    pub fn write_hop(&self, ctx: &Tc, ttl: u8) -> Result<(), WriteError> {
        match self.family {
            Family::V6 => ctx.store(self.at(at::IPV6_HOP_LIMIT), &[ttl]),
            _ => {
                let (from, to) = (word(self.ttl, self.protocol), word(ttl, self.protocol));
                ctx.replace_l3_csum(self.at(at::IPV4_CHECK), from, to)?;
                ctx.store_balanced(self.at(at::IPV4_TTL), &[ttl])
            }
        }
    }

    /// Sets both addresses, which the header's checksum must not notice: it is for who swaps them, and
    /// IPv6 has none.
    #[inline(always)]
    pub fn write_addresses(
        &self,
        ctx: &Tc,
        saddr: &Address,
        daddr: &Address,
    ) -> Result<(), WriteError> {
        match self.family {
            Family::V6 => {
                ctx.store(self.at(at::IPV6_SRC), saddr.octets_ref())?;
                ctx.store(self.at(at::IPV6_DST), daddr.octets_ref())
            }
            _ => {
                ctx.store(self.at(at::IPV4_SRC), saddr.v4_ref())?;
                ctx.store(self.at(at::IPV4_DST), daddr.v4_ref())
            }
        }
    }
}
