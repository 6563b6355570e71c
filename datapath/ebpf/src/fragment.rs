//! Fragments: the ports of a packet are in its first fragment alone, and the others follow it.

use twinpath_abi::{FlowTuple, FragmentKey, FragmentPorts};

use crate::drops::{Drop, drop_packet};
use crate::layers::{L3, L4, Transport};
use crate::maps;
use crate::parse;
use crate::tc::Tc;
use crate::wire::Part;

/// The transport layer of a packet, or of the packet that it is a fragment of. A fragment that comes before the
/// first one is dropped, as its ports are not known.
#[inline(always)]
pub fn l4(ctx: &Tc, flow: &FlowTuple, l3: &L3) -> Result<L4, Drop> {
    let transport = parse::transport(ctx, l3)?;
    match transport.fragment.part {
        Part::Whole => parse::l4(ctx, l3, &transport),
        Part::First => {
            let l4 = parse::l4(ctx, l3, &transport)?;
            remember(&key(flow, &transport), &l4);
            Ok(l4)
        }
        Part::Later => recall(&key(flow, &transport), &transport),
    }
}

#[inline(always)]
fn key(flow: &FlowTuple, transport: &Transport) -> FragmentKey {
    FragmentKey {
        daddr: flow.daddr,
        saddr: flow.saddr,
        id: transport.fragment.id,
        proto: transport.protocol,
        family: flow.family,
        reserved: 0,
    }
}

/// If there is no room, the other fragments are dropped when they come.
#[inline(always)]
fn remember(key: &FragmentKey, l4: &L4) {
    let ports = FragmentPorts {
        sport: l4.sport,
        dport: l4.dport,
        icmp_type: l4.icmp_type,
        reserved: [0; 3],
    };
    let _ = maps::add_fragment(key, &ports);
}

#[inline(always)]
fn recall(key: &FragmentKey, transport: &Transport) -> Result<L4, Drop> {
    let ports = maps::fragment(key).ok_or(drop_packet!(Fragment, FragmentNotFound))?;
    Ok(L4 {
        sport: ports.sport,
        dport: ports.dport,
        icmp_type: ports.icmp_type,
        ..L4::without_header(transport)
    })
}
