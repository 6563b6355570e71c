//! Helpers that read and change maps (`kernel/bpf/helpers.c`).

use super::{Call, HelperId};
use crate::fault::Access;
use crate::maps::Value;
use crate::memory::Checked;

/// The helpers of this module.
pub(super) const HELPERS: &[HelperId] = &[
    HelperId::MAP_LOOKUP_ELEM,
    HelperId::MAP_UPDATE_ELEM,
    HelperId::MAP_DELETE_ELEM,
];

pub(super) fn call(call: &mut Call<'_>) -> Option<Checked<u64>> {
    Some(match call.helper {
        HelperId::MAP_LOOKUP_ELEM => lookup(call),
        HelperId::MAP_UPDATE_ELEM => update(call),
        HelperId::MAP_DELETE_ELEM => delete(call),
        _ => return None,
    })
}

fn lookup(call: &mut Call<'_>) -> Checked<u64> {
    let map = call.map(1)?;
    let key = call.key(2, map)?;
    call.cost.map_operations += 1;
    let machine = &mut *call.machine;
    let found = machine.maps[map].lookup(&mut machine.memory, &key, call.cpu);
    Ok(call.value_pointer(map, found))
}

fn update(call: &mut Call<'_>) -> Checked<u64> {
    let map = call.map(1)?;
    let key = call.key(2, map)?;
    let value_size = call.machine.maps[map].def().value_size;
    let value = Value::Guest(call.range(3, value_size, Access::Read)?);
    let flags = call.arg(4);
    call.cost.map_operations += 1;
    let machine = &mut *call.machine;
    let done = machine.maps[map].update(&mut machine.memory, &key, value, flags, call.cpu);
    Ok(done.map_or_else(u64::from, |()| 0))
}

fn delete(call: &mut Call<'_>) -> Checked<u64> {
    let map = call.map(1)?;
    let key = call.key(2, map)?;
    call.cost.map_operations += 1;
    let machine = &mut *call.machine;
    let done = machine.maps[map].delete(&mut machine.memory, &key);
    Ok(done.map_or_else(u64::from, |()| 0))
}
