//! What becomes of a packet at tc: it is counted, told of if it is dropped, and goes where it shall.

use aya_ebpf::bindings::{__sk_buff, TC_ACT_OK, TC_ACT_SHOT};
use twinpath_abi::{Direction, Ifindex, TailCall, Verdict};

use crate::context::Context as _;
use crate::drops::{self, Drop, drop_packet};
use crate::events::Flow;
use crate::metrics;
use crate::tc::Tc;

/// Where a packet goes that is not dropped.
pub enum Fate {
    /// On its way: to the stack, or out of the device that is sending it.
    Pass,
    /// Out of a device.
    Device(Ifindex),
    /// Into the node, as if it had come in by a device.
    Ingress(Ifindex),
    /// To the far end of a device at once.
    Peer(Ifindex),
    /// Out of a device, to the neighbour that the stack finds out.
    Neighbour(Ifindex),
    /// Another program decides.
    Program(TailCall),
}

/// Decides about a packet, and sees to that; returns the tc action.
#[inline(always)]
pub fn of(
    ctx: *mut __sk_buff,
    direction: Direction,
    decide: impl FnOnce(&Tc, &mut Flow) -> Result<Fate, Drop>,
) -> i32 {
    let ctx = Tc::of(ctx);
    let mut flow = Flow::UNKNOWN;
    let fate = decide(&ctx, &mut flow);
    conclude(&ctx, &flow, fate, direction)
}

#[inline(always)]
fn conclude(ctx: &Tc, flow: &Flow, fate: Result<Fate, Drop>, direction: Direction) -> i32 {
    let redirect = || metrics::forwarded(ctx, Verdict::Redirect, direction);
    let drop = match fate {
        Ok(Fate::Pass) => {
            metrics::forwarded(ctx, Verdict::Pass, direction);
            return TC_ACT_OK as i32;
        }
        Ok(Fate::Device(device)) => {
            redirect();
            return ctx.redirect(device);
        }
        Ok(Fate::Ingress(device)) => {
            redirect();
            return ctx.redirect_in(device);
        }
        Ok(Fate::Peer(device)) => {
            redirect();
            return ctx.redirect_peer(device);
        }
        Ok(Fate::Neighbour(device)) => {
            redirect();
            return ctx.redirect_neighbour(device);
        }
        Ok(Fate::Program(program)) => {
            ctx.tail_call(program);
            drop_packet!(Fate, MissedTailCall)
        }
        Err(drop) => drop,
    };
    drops::report(ctx, flow, drop, direction);
    TC_ACT_SHOT as i32
}
