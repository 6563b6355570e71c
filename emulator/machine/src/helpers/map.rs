//! Helpers that read and change maps (`kernel/bpf/helpers.c`).

use super::{Call, HelperId};
use crate::fault::Access;
use crate::machine::{Cpu, Machine};
use crate::maps::{Found, MapId, MapType, Value};
use crate::memory::{Checked, Pointer, Tag};

/// The helpers of this module.
pub(super) const HELPERS: &[HelperId] = &[
    HelperId::MAP_LOOKUP_ELEM,
    HelperId::MAP_UPDATE_ELEM,
    HelperId::MAP_DELETE_ELEM,
    HelperId::MAP_PUSH_ELEM,
    HelperId::MAP_POP_ELEM,
    HelperId::MAP_PEEK_ELEM,
    HelperId::MAP_LOOKUP_PERCPU_ELEM,
];

pub(super) fn call(call: &mut Call<'_>) -> Option<Checked<u64>> {
    Some(match call.helper {
        HelperId::MAP_LOOKUP_ELEM => lookup(call).transpose()?,
        HelperId::MAP_UPDATE_ELEM => update(call).transpose()?,
        HelperId::MAP_DELETE_ELEM => delete(call),
        HelperId::MAP_PUSH_ELEM => push(call),
        HelperId::MAP_POP_ELEM => pop(call),
        HelperId::MAP_PEEK_ELEM => peek(call),
        HelperId::MAP_LOOKUP_PERCPU_ELEM => lookup_percpu(call),
        _ => return None,
    })
}

/// `bpf_map_lookup_elem` where it needs nobody else: a value or null; none where the helper takes a closer look.
#[inline(always)]
pub(crate) fn look_up(
    machine: &mut Machine,
    cpu: Cpu,
    at: u32,
    map: Pointer,
    key: Pointer,
) -> Option<u64> {
    if map.tag() != Tag::MAP || !machine.references.held().is_empty() {
        return None;
    }
    let id = MapId(map.address());
    let map = machine.maps.get_mut(id)?;
    let len = map.def().key_size;
    let key = machine.memory.readable(key, len)?;
    let Some(address) = map.lookup(machine.memory.raw(key, len), cpu) else {
        // In other maps there may be what is no value.
        if !map.holds_values_only() {
            return None;
        }
        machine.memory.note_null(HelperId::MAP_LOOKUP_ELEM, at);
        return Some(0);
    };
    let object = map.value_object(id, address, at);
    Some(machine.memory.push(object).0)
}

fn lookup(call: &mut Call<'_>) -> Checked<Option<u64>> {
    let map = call.map(1)?;
    let key = key(call, 2, map)?;
    call.cost.map_operations += 1;
    let machine = &mut *call.machine;
    let bytes = machine.memory.raw(key.0, key.1);
    let found = machine.maps[map].lookup(bytes, call.cpu);
    if let Some(address) = found {
        return Ok(Some(call.value_pointer(map, Some(address))));
    }
    call.check_map(1, map)?;
    let machine = &mut *call.machine;
    match machine.maps[map].find(machine.memory.raw(key.0, key.1)) {
        Found::Nothing => Ok(Some(call.value_pointer(map, None))),
        Found::Map(inner) => Ok(Some(Pointer::new(Tag::MAP, inner.0).0)),
        // A pointer to a socket is the environment's to give.
        Found::Socket(_) => Ok(None),
    }
}

fn lookup_percpu(call: &mut Call<'_>) -> Checked<u64> {
    let map = call.map_for_helper(1)?;
    let key = key(call, 2, map)?;
    let cpu = Cpu(call.arg(3) as u32);
    call.cost.map_operations += 1;
    let machine = &mut *call.machine;
    let bytes = machine.memory.raw(key.0, key.1);
    let found = if cpu.0 < machine.cpus() {
        machine.maps[map].lookup(bytes, cpu)
    } else {
        None
    };
    Ok(call.value_pointer(map, found))
}

