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

use twinpath_abi::{
    CtEntry, CtFlags, CtTuple, CtTupleFlags, Direction, Family, FlowTuple, Identity, Port,
    Protocol, RevNatIndex, TraceReason, lifetime,
};

use crate::context::Context as _;
use crate::drops::{Drop, drop_packet};
use crate::parse::{L3, L4};
use crate::tc::Tc;
use crate::wire::tcp_flag::{FIN, RST, SYN};
use crate::{atomic, config, icmp, maps, seam};

/// What conntrack knows of a packet.
#[derive(Clone, Copy)]
pub enum State {
    New,
    Established,
    /// It opens anew what was closing.
    Reopened,
    Reply,
    Related,
}

/// A packet's connection.
#[derive(Clone, Copy)]
pub struct Connection {
    pub state: State,
    /// It has not been told of for a while, or there is something new about it.
    pub report: bool,
    /// The proxy that it goes through; 0 for none.
    pub proxy_port: Port,
}

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

/// The key of a packet that goes in a direction, as seen by the endpoint.
#[inline(always)]
fn key(flow: &FlowTuple, family: Family, direction: Direction) -> CtTuple {
    let flags = match direction {
        Direction::Egress => CtTupleFlags::OUT,
        Direction::Ingress => CtTupleFlags::IN,
    };
    CtTuple::new(flow, family, flags)
}

#[inline(always)]
fn opposite(direction: Direction) -> Direction {
    match direction {
        Direction::Egress => Direction::Ingress,
        Direction::Ingress => Direction::Egress,
    }
}

/// The flow of the answers.
#[inline(always)]
fn reversed(flow: &FlowTuple) -> FlowTuple {
    FlowTuple {
        saddr: flow.daddr,
        daddr: flow.saddr,
        sport: flow.dport,
        dport: flow.sport,
        proto: flow.proto,
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

/// Looks a packet's connection up and notes the packet in it.
///
/// A function of its own, as the keys would not fit on the caller's stack.
#[inline(never)]
pub fn lookup(ctx: &Tc, l3: &L3, l4: &L4, direction: Direction) -> Connection {
    let now = seam::seconds();
    if icmp::is_error(l3, l4) {
        return related(ctx, l3, l4, direction, now);
    }
    let flow = l4.flow(l3);
    let answer = find(&key(&reversed(&flow), l3.family, opposite(direction)), now);
    let (entry, is_reply) = match answer {
        Some(entry) => (entry, true),
        None => match find(&key(&flow, l3.family, direction), now) {
            Some(entry) => (entry, false),
            None => return Connection::NEW,
        },
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

impl Connection {
    const NEW: Self = Self {
        state: State::New,
        report: true,
        proxy_port: Port::new(0),
    };
}

/// The connection of an error: that of the packet which it quotes, and which went the other way.
#[inline(always)]
fn related(ctx: &Tc, l3: &L3, l4: &L4, direction: Direction, now: u32) -> Connection {
    let Some(flow) = icmp::quoted(ctx, l3, l4) else {
        return Connection::NEW;
    };
    let before = opposite(direction);
    let known = find(&key(&flow, l3.family, before), now).is_some()
        || find(&key(&reversed(&flow), l3.family, direction), now).is_some();
    Connection {
        state: if known { State::Related } else { State::New },
        ..Connection::NEW
    }
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

/// What conntrack is told of a new connection.
pub struct Opening {
    pub direction: Direction,
    /// Identity of who opens it.
    pub source: Identity,
    /// The proxy that it goes through; 0 for none.
    pub proxy_port: Port,
}

/// Makes a connection known that a packet opens. A function of its own for the same reason.
#[inline(never)]
pub fn create(ctx: &Tc, l3: &L3, l4: &L4, opening: &Opening) -> Result<(), Drop> {
    let now = seam::seconds();
    let Opening {
        direction,
        source,
        proxy_port,
    } = *opening;
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
    let key = key(&l4.flow(l3), l3.family, direction);
    maps::add_connection(&key, &entry).map_err(|_| drop_packet!(Conntrack, CtCreateFailed))
}
