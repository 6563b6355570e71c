//! Events for user space.

use twinpath_abi::{
    CAPTURE_LEN, DropNotify, EndpointId, Family, FlowTuple, Identity, NotifyCapture, NotifyFlags,
    NotifyHead, NotifyType,
};

use crate::context::Context;
use crate::drops::Drop;
use crate::{maps, seam};

/// What is known of a packet's flow so far, for the event if it is dropped.
pub struct Flow {
    pub tuple: Option<FlowTuple>,
    pub source: EndpointId,
    pub src_label: Identity,
    pub dst_label: Identity,
    pub dst_id: EndpointId,
    pub family: Family,
}

impl Flow {
    pub const UNKNOWN: Self = Self {
        tuple: None,
        source: EndpointId(0),
        src_label: Identity::UNKNOWN,
        dst_label: Identity::UNKNOWN,
        dst_id: EndpointId(0),
        family: Family::NONE,
    };
}

/// Reports a dropped packet. When the ring buffer is full the event is lost; the counter is not.
///
/// A function of its own: inlined, the compiler would copy it to every place that drops.
#[inline(never)]
pub fn dropped<C: Context>(ctx: &C, flow: &Flow, drop: Drop) {
    let Some(mut entry) = maps::reserve_event() else {
        return;
    };
    let len = ctx.len();
    let flags = match flow.family {
        Family::V6 => NotifyFlags::IS_IPV6,
        _ => NotifyFlags(0),
    };
    let hash = match &flow.tuple {
        Some(tuple) => tuple.hash(maps::hash_seed()),
        None => 0,
    };
    let record = entry.as_mut_ptr();
    let notify = DropNotify {
        head: NotifyHead {
            r#type: NotifyType::Drop as u8,
            subtype: drop.reason.code(),
            source: flow.source,
            hash,
        },
        capture: NotifyCapture {
            len_orig: len,
            len_cap: len.min(CAPTURE_LEN as u32) as u16,
            version: DropNotify::VERSION,
            ext_version: 0,
        },
        src_label: flow.src_label,
        dst_label: flow.dst_label,
        dst_id: u32::from(flow.dst_id.0),
        line: drop.line,
        file: drop.file as u8,
        ext_error: 0,
        ifindex: ctx.ifindex(),
        flags,
        reserved: 0,
        reserved2: 0,
        timestamp: seam::now(),
    };
    ctx.capture(record, notify);
    entry.submit(0);
}
