//! Events for user space. When the ring buffer is full an event is lost; counters are not.
//!
//! Each is a function of its own: inlined, the compiler would copy it to every place that reports.
#![allow(
    unsafe_code,
    reason = "a record is written in the ring buffer's memory"
)]

use twinpath_abi::{
    Address, Aggregation, CAPTURE_LEN, DebugNotify, DebugPoint, DropNotify, DropRecord, EndpointId,
    Family, FlowTuple, Identity, Ifindex, NotifyCapture, NotifyFlags, NotifyHead, NotifyType, Port,
    TraceNotify, TracePoint, TraceReason, TraceRecord, VerdictFlags, VerdictNotify, VerdictRecord,
};

use crate::apart::{apart, plain};
use crate::context::{Context, Xdp};
use crate::drops::Drop;
use crate::layers::L4;
use crate::policy::{Subject, Verdict};
use crate::tc::Tc;
use crate::{config, maps, seam};

plain! {
    /// What is known of a packet's flow so far.
    pub struct Flow {
        pub tuple: FlowTuple,
        pub src_label: Identity,
        pub dst_label: Identity,
        pub source: EndpointId,
        pub dst_id: EndpointId,
    }
}

plain! {
    /// Where a packet is traced, and what is known of its connection.
    pub struct Trace {
        pub point: TracePoint,
        pub reason: TraceReason,
        /// It is told of even if known connections are left out.
        pub report: bool,
        pub unused: u8,
        /// The device that it goes to.
        pub ifindex: Ifindex,
        /// The source address before a translation; unspecified if there was none.
        pub orig_ip: Address,
    }
}

impl Trace {
    /// Of a packet of which conntrack knows nothing so far, and which goes to no device that is known.
    #[inline(always)]
    pub fn at(point: TracePoint) -> Self {
        Self {
            point,
            reason: TraceReason::Unknown,
            report: false,
            unused: 0,
            ifindex: Ifindex(0),
            orig_ip: Address::UNSPECIFIED,
        }
    }
}

impl Flow {
    pub const UNKNOWN: Self = Self {
        tuple: FlowTuple::UNKNOWN,
        src_label: Identity::UNKNOWN,
        dst_label: Identity::UNKNOWN,
        source: EndpointId::NONE,
        dst_id: EndpointId::NONE,
    };

    #[inline(always)]
    fn head(&self, kind: NotifyType, subtype: u8) -> NotifyHead {
        NotifyHead {
            r#type: kind as u8,
            subtype,
            source: self.source,
            hash: match self.tuple.family {
                Family::NONE => 0,
                _ => self.tuple.hash(config::hash_seed()),
            },
        }
    }

    #[inline(always)]
    fn flags(&self) -> NotifyFlags {
        match self.tuple.family {
            Family::V6 => NotifyFlags::IS_IPV6,
            _ => NotifyFlags(0),
        }
    }
}

/// Writes a record with the packet behind what it tells. `tell` is given how much of the packet that is.
macro_rules! write_record {
    ($ctx:ident, $record:ty, $version:expr, |$capture:ident| $notify:expr) => {{
        let Some(mut entry) = maps::reserve_event::<$record>() else {
            return;
        };
        let len = $ctx.len();
        let $capture = NotifyCapture {
            len_orig: len,
            len_cap: len.min(CAPTURE_LEN as u32) as u16,
            version: $version,
            ext_version: 0,
        };
        let notify = $notify;
        let record = entry.as_mut_ptr();
        // SAFETY: the record is the ring buffer's memory, aligned to 8 and as large as the type.
        unsafe {
            (&raw mut (*record).notify).write(notify);
            $ctx.capture(&raw mut (*record).payload);
        }
        entry.submit(0);
    }};
}

apart! {
    /// Reports a packet dropped at tc.
    pub fn dropped_at_tc as tell_drop_at_tc(ctx: &Tc, flow: &Flow, drop: Drop) -> () {
        write_drop(ctx, flow, drop);
    }
}

apart! {
    /// Reports a packet dropped at XDP.
    pub fn dropped_at_xdp as tell_drop_at_xdp(ctx: &Xdp, flow: &Flow, drop: Drop) -> () {
        write_drop(ctx, flow, drop);
    }
}

