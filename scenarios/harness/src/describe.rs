//! Parts of a recording as one line each, the same in every report.

use crate::frame;
use crate::recording::{Cost, End, Hop};

/// A hop: where, which program, what it returned, and the frame after it.
pub fn hop(hop: &Hop) -> String {
    format!(
        "{} {} -> {}: {}",
        hop.hook,
        hop.program,
        hop.outcome(),
        frame::line(&hop.bytes)
    )
}

/// An end with the frame that arrived there.
pub fn end(end: &End) -> String {
    match end.bytes() {
        Some(bytes) => format!("{}: {}", way(end), frame::line(bytes)),
        None => way(end),
    }
}

/// An end without the frame.
pub fn way(end: &End) -> String {
    match end {
        End::Left { device, .. } => format!("leaves {device}"),
        End::Stack { device, .. } => format!("stack, from {device}"),
        End::Dropped { hook, .. } => format!("dropped at {hook}"),
    }
}

/// What a program run cost.
pub fn cost(cost: Cost) -> String {
    format!(
        "{} instructions, {} helper calls, {} map operations",
        cost.instructions, cost.helpers, cost.map_operations
    )
}
