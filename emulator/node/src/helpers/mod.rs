//! The helpers that act on a packet or on what surrounds it (`net/core/filter.c`).
//!
//! One file for each concern. A helper gets the packet, the network around it and its [`Call`], and
//! returns what the kernel's returns, error numbers included. What the verifier rules out before a
//! program runs is a fault here.

mod checksum;
mod dynptr;
mod fib;
mod mtu;
mod provided;
mod redirect;
mod skb;
mod skb_bytes;
mod skb_meta;
mod skb_room;
mod skb_vlan;
mod sock_call;
mod sock_info;
mod sock_lookup;
mod sock_ops;
mod sock_provided;
mod sock_skb;
mod sock_view;
mod sock_xdp;
mod socket;
mod syncookie;
mod tunnel;
mod xdp;

pub use provided::Helpers;
pub(crate) use provided::provides;
pub(crate) use sock_provided::allows;
pub(crate) use socket::call_for as call_socket;

use twinpath_machine::{AttachType, Call, Checked, Errno, FaultKind, HelperId};

use crate::net::{Net, Subject};

/// What a helper returns apart from faults.
type Answer = Result<u64, Errno>;

/// Turns an error number into what the program sees in r0.
fn answer(answer: Answer) -> u64 {
    answer.unwrap_or_else(u64::from)
}

/// Declares the helpers of one kind of packet: their list, and the function that calls them.
///
/// Each line says what the helper does to the program's view: `reads` nothing, `writes` the context,
/// `moves` the packet as well, so that packet pointers from before are stale.
macro_rules! helpers {
    ($packet:ty: $($effect:ident $helper:ident => $function:path,)*) => {
        /// The helpers that are here.
        pub(super) const HELPERS: &[HelperId] = &[$(HelperId::$helper),*];

        /// Runs one of them; none when the helper is not here.
        pub(super) fn call(
            packet: &mut $packet,
            net: &mut Net,
            context: u32,
            call: &mut Call<'_>,
        ) -> Option<Checked<u64>> {
            Some(match call.helper {
                $(HelperId::$helper => helpers!(@$effect packet, net, context, call, $function),)*
                _ => return None,
            })
        }
    };
    (@reads $packet:ident, $net:ident, $context:ident, $call:ident, $function:path) => {{
        let _ = $context;
        $function($packet, $net, $call)
    }};
    (@writes $packet:ident, $net:ident, $context:ident, $call:ident, $function:path) => {{
        $packet.absorb(&$call.machine.memory, $context);
        let result = $function($packet, $net, $call);
        $packet.publish(&mut $call.machine.memory, $context);
        result
    }};
    (@moves $packet:ident, $net:ident, $context:ident, $call:ident, $function:path) => {{
        $packet.absorb(&$call.machine.memory, $context);
        let result = $function($packet, $net, $call);
        $packet.publish(&mut $call.machine.memory, $context);
        let (start, end) = $packet.reach();
        let (helper, at) = ($call.helper, $call.at);
        $call.machine.memory.move_packet(start, end, helper, at);
        result
    }};
}
use helpers;

/// Runs a helper of the node for a run whose context is at `context`.
pub(crate) fn call(
    net: &mut Net,
    subject: &mut Subject,
    context: u32,
    call: &mut Call<'_>,
) -> Checked<u64> {
    let result = match subject {
        Subject::Xdp(xdp) => match xdp::call(xdp, net, context, call) {
            None => sock_xdp::call(xdp, net, context, call),
            result => result,
        },
        Subject::Skb(skb) => match skb::call(skb, net, context, call) {
            None => sock_skb::call(skb, net, context, call),
            result => result,
        },
    };
    result.unwrap_or_else(|| Err(unsupported(call.helper, None)))
}

/// The fault of a helper that a program cannot have.
#[cold]
fn unsupported(helper: HelperId, hook: Option<AttachType>) -> Box<FaultKind> {
    Box::new(FaultKind::Unsupported(match hook {
        None => helper.to_string(),
        Some(hook) => format!("{helper} at {hook}"),
    }))
}

/// An argument that is the size of a buffer and may not be 0 (`ARG_CONST_SIZE`).
fn size(call: &Call<'_>, number: u8) -> Checked<u32> {
    /// `BPF_MAX_VAR_SIZ`.
    const MAX: u64 = 1 << 29;
    match call.arg(number) {
        0 => Err(call.refuse(number, "the size is 0, and the kernel wants at least 1")),
        size if size < MAX => Ok(size as u32),
        size => Err(call.refuse(number, format!("a size of {size:#x} is out of range"))),
    }
}
