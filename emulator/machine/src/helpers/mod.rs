//! Helper functions: their numbers, how they are called, and those that need no network.
//!
//! A helper gets a [`Call`]: five arguments, and the machine. It reads and writes guest memory through
//! it, so that every byte is checked and a fault names the helper and the argument. Helpers that need
//! a packet, a socket or a device belong to the [`Environment`].

mod call;
mod compat;
mod ctype;
mod dynptr;
mod dynptr_kfunc;
mod format;
mod general;
mod id;
mod kernel_function;
mod license;
mod lock;
mod map;
mod percpu;
mod perf;
mod print;
mod ringbuf;
mod storage;
mod task;
mod text;

pub use call::Call;
pub use dynptr::{DYNPTR_SIZE, Dynptr, DynptrData, Dynptrs};
pub use dynptr_kfunc::{AskedSlice, may_write_packets};
pub use id::HelperId;
pub(crate) use license::is_gpl_compatible;
pub(crate) use map::look_up;
pub use task::Task;

use crate::fault::FaultKind;
use crate::machine::Environment;
use crate::memory::Checked;

/// Runs a helper of the machine; none when the machine has no helper of that number, or leaves it to
/// the environment, as it does for sockets in maps and dynptrs of packets.
pub(crate) fn call(call: &mut Call<'_>, environment: &mut dyn Environment) -> Option<Checked<u64>> {
    if let Err(fault) = unlocked(call) {
        return Some(Err(fault));
    }
    map::call(call)
        .or_else(|| general::call(call))
        .or_else(|| percpu::call(call))
        .or_else(|| ringbuf::call(call))
        .or_else(|| dynptr::call(call))
        .or_else(|| dynptr_kfunc::call(call))
        .or_else(|| task::call(call))
        .or_else(|| print::call(call))
        .or_else(|| text::call(call))
        .or_else(|| lock::call(call))
        .or_else(|| perf::call(call, environment))
        .or_else(|| storage::call(call, environment))
}

/// A program that holds a spin lock may call nothing but `bpf_spin_unlock`.
#[inline]
fn unlocked(call: &Call<'_>) -> Checked<()> {
    match call.machine.references.lock() {
        Some(lock) if call.helper != HelperId::SPIN_UNLOCK => Err(Box::new(FaultKind::Locked {
            helper: call.helper,
            locked_at: lock.acquired_at,
        })),
        _ => Ok(()),
    }
}

/// Whether the machine itself has this helper.
pub fn provides(helper: HelperId) -> bool {
    let modules = [
        map::HELPERS,
        general::HELPERS,
        ringbuf::HELPERS,
        dynptr::HELPERS,
        dynptr_kfunc::HELPERS,
        lock::HELPERS,
        perf::HELPERS,
        percpu::HELPERS,
        task::HELPERS,
        print::HELPERS,
        text::HELPERS,
        ENGINE,
    ];
    modules.iter().any(|helpers| helpers.contains(&helper))
}

/// Helpers that change the flow of control, which each engine does itself.
const ENGINE: &[HelperId] = &[
    HelperId::TAIL_CALL,
    HelperId::LOOP,
    HelperId::FOR_EACH_MAP_ELEM,
];
