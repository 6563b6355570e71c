//! Rewriting one end of a packet: its address and its port, or the identifier of an ICMP echo, with all checksums.

use aya_ebpf::bindings::BPF_F_MARK_MANGLED_0;
use twinpath_abi::{Address, Family, FlowTuple, Port, Protocol};

use crate::apart::{apart, plain};
use crate::csum::Difference;
use crate::drops::{Drop, drop_packet};
use crate::icmp;
use crate::layers::{L3, L4};
use crate::tc::{Tc, WriteError};
use crate::wire::at;

/// Which end of a packet changes. Of the packet that an ICMP error quotes, which went the other way, it is the other.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Side {
    Source,
    Destination,
}

plain! {
    /// What changes.
    pub struct Change {
        pub from: Address,
        pub to: Address,
        pub from_port: Port,
        pub to_port: Port,
    }
}

impl Change {
    /// Nothing.
    pub const NONE: Self = Self {
        from: Address::UNSPECIFIED,
        to: Address::UNSPECIFIED,
        from_port: Port::new(0),
        to_port: Port::new(0),
    };
}

impl Side {
    #[inline(always)]
    fn other(self) -> Self {
        match self {
            Self::Source => Self::Destination,
            Self::Destination => Self::Source,
        }
    }

    /// Where the address is in a network header.
    #[inline(always)]
    fn address(self, family: Family) -> usize {
        match (family, self) {
            (Family::V6, Self::Source) => at::IPV6_SRC,
            (Family::V6, Self::Destination) => at::IPV6_DST,
            (_, Self::Source) => at::IPV4_SRC,
            (_, Self::Destination) => at::IPV4_DST,
        }
    }

    /// Where the port is in a transport header.
    #[inline(always)]
    fn port(self, protocol: Protocol) -> usize {
        match (protocol, self) {
            (Protocol::ICMP | Protocol::ICMPV6, _) => at::ICMP_ID,
            (_, Self::Source) => at::PORTS_SRC,
            (_, Self::Destination) => at::PORTS_DST,
        }
    }
}

/// The checksum of a transport header.
#[derive(Clone, Copy)]
struct Checksum {
    /// Where it is in the header.
    at: usize,
    /// It covers the addresses.
    has_pseudo: bool,
    /// 0 is none, and stays so; one that would become 0 does not.
    is_optional: bool,
}

impl Checksum {
    /// SCTP's is none that can be corrected.
    #[inline(always)]
    fn of(protocol: Protocol) -> Option<Self> {
        let (at, has_pseudo) = match protocol {
            Protocol::TCP => (at::TCP_CHECK, true),
            Protocol::UDP => (at::UDP_CHECK, true),
            Protocol::ICMP => (at::ICMP_CHECK, false),
            Protocol::ICMPV6 => (at::ICMP_CHECK, true),
            _ => return None,
        };
        let is_optional = protocol == Protocol::UDP;
        Some(Self {
            at,
            has_pseudo,
            is_optional,
        })
    }

    /// What the helper is told of it.
    #[inline(always)]
    fn flags(self) -> u64 {
        match self.is_optional {
            true => u64::from(BPF_F_MARK_MANGLED_0),
            false => 0,
        }
    }

    /// The checksum after a rewrite.
    #[inline(always)]
    fn corrected(self, old: u16, difference: Difference) -> u16 {
        match self.is_optional {
            true => difference.apply_udp(old),
            false => difference.apply(old),
        }
    }
}

apart! {
    /// Rewrites an end of a packet; of a fragment without transport header, the address.
    pub fn packet as translate_packet(
        ctx: &Tc,
        l3: &L3,
        l4: &L4,
        change: &Change,
        side: Side,
    ) -> Result<(), Drop> {
        let failed = |WriteError| drop_packet!(Translate, WriteError);
        if l4.has_header {
            if change.from_port != change.to_port {
                let check = Checksum::of(l4.protocol).ok_or(drop_packet!(Translate, ChecksumL4))?;
                let (from, to) = (change.from_port.network_order(), change.to_port.network_order());
                ctx.replace_l4_word(l4.at(check.at), from, to, check.flags()).map_err(failed)?;
                let at = l4.at(side.port(l4.protocol));
                ctx.store_balanced(at, &to.to_ne_bytes()).map_err(failed)?;
            }
            pseudo(ctx, l3, l4, change).map_err(failed)?;
        }
        address(ctx, l3, change, side).map_err(failed)
    }
}

