//! Which helpers each program type has (`*_func_proto`).

use twinpath_machine::{Call, Checked, Environment, FaultKind, HelperId, ProgramType};

/// The node's helpers as an environment to load objects for; nothing runs in it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Helpers;

impl Environment for Helpers {
    fn provides(&self, helper: HelperId, program: ProgramType) -> bool {
        provides(helper, program)
    }

    fn helper(&mut self, call: &mut Call<'_>) -> Checked<u64> {
        let name = format!("{} outside of a world", call.helper);
        Err(Box::new(FaultKind::Unsupported(name)))
    }
}

/// Whether the node has this helper for programs of this type.
pub(crate) fn provides(helper: HelperId, program: ProgramType) -> bool {
    match program {
        ProgramType::Xdp => super::xdp::HELPERS,
        ProgramType::SchedCls | ProgramType::SchedAct => super::skb::HELPERS,
        _ => &[],
    }
    .contains(&helper)
}
