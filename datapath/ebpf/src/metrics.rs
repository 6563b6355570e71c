//! Counters by verdict and reason.

use twinpath_abi::{Direction, MetricsKey, Verdict};

use crate::apart::apart;
use crate::context::Context;
use crate::drops::Drop;
use crate::maps;
use crate::tc::Tc;

apart! {
    /// Counts a packet at tc.
    pub fn count_at_tc as metrics_count(ctx: &Tc, key: &MetricsKey) -> () {
        maps::count(*key, ctx.len());
    }
}

/// Counts a packet that goes on.
#[inline(always)]
pub fn forwarded<C: Context>(ctx: &C, verdict: Verdict, dir: Direction) {
    ctx.count(&MetricsKey::forwarded(verdict, dir, ctx.ifindex()));
}

/// Counts a packet that is dropped.
#[inline(always)]
pub fn dropped<C: Context>(ctx: &C, drop: Drop, dir: Direction) {
    ctx.count(&MetricsKey::dropped(drop.reason, dir, ctx.ifindex()));
}
