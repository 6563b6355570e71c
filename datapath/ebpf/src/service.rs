//! Services: which backend a flow goes to, and the rewrite towards it.
//!
//! The choice is stateless: a hash of the flow into the service's Maglev table, so every node and
//! every run chooses alike. Replies are the backend's own affair.

use core::hint::black_box;
use core::mem::offset_of;

use twinpath_abi::{Backend, Family, MAGLEV_SIZE, Protocol, ServiceKey, ServiceValue};

use crate::csum::Difference;
use crate::drops::{Drop, drop_packet};
use crate::l3::Hop;
use crate::maps;
use crate::packet::Packet;
use crate::parse::{L2, L3, L4};
use crate::wire::{Ethernet, Ipv4, Ipv6, Tcp, Udp};

/// The service whose frontend the packet is for.
#[inline(always)]
pub fn lookup(l3: &L3, l4: &L4) -> Option<&'static ServiceValue> {
    maps::service(ServiceKey::from_parts(l3.daddr, l3.family, l4.dport, l4.protocol))
}

/// Whether the destination address is a virtual IP, whatever the port.
#[inline(always)]
pub fn is_virtual_ip(l3: &L3) -> bool {
    let any = twinpath_abi::Port::new(0);
    maps::service(ServiceKey::from_parts(l3.daddr, l3.family, any, Protocol::ANY)).is_some()
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
    let slot = black_box(hash % MAGLEV_SIZE as u32) as usize;
    let id = *table.backends.get(slot).ok_or(drop_packet!(Service, NoService))?;
    maps::backend(id).ok_or(drop_packet!(Service, NoService))
}

/// Rewrites the packet to go to the backend, as a router would send it on. Nothing is written
/// unless everything can be.
#[inline(always)]
pub fn dnat(packet: &Packet, l2: &L2, l3: &L3, l4: &L4, backend: &Backend) -> Result<(), Drop> {
    let hop = Hop::after(l3)?;
    let pseudo_header = Difference::default().address(l3.daddr, backend.address);
    let transport =
        pseudo_header.word(l4.dport.network_order(), backend.port.network_order());
    write(packet, l2, l3, l4, backend, hop, transport).ok_or(drop_packet!(Service, WriteError))
}

/// The writes of [`dnat`], the last first, as that is the one which may not fit.
#[inline(always)]
fn write(
    packet: &Packet,
    l2: &L2,
    l3: &L3,
    l4: &L4,
    backend: &Backend,
    hop: Hop,
    transport: Difference,
) -> Option<()> {
    match l4.protocol {
        Protocol::TCP => {
            packet.write(l4.offset + offset_of!(Tcp, check), transport.apply(l4.check))?;
            packet.write(l4.offset + offset_of!(Tcp, dst), backend.port)?;
        }
        _ => {
            packet.write(l4.offset + offset_of!(Udp, check), transport.apply_udp(l4.check))?;
            packet.write(l4.offset + offset_of!(Udp, dst), backend.port)?;
        }
    }
    match l3.family {
        Family::V6 => {
            packet.write(l3.offset + offset_of!(Ipv6, dst), backend.address)?;
            packet.write(l3.offset + offset_of!(Ipv6, hop_limit), hop.ttl)?;
        }
        _ => {
            let at = l3.offset + offset_of!(Ipv4, check);
            let header = hop.difference.address(l3.daddr, backend.address);
            let [to, ..] = backend.address.words();
            let check: u16 = packet.read(at)?;
            packet.write(at, header.apply(check))?;
            packet.write(l3.offset + offset_of!(Ipv4, dst), to)?;
            packet.write(l3.offset + offset_of!(Ipv4, ttl), hop.ttl)?;
        }
    }
    let dst = if backend.mac.is_none() { l2.src } else { backend.mac };
    packet.write(offset_of!(Ethernet, dst), dst)?;
    packet.write(offset_of!(Ethernet, src), l2.dst)
}
