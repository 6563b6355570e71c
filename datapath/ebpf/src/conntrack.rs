//! Connections: which packets belong together (Cilium's `bpf/lib/conntrack.h`).
//!
//! An endpoint keeps an entry for what it opened (`OUT`) and for what was opened to it (`IN`). A packet is
//! looked up as an answer first and in its own direction then, as an answer may pass whatever the policy
//! says. An ICMP error belongs to the connection of the packet that it quotes. An entry past its lifetime
//! counts as none, whether or not user space has removed it.
#![allow(
    unsafe_code,
    reason = "entries are changed in place, where programs on other CPUs see them"
)]

use core::mem::swap;

use twinpath_abi::{
    CtEntry, CtFlags, CtTuple, CtTupleFlags, Direction, FlowTuple, Identity, Port, Protocol,
    RevNatIndex, TraceReason, lifetime,
};

use crate::apart::{answer, apart, plain};
use crate::context::Context as _;
use crate::drops::{Drop, drop_packet};
use crate::events::Flow;
use crate::layers::L4;
use crate::tc::Tc;
use crate::wire::tcp_flag::{FIN, RST, SYN};
use crate::{atomic, config, icmp, maps, seam};

/// What conntrack knows of a packet.
#[derive(Clone, Copy)]
#[repr(u8)]
pub enum State {
    New,
    Established,
    /// It opens anew what was closing.
    Reopened,
    Reply,
    Related,
}

plain! {
    /// A packet's connection.
    pub struct Connection {
        pub state: State,
        /// It has not been told of for a while, or there is something new about it.
        pub report: bool,
        /// The proxy that it goes through; 0 for none.
        pub proxy_port: Port,
    }
}

answer!(Connection);

impl State {
    #[inline(always)]
    pub fn reason(self) -> TraceReason {
        match self {
            Self::New | Self::Reopened => TraceReason::New,
            Self::Established => TraceReason::Established,
            Self::Reply => TraceReason::Reply,
            Self::Related => TraceReason::Related,
        }
    }
}

/// Who keeps the entry of a packet that opens a connection in a direction.
#[inline(always)]
fn own(direction: Direction) -> CtTupleFlags {
    match direction {
        Direction::Egress => CtTupleFlags::OUT,
        Direction::Ingress => CtTupleFlags::IN,
    }
}

/// The key of a packet that goes in a direction, as seen by the endpoint.
#[inline(always)]
fn key(flow: &FlowTuple, direction: Direction) -> CtTuple {
    CtTuple::new(flow, own(direction))
}

/// Makes the key of an answer that of a packet in its own direction, where it is: a copy would be another one on the
/// stack.
#[inline(always)]
fn turn(key: &mut CtTuple, direction: Direction) {
    swap(&mut key.saddr, &mut key.daddr);
    swap(&mut key.sport, &mut key.dport);
    key.flags = own(direction);
}

#[inline(always)]
fn opposite(direction: Direction) -> Direction {
    match direction {
        Direction::Egress => Direction::Ingress,
        Direction::Ingress => Direction::Egress,
    }
}

/// An entry that still counts.
#[inline(always)]
fn find(key: &CtTuple, now: u32) -> Option<*mut CtEntry> {
    let entry = maps::connection(key)?;
    // SAFETY: it is a slot of the map, in which any bytes are an entry.
    let lifetime = unsafe { (*entry).lifetime };
    (lifetime >= now).then_some(entry)
}

/// The entry of the key of an answer, or else that of a packet in its own direction; tells whether it was the former.
#[inline(always)]
fn find_either(key: &mut CtTuple, direction: Direction, now: u32) -> Option<(*mut CtEntry, bool)> {
    if let Some(entry) = find(key, now) {
        return Some((entry, true));
    }
    turn(key, direction);
    find(key, now).map(|entry| (entry, false))
}

apart! {
    /// Looks a packet's connection up and notes the packet in it.
    pub fn lookup as conntrack_lookup(
        ctx: &Tc,
        flow: &Flow,
        l4: &L4,
        direction: Direction,
    ) -> Connection {
        let now = seam::seconds();
        let mut key = key(&flow.tuple.reversed(), opposite(direction));
        let Some((entry, is_reply)) = find_either(&mut key, direction, now) else {
            return Connection::NEW;
        };
        let (reopened, report) = note(entry, l4, direction, ctx.len(), now);
        Connection {
            state: match (is_reply, reopened) {
                (true, _) => State::Reply,
                (false, true) => State::Reopened,
                (false, false) => State::Established,
            },
            report,
            // SAFETY: as in `find`.
            proxy_port: unsafe { (*entry).proxy_port },
        }
    }
}

apart! {
    /// The connection of an ICMP error: that of the packet which it quotes, and which went the other way.
    pub fn related as conntrack_related(
        ctx: &Tc,
        flow: &Flow,
        l4: &L4,
        direction: Direction,
    ) -> Connection {
        let now = seam::seconds();
        let Some(quoted) = icmp::quoted(ctx, flow.tuple.family, l4) else {
            return Connection::NEW;
        };
        let mut key = key(&quoted.flow, opposite(direction));
        let known = find_either(&mut key, direction, now).is_some();
        Connection {
            state: if known { State::Related } else { State::New },
            ..Connection::NEW
        }
    }
}

apart! {
    /// Whether a packet is an answer of an endpoint of this node to whoever opened a connection to it.
    pub fn is_answer as conntrack_is_answer(flow: &Flow) -> Result<bool, Drop> {
        let key = key(&flow.tuple.reversed(), Direction::Ingress);
        Ok(find(&key, seam::seconds()).is_some())
    }
}