/// Corrects the transport header's checksum for the address.
#[inline(always)]
fn pseudo(ctx: &Tc, l3: &L3, l4: &L4, change: &Change) -> Result<(), WriteError> {
    let Some(check) = Checksum::of(l4.protocol).filter(|check| check.has_pseudo) else {
        return Ok(());
    };
    let (at, flags) = (l4.at(check.at), check.flags());
    let (from, to) = (&change.from, &change.to);
    match l3.family {
        Family::V6 => ctx.replace_l4_pseudo(at, from.octets_ref(), to.octets_ref(), flags),
        _ => ctx.replace_l4_pseudo(at, from.v4_ref(), to.v4_ref(), flags),
    }
}

/// Writes the address, with IPv4's header checksum.
#[inline(always)]
fn address(ctx: &Tc, l3: &L3, change: &Change, side: Side) -> Result<(), WriteError> {
    let at = l3.at(side.address(l3.family));
    match l3.family {
        Family::V6 => ctx.store(at, change.to.octets_ref()),
        _ => {
            let (from, to) = (change.from.v4_ref(), change.to.v4_ref());
            ctx.replace_l3_bytes(l3.at(at::IPV4_CHECK), from, to)?;
            ctx.store_balanced(at, to)
        }
    }
}

/// The address that stands at an end of a packet.
#[inline(always)]
fn standing(ctx: &Tc, l3: &L3, side: Side) -> Result<Address, WriteError> {
    let at = l3.at(side.address(l3.family));
    match l3.family {
        Family::V6 => ctx.bytes(at).map(Address::v6),
        _ => ctx.bytes(at).map(Address::v4),
    }
}

apart! {
    /// Rewrites an end of an ICMP error, and the other end of the packet that it quotes. The error need not be of who has
    /// got that: a router on the way sends it under an address of its own.
    pub fn error as translate_error(
        ctx: &Tc,
        l3: &L3,
        l4: &L4,
        change: &Change,
        side: Side,
    ) -> Result<(), Drop> {
        let unread = drop_packet!(Translate, InvalidPacket);
        let quoted = icmp::quoted(ctx, l3.family, l4).ok_or(unread)?;
        let write = || {
            let inner = Inner {
                ctx,
                check: l4.at(at::ICMP_CHECK),
                change,
                side: side.other(),
            };
            inner.transport(&quoted.flow, quoted.transport, l3.end())?;
            inner.address(l3.family, quoted.offset)?;
            let outer = Change { from: standing(ctx, l3, side)?, ..*change };
            pseudo(ctx, l3, l4, &outer)?;
            address(ctx, l3, &outer, side)
        };
        write().map_err(|WriteError| drop_packet!(Translate, WriteError))
    }
}

/// A packet that an ICMP error quotes. All of it is under the error's checksum.
struct Inner<'a> {
    ctx: &'a Tc,
    /// Where the error's checksum is.
    check: usize,
    change: &'a Change,
    side: Side,
}

impl Inner<'_> {
    /// Writes a word.
    #[inline(always)]
    fn word(&self, at: usize, from: u16, to: u16) -> Result<(), WriteError> {
        self.ctx.replace_l4_word(self.check, from, to, 0)?;
        self.ctx.store_balanced(at, &to.to_ne_bytes())
    }

    /// The port, and the checksum, if the error quotes that much.
    #[inline(always)]
    fn transport(&self, flow: &FlowTuple, header: usize, end: usize) -> Result<(), WriteError> {
        let (from, to) = (self.change.from_port, self.change.to_port);
        let (from, to) = (from.network_order(), to.network_order());
        if let Some(check) = Checksum::of(flow.proto)
            && header + check.at + size_of::<u16>() <= end
        {
            let mut difference = Difference::default().word(from, to);
            if check.has_pseudo {
                difference = difference.address(self.change.from, self.change.to);
            }
            let at = header + check.at;
            let old = u16::from_ne_bytes(self.ctx.bytes(at)?);
            self.word(at, old, check.corrected(old, difference))?;
        }
        self.word(header + self.side.port(flow.proto), from, to)
    }

    /// The address, and IPv4's header checksum.
    #[inline(always)]
    fn address(&self, family: Family, header: usize) -> Result<(), WriteError> {
        let (from, to) = (&self.change.from, &self.change.to);
        let at = header + self.side.address(family);
        match family {
            Family::V6 => self.covered(at, from.octets_ref(), to.octets_ref()),
            _ => {
                let check = header + at::IPV4_CHECK;
                let old = u16::from_ne_bytes(self.ctx.bytes(check)?);
                let new = Difference::default().address(*from, *to).apply(old);
                self.word(check, old, new)?;
                self.covered(at, from.v4_ref(), to.v4_ref())
            }
        }
    }

    /// Writes bytes.
    #[inline(always)]
    fn covered<const N: usize>(
        &self,
        at: usize,
        from: &[u8; N],
        to: &[u8; N],
    ) -> Result<(), WriteError> {
        self.ctx.replace_l4_bytes(self.check, from, to)?;
        self.ctx.store_balanced(at, to)
    }
}
