//! Spin locks in values of maps (`process_spin_lock` in `kernel/bpf/verifier.c`).
//!
//! Runs do not overlap, so that a lock is never contended; what remains are the rules of their use.

use super::{Call, HelperId};
use crate::fault::Access;
use crate::maps::MapId;
use crate::memory::{Checked, ObjectKind, Placement, Pointer};
use crate::program::ProgramType;
use crate::references::Resource;

/// The helpers of this module.
pub(super) const HELPERS: &[HelperId] = &[HelperId::SPIN_LOCK, HelperId::SPIN_UNLOCK];

pub(super) fn call(call: &mut Call<'_>) -> Option<Checked<u64>> {
    Some(match call.helper {
        HelperId::SPIN_LOCK => lock(call),
        HelperId::SPIN_UNLOCK => unlock(call),
        _ => return None,
    })
}

/// Bytes of a `struct bpf_spin_lock`.
const SIZE: u32 = 4;

fn lock(call: &mut Call<'_>) -> Checked<u64> {
    let pointer = Pointer(call.arg(1));
    if call.program.kind == ProgramType::SocketFilter {
        return Err(call.refuse(1, "socket filters may not use maps with a bpf_spin_lock"));
    }
    call.range(1, SIZE, Access::Write)?;
    if call.machine.memory.placement() == Placement::Anywhere {
        check_place(call, pointer)?;
    }
    let references = &mut call.machine.references;
    references.acquire(Resource::SpinLock, pointer, call.at);
    Ok(0)
}

/// Checks that a pointer points to the lock of a map's value.
fn check_place(call: &Call<'_>, pointer: Pointer) -> Checked<()> {
    let object = call.machine.memory.object(pointer);
    let (ObjectKind::MapValue(map) | ObjectKind::Global(map)) = object.kind else {
        return Err(call.refuse(1, "this is not in a value of a map"));
    };
    match lock_of(call, map) {
        Some(lock) if pointer.address() == object.base + lock => Ok(()),
        Some(lock) => {
            let offset = i64::from(pointer.address()) - i64::from(object.base);
            let problem = format!("offset {offset} of the value; its lock is at offset {lock}");
            Err(call.refuse(1, problem))
        }
        None => Err(call.refuse(1, "values of this map have no bpf_spin_lock")),
    }
}

fn lock_of(call: &Call<'_>, map: MapId) -> Option<u32> {
    call.machine.maps[map].def().lock
}

fn unlock(call: &mut Call<'_>) -> Checked<u64> {
    let pointer = Pointer(call.arg(1));
    match call.machine.references.lock() {
        None => Err(call.refuse(1, "no lock is held")),
        Some(held) if held.pointer.address() != pointer.address() => {
            let problem = format!(
                "another lock is held since instruction {}",
                held.acquired_at
            );
            Err(call.refuse(1, problem))
        }
        Some(held) => {
            call.machine.references.release(held.pointer);
            Ok(0)
        }
    }
}
