//! Parts of a recording as one line each, the same in every report.

use crate::frame;
use crate::recording::{Answer, Cost, DropReason, End, Hop, ProgramLoad};

/// A hop: where, which program, what it returned, and the frame after it.
pub fn hop(hop: &Hop) -> String {
    format!(
        "{} {} -> {}: {}",
        hop.node.with(&hop.hook),
        hop.program,
        hop.outcome(),
        frame::line(&hop.bytes)
    )
}

/// What a responder sent.
pub fn answer(answer: &Answer) -> String {
    format!("{} <- {}", answer.port, frame::line(&answer.bytes))
}

/// An end with the frame that arrived there, or why it was dropped.
pub fn end(end: &End) -> String {
    match end {
        End::Left { bytes, .. } | End::Stack { bytes, .. } => {
            format!("{}: {}", way(end), frame::line(bytes))
        }
        // The hop before it says as much.
        End::Dropped {
            reason: None | Some(DropReason::Verdict | DropReason::Fault),
            ..
        } => way(end),
        End::Dropped {
            reason: Some(reason),
            ..
        } => format!("{}: {reason}", way(end)),
    }
}

/// An end without the frame.
pub fn way(end: &End) -> String {
    match end {
        End::Left { node, device, .. } => format!("leaves {}", node.with(device)),
        End::Stack { node, device, .. } => format!("stack, from {}", node.with(device)),
        End::Dropped { node, hook, .. } => format!("dropped at {}", node.with(hook)),
    }
}

/// What a program run cost.
pub fn cost(cost: Cost) -> String {
    format!(
        "{} instructions, {} helper calls, {} map operations",
        cost.instructions, cost.helpers, cost.map_operations
    )
}

/// What the kernel made of a program.
pub fn load(load: &ProgramLoad) -> String {
    let mut text = format!(
        "{} in {:.1} ms",
        load.program,
        load.time.as_secs_f64() * 1e3
    );
    if let Some(verified) = load.verified {
        text += &format!(", {verified} instructions verified");
    }
    if let Some(bytes) = load.machine_code {
        text += &format!(", {bytes} bytes of machine code");
    }
    text
}
