//! The structures that programs get in r1, with the access rules of each program type.
//!
//! The kernel's verifier enforces the same rules at load (`*_is_valid_access` in `net/core/filter.c`),
//! the checked engine when an access happens.

mod skb;
mod xdp;

pub(crate) use skb::{SkbField, read_skb, write_skb};
pub(crate) use xdp::write_xdp;

use twinpath_machine::ProgramType;
use twinpath_machine::memory::Layout;

/// The context structure of a program type, if the node has such programs.
pub fn layout(kind: ProgramType) -> Option<&'static Layout> {
    Some(match kind {
        ProgramType::Xdp => &xdp::XDP_MD,
        ProgramType::SchedCls | ProgramType::SchedAct => &skb::SCHED_CLS,
        _ => return None,
    })
}
