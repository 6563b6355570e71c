//! The headers of a packet at tc, and what they tell of its flow.

use crate::drops::Drop;
use crate::events::Flow;
use crate::fragment;
use crate::packet::Packet;
use crate::parse::{self, L2, L3, L4};
use crate::tc::Tc;

/// The network layer, if it is IP.
#[inline(always)]
pub fn ip(ctx: &Tc, flow: &mut Flow) -> Result<Option<L3>, Drop> {
    let packet = ctx.pull();
    let l2 = parse::l2(&packet)?;
    l3(&packet, &l2, flow)
}

/// The same behind a link layer that is known.
#[inline(always)]
pub fn l3(packet: &Packet, l2: &L2, flow: &mut Flow) -> Result<Option<L3>, Drop> {
    let l3 = parse::l3(packet, l2)?;
    if let Some(l3) = &l3 {
        flow.family = l3.family;
        flow.tuple = Some(l3.flow());
    }
    Ok(l3)
}

/// The transport layer.
#[inline(always)]
pub fn l4(ctx: &Tc, l3: &L3, flow: &mut Flow) -> Result<L4, Drop> {
    let l4 = fragment::l4(ctx, l3)?;
    flow.tuple = Some(l4.flow(l3));
    Ok(l4)
}
