//! Helpers of ring buffers (`kernel/bpf/ringbuf.c`).

use super::{Call, HelperId};
use crate::errno::Errno;
use crate::fault::Access;
use crate::maps::MapId;
use crate::memory::{Checked, Object, ObjectKind, Pointer};
use crate::references::Resource;

/// The helpers of this module.
pub(super) const HELPERS: &[HelperId] = &[
    HelperId::RINGBUF_OUTPUT,
    HelperId::RINGBUF_RESERVE,
    HelperId::RINGBUF_SUBMIT,
    HelperId::RINGBUF_DISCARD,
    HelperId::RINGBUF_QUERY,
];

pub(super) fn call(call: &mut Call<'_>) -> Option<Checked<u64>> {
    Some(match call.helper {
        HelperId::RINGBUF_OUTPUT => output(call),
        HelperId::RINGBUF_RESERVE => reserve(call),
        HelperId::RINGBUF_SUBMIT => commit(call, false),
        HelperId::RINGBUF_DISCARD => commit(call, true),
        HelperId::RINGBUF_QUERY => query(call),
        _ => return None,
    })
}

/// `BPF_RB_NO_WAKEUP | BPF_RB_FORCE_WAKEUP`: whether user space is woken is not modelled.
const WAKEUP: u64 = 3;

fn output(call: &mut Call<'_>) -> Checked<u64> {
    let map = call.map_for_helper(1)?;
    let size = call.size(3)?;
    let from = call.range(2, size, Access::Read)?;
    if call.arg(4) & !WAKEUP != 0 {
        return Ok(Errno::EINVAL.into());
    }
    let Some(record) = call.reserve_record(map, u64::from(size)) else {
        return Ok(Errno::EAGAIN.into());
    };
    call.machine.memory.raw_copy(from, record, size);
    call.commit_record(map, record, false);
    Ok(0)
}

fn reserve(call: &mut Call<'_>) -> Checked<u64> {
    let map = call.map_for_helper(1)?;
    let size = call.size(2)?;
    let room = call.arg(3) == 0;
    let record = room.then(|| call.reserve_record(map, u64::from(size)));
    let Some(record) = record.flatten() else {
        call.machine.memory.note_null(call.helper, call.at);
        return Ok(0);
    };
    let object = Object::new(ObjectKind::Record(map), record, size, call.at);
    let pointer = call.machine.memory.push(object);
    let references = &mut call.machine.references;
    references.acquire(Resource::Record(map), pointer, call.at);
    Ok(pointer.0)
}

fn commit(call: &mut Call<'_>, discard: bool) -> Checked<u64> {
    let pointer = Pointer(call.arg(1));
    let reference = call.machine.references.get(pointer);
    let Some(Resource::Record(map)) = reference.map(|reference| reference.resource) else {
        let problem = format!("{pointer:?} is not the start of a reserved record");
        return Err(call.refuse(1, problem));
    };
    call.commit_record(map, pointer.address(), discard);
    let machine = &mut *call.machine;
    machine.references.release(pointer);
    let what = "a record of a ring buffer";
    machine.memory.release(pointer, what, call.helper, call.at);
    Ok(0)
}

fn query(call: &mut Call<'_>) -> Checked<u64> {
    let map = call.map_for_helper(1)?;
    let Some(positions) = call.machine.maps[map].positions() else {
        return Ok(0);
    };
    Ok(match call.arg(2) {
        0 => positions.producer - positions.consumer,
        1 => positions.size,
        2 => positions.consumer,
        3 => positions.producer,
        _ => 0,
    })
}

impl Call<'_> {
    /// Reserves a record and returns the address of its bytes.
    pub(super) fn reserve_record(&mut self, map: MapId, size: u64) -> Option<u32> {
        self.cost.map_operations += 1;
        let machine = &mut *self.machine;
        machine.maps[map].reserve(&mut machine.memory, size, self.cpu)
    }

    /// Submits or discards a record.
    pub(super) fn commit_record(&mut self, map: MapId, record: u32, discard: bool) {
        let machine = &mut *self.machine;
        machine.maps[map].commit(&mut machine.memory, record, discard);
    }
}
