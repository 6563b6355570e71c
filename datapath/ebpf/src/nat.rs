//! Masquerading: what leaves the cluster does so under the node's address, and what comes back is for who sent it
//! (Cilium's `bpf/lib/nat.h`).
//!
//! | packet of an endpoint or of the node, to outside the cluster | becomes |
//! |---|---|
//! | to an excluded destination; an answer to who opened a connection to the endpoint | as it is |
//! | TCP, UDP, ICMP echo request | the node's address, and its own port if that is free |
//! | the same, and no port is free of those that are tried | drop 167 |
//! | ICMP error about what came through a translation | the node's address, also in what it quotes |
//! | SCTP whose port would have to change | drop 154 |
//! | another protocol, or ICMP message | drop 168 |

use twinpath_abi::{
    Address, CtTuple, CtTupleFlags, EndpointFlags, Family, FlowTuple, Port, Protocol, SNAT_RETRIES,
    SnatEntry, SnatTuple,
};

use crate::apart::apart;
use crate::drops::{Drop, drop_packet};
use crate::events::Flow;
use crate::layers::{L3, L4};
use crate::tc::Tc;
use crate::translate::{self, Change, Side};
use crate::wire::icmp_type;
use crate::{config, conntrack, endpoint, icmp, ipcache, maps, seam};

/// As long as nothing is known.
const UNKNOWN: SnatEntry = SnatEntry {
    created: 0,
    needs_ct: 0,
    to_addr: Address::UNSPECIFIED,
    to_port: Port::new(0),
    family: Family::NONE,
    reserved: [0; 5],
};

apart! {
    /// Whether a packet that leaves the node is to be translated, as far as its addresses tell.
    pub fn concerns as nat_concerns(flow: &Flow) -> Result<bool, Drop> {
        let Some(node) = config::masquerade(flow.tuple.family) else {
            return Ok(false);
        };
        let FlowTuple { saddr, daddr, family, .. } = flow.tuple;
        if !ipcache::identity(&daddr, family).is_outside()
            || maps::untranslated(daddr, family).is_some()
        {
            return Ok(false);
        }
        Ok(saddr == node || is_endpoint(&flow.tuple.reversed()))
    }
}

/// Whether the receiver is an endpoint of this node.
#[inline(always)]
fn is_endpoint(flow: &FlowTuple) -> bool {
    endpoint::destination(flow).is_some_and(|found| !found.flags.has(EndpointFlags::HOST))
}

/// What a translation does with a packet.
enum Way {
    /// Its source has a port, or an identifier.
    Port,
    /// It is about another packet.
    Error,
    /// Nothing.
    Keep,
}

#[inline(always)]
fn way(l4: &L4) -> Result<Way, Drop> {
    Ok(match l4.protocol {
        Protocol::TCP | Protocol::UDP | Protocol::SCTP => Way::Port,
        _ if icmp::is_error(l4) => Way::Error,
        Protocol::ICMP => match l4.icmp_type {
            icmp_type::ECHO_REQUEST => Way::Port,
            icmp_type::ECHO_REPLY => Way::Keep,
            _ => return Err(drop_packet!(Nat, NatUnsupportedProtocol)),
        },
        Protocol::ICMPV6 => match l4.icmp_type {
            icmp_type::V6_ECHO_REQUEST => Way::Port,
            // Neighbours speak with the node itself.
            _ => Way::Keep,
        },
        _ => return Err(drop_packet!(Nat, NatUnsupportedProtocol)),
    })
}

apart! {
    /// Translates the source of a packet which leaves the node; tells whether it did.
    pub fn masquerade as nat_masquerade(
        ctx: &Tc,
        flow: &Flow,
        l3: &L3,
        l4: &L4,
    ) -> Result<bool, Drop> {
        let Some(node) = config::masquerade(flow.tuple.family) else {
            return Ok(false);
        };
        match way(l4)? {
            Way::Keep => Ok(false),
            Way::Error => {
                let mut change = Change::NONE;
                let known = quoted(ctx, flow, l4, Side::Source, &mut change)?;
                if known {
                    translate::error(ctx, l3, l4, &change, Side::Source)?;
                }
                Ok(known)
            }
            Way::Port => {
                let is_nodes = flow.tuple.saddr == node;
                let (lowest, _) = config::snat_ports();
                // What the node itself serves, and what endpoints answer, keeps its port.
                if is_nodes && l4.sport.get() < lowest || !is_nodes && conntrack::is_answer(flow)? {
                    return Ok(false);
                }
                let mut change = Change::NONE;
                mapping(flow, &mut change)?;
                translate::packet(ctx, l3, l4, &change, Side::Source)?;
                Ok(true)
            }
        }
    }
}

apart! {
    /// Gives a packet that comes to the node back to who opened its connection; tells whether it did.
    pub fn restore as nat_restore(
        ctx: &Tc,
        flow: &mut Flow,
        l3: &L3,
        l4: &L4,
    ) -> Result<bool, Drop> {
        let mut change = Change::NONE;
        if icmp::is_error(l4) {
            if !quoted(ctx, flow, l4, Side::Destination, &mut change)? {
                return Ok(false);
            }
            translate::error(ctx, l3, l4, &change, Side::Destination)?;
        } else {
            if !answered(flow, &mut change)? {
                return Ok(false);
            }
            translate::packet(ctx, l3, l4, &change, Side::Destination)?;
            flow.tuple.dport = change.to_port;
        }
        flow.tuple.daddr = change.to;
        Ok(true)
    }
}

