//! What becomes of a packet at tc: it is counted, told of if it is dropped, and goes where it shall.

use aya_ebpf::bindings::{TC_ACT_OK, TC_ACT_SHOT};
use twinpath_abi::{Direction, Ifindex, TailCall, Verdict};

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

/// Sees to what was decided; returns the tc action.
#[inline(always)]
pub fn conclude(ctx: &Tc, flow: &Flow, fate: Result<Fate, Drop>, direction: Direction) -> i32 {
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
