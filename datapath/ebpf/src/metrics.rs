//! Counters by verdict and reason.

use twinpath_abi::{Direction, MetricsKey, Verdict};

use crate::context::Context;
use crate::drops::Drop;
use crate::maps;

/// Counts a packet that goes on.
#[inline(always)]
pub fn forwarded<C: Context>(ctx: &C, verdict: Verdict, dir: Direction) {
    maps::count(
        MetricsKey::forwarded(verdict, dir, ctx.ifindex()),
        ctx.len(),
    );
}

/// Counts a packet that is dropped.
#[inline(always)]
pub fn dropped<C: Context>(ctx: &C, drop: Drop, dir: Direction) {
    maps::count(
        MetricsKey::dropped(drop.reason, dir, ctx.ifindex()),
        ctx.len(),
    );
}