fn update(call: &mut Call<'_>) -> Checked<Option<u64>> {
    let map = call.map_for_helper(1)?;
    if call.machine.maps[map].holds_sockets() {
        return Ok(None);
    }
    let key = key(call, 2, map)?;
    let value = Value::Guest(value(call, 3, map)?);
    let flags = call.arg(4);
    call.cost.map_operations += 1;
    let done = call.with_key(key, |call, key| {
        let machine = &mut *call.machine;
        machine.maps[map].update(&mut machine.memory, key, value, flags, call.cpu)
    });
    Ok(Some(done.map_or_else(u64::from, |()| 0)))
}

fn delete(call: &mut Call<'_>) -> Checked<u64> {
    let map = call.map_for_helper(1)?;
    let key = key(call, 2, map)?;
    call.cost.map_operations += 1;
    let done = call.with_key(key, |call, key| {
        let machine = &mut *call.machine;
        machine.maps[map].delete(&mut machine.memory, key)
    });
    Ok(done.map_or_else(u64::from, |()| 0))
}

fn push(call: &mut Call<'_>) -> Checked<u64> {
    let map = call.map_for_helper(1)?;
    let address = value(call, 2, map)?;
    let flags = call.arg(3);
    call.cost.map_operations += 1;
    let machine = &mut *call.machine;
    let size = machine.maps[map].def().value_size;
    let bytes = machine.memory.raw(address, size);
    let done = machine.maps[map].push(bytes, flags);
    Ok(done.map_or_else(u64::from, |()| 0))
}

fn pop(call: &mut Call<'_>) -> Checked<u64> {
    take(call, true)
}

fn peek(call: &mut Call<'_>) -> Checked<u64> {
    let map = call.map_for_helper(1)?;
    if call.machine.maps[map].def().kind != MapType::BloomFilter {
        return take(call, false);
    }
    let address = value(call, 2, map)?;
    call.cost.map_operations += 1;
    let machine = &mut *call.machine;
    let size = machine.maps[map].def().value_size;
    let bytes = machine.memory.raw(address, size);
    let done = machine.maps[map].contains(bytes);
    Ok(done.map_or_else(u64::from, |()| 0))
}

/// Copies the value at the end of a queue or stack; the bytes become zero when there is none.
fn take(call: &mut Call<'_>, remove: bool) -> Checked<u64> {
    let map = call.map_for_helper(1)?;
    let size = call.machine.maps[map].def().value_size;
    let address = call.range(2, size, Access::Write)?;
    call.cost.map_operations += 1;
    let machine = &mut *call.machine;
    let into = machine.memory.raw_mut(address, size);
    let done = machine.maps[map].peek(into, remove);
    Ok(done.map_or_else(u64::from, |()| 0))
}

/// Address and length of the key of `map` behind a pointer argument.
#[inline]
fn key(call: &mut Call<'_>, number: u8, map: MapId) -> Checked<(u32, u32)> {
    let len = call.machine.maps[map].def().key_size;
    Ok((call.range(number, len, Access::Read)?, len))
}

/// Address of the value of `map` behind a pointer argument.
fn value(call: &mut Call<'_>, number: u8, map: MapId) -> Checked<u32> {
    let size = call.machine.maps[map].def().value_size;
    call.range(number, size, Access::Read)
}

impl Call<'_> {
    /// Does something with a copy of a key, so that memory can be changed meanwhile.
    fn with_key<T>(
        &mut self,
        (address, len): (u32, u32),
        act: impl FnOnce(&mut Self, &[u8]) -> T,
    ) -> T {
        let mut buffer = std::mem::take(&mut self.machine.key);
        buffer.clear();
        buffer.extend_from_slice(self.machine.memory.raw(address, len));
        let result = act(self, &buffer);
        self.machine.key = buffer;
        result
    }
}