apart! {
    /// What changes in a packet that is an answer to what was translated; tells whether it is one.
    fn answered as nat_answered(flow: &Flow, change: &mut Change) -> Result<bool, Drop> {
        let key = CtTuple::new(&flow.tuple, CtTupleFlags::IN);
        let Some(entry) = maps::translation(&key) else {
            return Ok(false);
        };
        *change = Change {
            from: key.daddr,
            to: entry.to_addr,
            from_port: key.dport,
            to_port: entry.to_port,
        };
        Ok(true)
    }
}

apart! {
    /// What changes in an ICMP error, by the translation of the packet that it quotes, which went the other way; tells
    /// whether there is one.
    fn quoted as nat_quoted(
        ctx: &Tc,
        flow: &Flow,
        l4: &L4,
        side: Side,
        change: &mut Change,
    ) -> Result<bool, Drop> {
        let Some(quoted) = icmp::quoted(ctx, flow.tuple.family, l4) else {
            return Ok(false);
        };
        let flags = match side {
            Side::Source => CtTupleFlags::OUT,
            Side::Destination => CtTupleFlags::IN,
        };
        let key = CtTuple::new(&quoted.flow.reversed(), flags);
        let Some(entry) = maps::translation(&key) else {
            return Ok(false);
        };
        let (from, from_port) = match side {
            Side::Source => (key.saddr, key.sport),
            Side::Destination => (key.daddr, key.dport),
        };
        *change = Change { from, to: entry.to_addr, from_port, to_port: entry.to_port };
        Ok(true)
    }
}

apart! {
    /// What changes in a packet that leaves the node, by the translation that there is, or by a new one.
    fn mapping as nat_mapping(flow: &Flow, change: &mut Change) -> Result<(), Drop> {
        let none = drop_packet!(Nat, NatNoMapping);
        let node = config::masquerade(flow.tuple.family).ok_or(none)?;
        // Older verifiers take keys from the stack alone.
        let key = CtTuple::new(&flow.tuple, CtTupleFlags::OUT);
        let mut back = SnatTuple {
            daddr: node,
            flags: CtTupleFlags::IN,
            ..key.reversed()
        };
        *change = Change {
            from: key.saddr,
            to: node,
            from_port: key.sport,
            to_port: key.sport,
        };
        if let Some(known) = maps::translation(&key)
            && same(known.to_addr, node)
        {
            back.dport = known.to_port;
            if is_for(&back, &key) {
                change.to_port = known.to_port;
                return Ok(());
            }
        }
        back.dport = first_port(key.sport);
        let mut entry = SnatEntry {
            created: seam::now(),
            to_addr: key.saddr,
            to_port: key.sport,
            family: key.family,
            ..UNKNOWN
        };
        for tried in 0..SNAT_RETRIES {
            // What is known of answers goes first, so that no two connections share it.
            if maps::add_translation(&back, &entry).is_ok() || is_for(&back, &key) {
                change.to_port = back.dport;
                entry.to_addr = node;
                entry.to_port = back.dport;
                return maps::set_translation(&key, &entry).map_err(|_| {
                    maps::remove_translation(&back);
                    drop_packet!(Nat, NatNoMapping)
                });
            }
            back.dport = match tried {
                0 => within(seam::random() as u16),
                _ => within(back.dport.get().wrapping_add(1)),
            };
        }
        Err(drop_packet!(Nat, NatNoMapping))
    }
}

/// Whether answers with a key are given back to who has another one.
#[inline(always)]
fn is_for(back: &SnatTuple, key: &SnatTuple) -> bool {
    maps::translation(back)
        .is_some_and(|entry| same(entry.to_addr, key.saddr) && entry.to_port == key.sport)
}

/// Whether two addresses are the same. A comparison word by word would be as many ways for the verifier to follow.
#[inline(always)]
fn same(a: Address, b: Address) -> bool {
    let ([a0, a1, a2, a3], [b0, b1, b2, b3]) = (a.words(), b.words());
    (a0 ^ b0) | (a1 ^ b1) | (a2 ^ b2) | (a3 ^ b3) == 0
}

/// Its own port, if translations may use it.
#[inline(always)]
fn first_port(own: Port) -> Port {
    let (lowest, highest) = config::snat_ports();
    match own.get() {
        port if (lowest..=highest).contains(&port) => own,
        _ => within(seam::random() as u16),
    }
}

/// A port that translations may use, for any number (Cilium's `__snat_clamp_port_range`).
#[inline(always)]
fn within(number: u16) -> Port {
    let (lowest, highest) = config::snat_ports();
    let count = u32::from(highest) + 1 - u32::from(lowest);
    // A range without ports has none to choose from.
    let step = u32::from(number).checked_rem(count).unwrap_or(0);
    Port::new((u32::from(lowest) + step) as u16)
}
