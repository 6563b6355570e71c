//! Helpers for variables that each CPU has a value of.

use super::{Call, HelperId};
use crate::machine::Cpu;
use crate::memory::{Checked, Pointer};

/// The helpers of this module.
pub(super) const HELPERS: &[HelperId] = &[HelperId::PER_CPU_PTR, HelperId::THIS_CPU_PTR];

pub(super) fn call(call: &mut Call<'_>) -> Option<Checked<u64>> {
    match call.helper {
        HelperId::PER_CPU_PTR => Some(pointer(call, Cpu(call.arg(2) as u32))),
        HelperId::THIS_CPU_PTR => Some(pointer(call, call.cpu)),
        _ => None,
    }
}

/// A pointer to a CPU's value, or null when there is no such CPU.
fn pointer(call: &mut Call<'_>, cpu: Cpu) -> Checked<u64> {
    let reference = Pointer(call.arg(1));
    let there = cpu.0 < call.machine.cpus();
    let asked = if there { cpu } else { Cpu::default() };
    let Some(value) = call.machine.variables.value(reference, asked, call.at) else {
        return Err(call.refuse(1, "it is not the address of a kernel variable"));
    };
    if there {
        return Ok(call.machine.memory.push(value).0);
    }
    call.machine.memory.note_null(call.helper, call.at);
    Ok(0)
}