impl Connection {
    const NEW: Self = Self {
        state: State::New,
        report: true,
        proxy_port: Port::new(0),
    };
}

/// Notes a packet: counts it, moves the lifetime, and follows TCP's opening and closing. Tells whether the
/// packet opens the connection anew, and whether it is to be told of.
#[inline(always)]
fn note(entry: *mut CtEntry, l4: &L4, direction: Direction, len: u32, now: u32) -> (bool, bool) {
    // SAFETY: the slot stays one of this map while the program runs. Programs on other CPUs may write to
    // it too; what they and we do to the flags and times is right in any order, and the counters are
    // added to as one.
    let entry = unsafe {
        atomic::add(&raw mut (*entry).packets, 1);
        atomic::add(&raw mut (*entry).bytes, u64::from(len));
        &mut *entry
    };
    let tcp = l4.protocol == Protocol::TCP;
    let syn = l4.tcp_flags & SYN != 0;
    let closes = l4.tcp_flags & (FIN | RST) != 0;
    let closing = entry.flags.without(CtFlags(!CLOSING.0)).0 != 0;
    let reopened = !closes && syn && closing;
    if reopened {
        entry.flags = entry.flags.without(CLOSING);
    }
    if tcp && !syn {
        entry.flags = entry.flags.with(CtFlags::SEEN_NON_SYN);
    }
    if closes {
        entry.flags = entry.flags.with(closed(entry, l4.tcp_flags, direction));
    }
    let alive = !entry.flags.has(CLOSING);
    if alive {
        entry.lifetime = now + lifetime(l4.protocol, entry.flags);
    } else if closes {
        entry.lifetime = now + lifetime::CLOSE;
    }
    let news = report(entry, l4.tcp_flags, direction, now);
    (reopened, news || closes || reopened)
}

/// Both sides have closed.
const CLOSING: CtFlags = CtFlags::RX_CLOSING.with(CtFlags::TX_CLOSING);

/// Which sides a packet with FIN or RST closes. A RST ends at once what was never opened by both.
#[inline(always)]
fn closed(entry: &CtEntry, tcp_flags: u8, direction: Direction) -> CtFlags {
    let both_syns = entry.rx_flags_seen & entry.tx_flags_seen & SYN != 0;
    if tcp_flags & RST != 0 && !both_syns {
        return CLOSING;
    }
    match direction {
        Direction::Ingress => CtFlags::RX_CLOSING,
        Direction::Egress => CtFlags::TX_CLOSING,
    }
}

/// Seconds that a connection lives from now on.
#[inline(always)]
fn lifetime(protocol: Protocol, flags: CtFlags) -> u32 {
    match protocol {
        Protocol::TCP if flags.has(CtFlags::SEEN_NON_SYN) => config::lifetime_tcp(),
        Protocol::TCP => lifetime::SYN,
        _ => config::lifetime_any(),
    }
}

/// Whether the packet has a TCP flag that its direction has not had before, or the last report is old.
#[inline(always)]
fn report(entry: &mut CtEntry, tcp_flags: u8, direction: Direction, now: u32) -> bool {
    let (seen, last) = match direction {
        Direction::Ingress => (&mut entry.rx_flags_seen, &mut entry.last_rx_report),
        Direction::Egress => (&mut entry.tx_flags_seen, &mut entry.last_tx_report),
    };
    let report = *seen | tcp_flags != *seen || *last + lifetime::REPORT_INTERVAL < now;
    if report {
        *seen |= tcp_flags;
        *last = now;
    }
    report
}

plain! {
    /// What conntrack is told of a new connection.
    pub struct Opening {
        pub direction: Direction,
        pub unused: u8,
        /// The proxy that it goes through; 0 for none.
        pub proxy_port: Port,
        /// Identity of who opens it.
        pub source: Identity,
    }
}

apart! {
    /// Makes a connection known that a packet opens.
    pub fn create as conntrack_create(
        ctx: &Tc,
        flow: &Flow,
        l4: &L4,
        opening: &Opening,
    ) -> Result<(), Drop> {
        let now = seam::seconds();
        let Opening { direction, source, proxy_port, .. } = *opening;
        let is_tcp = l4.protocol == Protocol::TCP;
        let mut flags = CtFlags::default();
        if is_tcp && l4.tcp_flags & SYN == 0 {
            flags = flags.with(CtFlags::SEEN_NON_SYN);
        }
        if proxy_port.get() != 0 {
            flags = flags.with(CtFlags::PROXY_REDIRECT);
        }
        let (tx, rx) = match direction {
            Direction::Egress => (l4.tcp_flags, 0),
            Direction::Ingress => (0, l4.tcp_flags),
        };
        let (last_tx, last_rx) = match direction {
            Direction::Egress => (now, 0),
            Direction::Ingress => (0, now),
        };
        let entry = CtEntry {
            reserved: 0,
            backend_id: 0,
            packets: 1,
            bytes: u64::from(ctx.len()),
            lifetime: now + lifetime(l4.protocol, flags),
            flags,
            rev_nat_index: RevNatIndex(0),
            proxy_port,
            tx_flags_seen: tx,
            rx_flags_seen: rx,
            src_sec_id: source,
            last_tx_report: last_tx,
            last_rx_report: last_rx,
        };
        let key = key(&flow.tuple, direction);
        maps::add_connection(&key, &entry).map_err(|_| drop_packet!(Conntrack, CtCreateFailed))
    }
}
