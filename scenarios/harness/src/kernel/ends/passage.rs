//! What programs at a hook decide about a packet together.

use crate::kernel::journey::{Returned, Seen};
use crate::plan::HookKind;

/// What a verdict means for the way of the packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meaning {
    /// On along the device's path.
    Pass,
    /// Back out of the device.
    Transmit,
    /// To another device.
    Redirect,
    /// Nowhere.
    Drop,
    /// The next filter decides; without one, on along the device's path.
    NextFilter,
}

/// Reads a return value as the kernel does (`net/core/dev.c`, `net/sched/cls_bpf.c`, `net/core/filter.c`).
pub fn meaning(kind: HookKind, code: i32) -> Meaning {
    match kind {
        HookKind::Xdp | HookKind::XdpGeneric => match code {
            2 => Meaning::Pass,
            3 => Meaning::Transmit,
            4 => Meaning::Redirect,
            _ => Meaning::Drop,
        },
        // `dev_map_bpf_prog_run` of `kernel/bpf/devmap.c`
        HookKind::XdpDevmap => match code {
            2 => Meaning::Transmit,
            _ => Meaning::Drop,
        },
        // `tcx_action_code` of `net/core/dev.c`: behind the last of these comes clsact.
        HookKind::TcxIngress | HookKind::TcxEgress => match code {
            0 => Meaning::Pass,
            2 => Meaning::Drop,
            7 => Meaning::Redirect,
            _ => Meaning::NextFilter,
        },
        HookKind::TcIngress | HookKind::TcEgress => match code {
            0 => Meaning::Pass,
            2 | 4 | 8 => Meaning::Drop,
            7 => Meaning::Redirect,
            // cls_bpf takes any other code of a direct action for TC_ACT_UNSPEC.
            _ => Meaning::NextFilter,
        },
    }
}

/// A packet's way through one hook: the programs that ran, in order, as places in the list of what was seen.
#[derive(Debug)]
pub struct Passage<'a> {
    /// Program runs that had begun before it.
    pub began: u32,
    pub last: usize,
    /// The packet as it came to the first program, as it would be on the wire.
    pub found: &'a [u8],
    /// What the last program made of it.
    pub returned: &'a Returned,
    /// At tc ingress: which of the frames that devices took in it was.
    pub about: Option<usize>,
    /// At tc: a frame that devices took in before this.
    pub after: Option<usize>,
    /// Whether the packet is known to have come from another hook.
    pub continues: bool,
}

/// Whether a program comes behind another on the same way through a device.
fn is_next(before: &Returned, after: &Returned) -> bool {
    let (from, to) = (&before.hook, &after.hook);
    from.device == to.device
        && match (from.kind, to.kind) {
            (HookKind::TcxIngress, HookKind::TcIngress) => true,
            (HookKind::TcxEgress, HookKind::TcEgress) => true,
            (from, to) => from == to && before.filter < after.filter,
        }
}

/// Joins what several programs at one tc hook returned for one packet.
pub fn passages(seen: &[Seen]) -> Vec<Passage<'_>> {
    let mut passages: Vec<Passage<'_>> = Vec::new();
    for (place, seen) in seen.iter().enumerate() {
        let Seen::Returned(returned) = seen else {
            continue;
        };
        let open = passages.iter_mut().rev().find(|passage| {
            let before = passage.returned;
            before.node == returned.node
                && meaning(before.hook.kind, before.code) == Meaning::NextFilter
                && is_next(before, returned)
        });
        match open {
            Some(passage) => {
                passage.last = place;
                passage.returned = returned;
            }
            None => passages.push(Passage {
                began: returned.runs.start,
                last: place,
                found: &returned.found,
                returned,
                about: None,
                after: None,
                continues: false,
            }),
        }
    }
    passages
}
