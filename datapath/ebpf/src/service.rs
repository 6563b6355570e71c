//! Services: which backend a flow goes to, and the rewrite towards it.
//!
//! The choice is stateless: a hash of the flow into the service's Maglev table, so every node and
//! every run chooses alike. Replies are the backend's own affair.

use twinpath_abi::{Backend, Family, FlowTuple, MAGLEV_SIZE, Protocol, ServiceKey, ServiceValue};

use crate::apart::apart;
use crate::context::{Context as _, Xdp};
use crate::csum::Difference;
use crate::drops::{Drop, drop_packet};
use crate::l3::Hop;
use crate::layers::{L2, L3, L4, Transport};
use crate::maps;
use crate::opaque::opaque;
use crate::packet::{Header, Packet};
use crate::parse;
use crate::wire::{Ethernet, Ipv4, Ipv6, Tcp, Udp};

/// All bits of the places where transport headers begin, behind four extension headers of at most 2 KiB. The verifier,
/// which follows pointers no further than 64 KiB into a packet (`MAX_PACKET_OFF`), must be told of those that are read
/// from memory.
const OFFSETS: u16 = 0x3fff;

/// The transport header of a packet that may be for a service; `None` for ICMP, which is for none. What
/// cannot be read is a drop, if the packet is for a virtual IP.
#[inline(always)]
pub fn transport(ctx: &Xdp, packet: &Packet, l3: &L3) -> Result<Option<L4>, Drop> {
    if !l3.fragment.is_whole() {
        return Err(drop_packet!(Service, FragmentNotSupported));
    }
    let mut transport = Transport::after(l3);
    if l3.family == Family::V6 && parse::is_extension(transport.protocol) {
        let l3 = *l3;
        skip_extensions(ctx, &l3, &mut transport)?;
        transport.offset &= usize::from(OFFSETS);
    }
    if !transport.fragment.is_whole() {
        return Err(drop_packet!(Service, FragmentNotSupported));
    }
    match (transport.protocol, l3.family) {
        (Protocol::TCP | Protocol::UDP, _) => parse::l4(packet, l3, &transport).map(Some),
        (Protocol::ICMP, Family::V4) | (Protocol::ICMPV6, Family::V6) => Ok(None),
        _ => Err(drop_packet!(Service, UnknownL4)),
    }
}

apart! {
    /// Goes on to the first header that is no extension.
    fn skip_extensions as service_skip_extensions(
        ctx: &Xdp,
        l3: &L3,
        transport: &mut Transport,
    ) -> Result<(), Drop> {
        let l3 = L3 { header_end: l3.header_end & OFFSETS, ..*l3 };
        *transport = parse::extensions(&ctx.packet(), &l3)?;
        Ok(())
    }
}

/// The service whose frontend the packet is for.
#[inline(always)]
pub fn lookup(flow: &FlowTuple) -> Option<&'static ServiceValue> {
    maps::service(ServiceKey::from_parts(
        flow.daddr,
        flow.family,
        flow.dport,
        flow.proto,
    ))
}

/// Whether the destination address is a virtual IP, whatever the port.
#[inline(always)]
pub fn is_virtual_ip(flow: &FlowTuple) -> bool {
    let any = twinpath_abi::Port::new(0);
    maps::service(ServiceKey::from_parts(
        flow.daddr,
        flow.family,
        any,
        Protocol::ANY,
    ))
    .is_some()
}

/// The backend for a flow with this hash.
#[inline(always)]
pub fn backend(service: &ServiceValue, hash: u32) -> Result<&'static Backend, Drop> {
    if service.count == 0 {
        return Err(drop_packet!(Service, NoService));
    }
    let table = maps::maglev(service.rev_nat_index).ok_or(drop_packet!(Service, NoService))?;
    // The compiler knows that a remainder is in bounds; older verifiers do not, and want to see the
    // check that `get` makes.
    let slot = opaque(u64::from(hash % MAGLEV_SIZE as u32)) as usize;
    let id = *table
        .backends
        .get(slot)
        .ok_or(drop_packet!(Service, NoService))?;
    maps::backend(id).ok_or(drop_packet!(Service, NoService))
}

/// Rewrites the packet to go to the backend, as a router would send it on.
#[inline(always)]
pub fn dnat(
    packet: &Packet,
    flow: &FlowTuple,
    l2: &L2,
    l3: &L3,
    l4: &L4,
    backend: &Backend,
) -> Result<(), Drop> {
    let hop = Hop::after(l3)?;
    let address = Difference::default().address(flow.daddr, backend.address);
    rewrite_l4(packet, l4, address, backend)?;
    rewrite_l3(packet, l3, address, backend, hop)?;
    let ethernet: Header<Ethernet> = packet.header(0).ok_or(drop_packet!(Service, WriteError))?;
    ethernet.set_dst(if backend.mac.is_none() {
        l2.src
    } else {
        backend.mac
    });
    ethernet.set_src(l2.dst);
    Ok(())
}

/// The port, and the checksum, which covers the addresses too.
#[inline(always)]
fn rewrite_l4(packet: &Packet, l4: &L4, address: Difference, to: &Backend) -> Result<(), Drop> {
    let difference = address.word(l4.dport.network_order(), to.port.network_order());
    match l4.protocol {
        Protocol::TCP => {
            let tcp: Header<Tcp> = packet
                .header(l4.at(0))
                .ok_or(drop_packet!(Service, WriteError))?;
            tcp.set_dst(to.port);
            tcp.set_check(difference.apply(l4.check));
        }
        _ => {
            let udp: Header<Udp> = packet
                .header(l4.at(0))
                .ok_or(drop_packet!(Service, WriteError))?;
            udp.set_dst(to.port);
            udp.set_check(difference.apply_udp(l4.check));
        }
    }
    Ok(())
}

/// The address and the time to live, and IPv4's header checksum.
#[inline(always)]
fn rewrite_l3(
    packet: &Packet,
    l3: &L3,
    address: Difference,
    to: &Backend,
    hop: Hop,
) -> Result<(), Drop> {
    match l3.family {
        Family::V6 => {
            let ip: Header<Ipv6> = packet
                .header(l3.at(0))
                .ok_or(drop_packet!(Service, WriteError))?;
            ip.set_dst(to.address);
            ip.set_hop_limit(hop.ttl);
        }
        _ => {
            let ip: Header<Ipv4> = packet
                .header(l3.at(0))
                .ok_or(drop_packet!(Service, WriteError))?;
            ip.set_dst(to.address);
            ip.set_ttl(hop.ttl);
            ip.set_check(address.word(hop.from, hop.to).apply(ip.check()));
        }
    }
    Ok(())
}