#[inline(always)]
fn write_drop<C: Context>(ctx: &C, flow: &Flow, drop: Drop) {
    write_record!(ctx, DropRecord, DropNotify::VERSION, |capture| DropNotify {
        head: flow.head(NotifyType::Drop, drop.reason.code()),
        capture,
        src_label: flow.src_label,
        dst_label: flow.dst_label,
        dst_id: u32::from(flow.dst_id.0),
        line: drop.line,
        file: drop.file as u8,
        ext_error: 0,
        ifindex: ctx.ifindex(),
        flags: flow.flags(),
        reserved: 0,
        reserved2: 0,
        timestamp: seam::now(),
    });
}

/// Reports where a packet is, if that is wanted.
#[inline(always)]
pub fn trace(ctx: &Tc, flow: &Flow, trace: Trace) {
    if !config::traces() {
        return;
    }
    if config::aggregates(Aggregation::Receive) && trace.point.is_arrival() {
        return;
    }
    if config::aggregates(Aggregation::ActiveConnections) && !trace.report {
        return;
    }
    write_trace(ctx, flow, &trace);
}

/// Reports that a packet goes to the proxy at a port, which stands where the receiver's number does.
#[inline(always)]
pub fn trace_to_proxy(ctx: &Tc, flow: &mut Flow, port: Port, told: Trace) {
    flow.dst_id = EndpointId(port.get());
    let point = TracePoint::ToProxy;
    trace(ctx, flow, Trace { point, ..told });
}

apart! {
    pub fn write_trace as tell_trace(ctx: &Tc, flow: &Flow, trace: &Trace) -> () {
        write_record!(ctx, TraceRecord, TraceNotify::VERSION, |capture| TraceNotify {
            head: flow.head(NotifyType::Trace, trace.point as u8),
            capture,
            src_label: flow.src_label,
            dst_label: flow.dst_label,
            dst_id: flow.dst_id,
            reason: trace.reason as u8,
            flags: flow.flags(),
            ifindex: trace.ifindex,
            orig_ip: trace.orig_ip,
            timestamp: seam::now(),
        });
    }
}

/// Reports what a policy says, if that is wanted.
#[inline(always)]
pub fn policy_verdict(ctx: &Tc, flow: &Flow, l4: &L4, subject: &Subject, verdict: &Verdict) {
    if config::tells_verdicts() {
        write_verdict(ctx, flow, l4, subject, verdict);
    }
}

apart! {
    pub fn write_verdict as tell_verdict(
        ctx: &Tc,
        flow: &Flow,
        l4: &L4,
        subject: &Subject,
        verdict: &Verdict,
    ) -> () {
        let (code, audited) = match verdict.denial {
            None => (i32::from(verdict.proxy_port.get()), false),
            Some(_) if subject.audits() => (0, true),
            Some(reason) => (-i32::from(reason.code()), false),
        };
        let ipv6 = flow.tuple.family == Family::V6;
        write_record!(ctx, VerdictRecord, VerdictNotify::VERSION, |capture| VerdictNotify {
            head: NotifyHead {
                source: subject.endpoint,
                ..flow.head(NotifyType::PolicyVerdict, 0)
            },
            capture,
            remote_label: subject.remote,
            verdict: code,
            dst_port: l4.policy_port(),
            proto: l4.protocol,
            flags: VerdictFlags::new(subject.direction, ipv6, verdict.found, audited),
            auth_type: verdict.auth_type,
            reserved: [0; 3],
            cookie: verdict.cookie,
            reserved2: 0,
        });
    }
}

/// Tells what a program is doing, if that is wanted.
#[inline(always)]
pub fn debug(flow: &Flow, point: DebugPoint, arg1: u32, arg2: u32, arg3: u32) {
    if config::debugs() {
        write_debug(flow, point, arg1, arg2, arg3);
    }
}

apart! {
    fn write_debug as tell_debug(
        flow: &Flow,
        point: DebugPoint,
        arg1: u32,
        arg2: u32,
        arg3: u32,
    ) -> () {
        let Some(mut entry) = maps::reserve_event::<DebugNotify>() else {
            return;
        };
        entry.write(DebugNotify {
            head: flow.head(NotifyType::Debug, point as u8),
            arg1,
            arg2,
            arg3,
        });
        entry.submit(0);
    }
}
