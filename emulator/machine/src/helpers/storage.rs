//! Values that belong to sockets and cgroups, and maps of sockets (`net/core/bpf_sk_storage.c`,
//! `kernel/bpf/helpers.c`, `net/core/sock_map.c`).
//!
//! The environment says which programs have these helpers ([`Environment::provides`]) and which socket
//! a pointer stands for; the values are the machine's.

use super::{Call, HelperId};
use crate::errno::Errno;
use crate::fault::Access;
use crate::machine::Environment;
use crate::maps::{Found, MapId, SocketId, Value};
use crate::memory::{Checked, Pointer};

pub(super) fn call(call: &mut Call<'_>, environment: &mut dyn Environment) -> Option<Checked<u64>> {
    Some(match call.helper {
        HelperId::SK_STORAGE_GET => socket_get(call, environment),
        HelperId::SK_STORAGE_DELETE => socket_delete(call, environment),
        HelperId::GET_LOCAL_STORAGE => cgroup_get(call, environment),
        HelperId::SOCK_MAP_UPDATE | HelperId::SOCK_HASH_UPDATE => context_update(call, environment),
        HelperId::MAP_UPDATE_ELEM => update(call, environment),
        HelperId::MAP_LOOKUP_ELEM => lookup(call, environment),
        _ => return None,
    })
}

/// `BPF_SK_STORAGE_GET_F_CREATE`
const CREATE: u64 = 1;

fn socket_get(call: &mut Call<'_>, environment: &mut dyn Environment) -> Checked<u64> {
    let map = call.map_for_helper(1)?;
    let size = call.machine.maps[map].def().value_size;
    let initial = match call.arg(3) {
        0 => None,
        _ => Some(call.range(3, size, Access::Read)?),
    };
    let flags = call.arg(4);
    let socket = full_socket(call, 2, environment)?;
    let Some(socket) = socket.filter(|_| flags <= CREATE) else {
        return Ok(call.value_pointer(map, None));
    };
    call.cost.map_operations += 1;
    let machine = &mut *call.machine;
    let found = &mut machine.maps[map];
    let block = match found.socket_storage(socket) {
        None if flags == CREATE => {
            found.create_socket_storage(&mut machine.memory, socket, initial.map(Value::Guest))
        }
        block => block,
    };
    Ok(call.value_pointer(map, block))
}

fn socket_delete(call: &mut Call<'_>, environment: &mut dyn Environment) -> Checked<u64> {
    let map = call.map_for_helper(1)?;
    let Some(socket) = full_socket(call, 2, environment)? else {
        return Ok(Errno::EINVAL.into());
    };
    call.cost.map_operations += 1;
    let done = call.machine.maps[map].delete_socket_storage(socket);
    Ok(done.map_or_else(u64::from, |()| 0))
}

/// The socket behind a pointer argument; none when it is null or no full socket.
fn full_socket(
    call: &Call<'_>,
    number: u8,
    environment: &mut dyn Environment,
) -> Checked<Option<SocketId>> {
    let pointer = Pointer(call.arg(number));
    if pointer.is_null() {
        return Ok(None);
    }
    match environment.socket(call.machine, pointer) {
        Some(socket) => Ok(socket.full.then_some(socket.id)),
        None => Err(call.refuse(number, format!("{pointer:?} is not a socket"))),
    }
}

fn cgroup_get(call: &mut Call<'_>, environment: &mut dyn Environment) -> Checked<u64> {
    let map = call.map_for_helper(1)?;
    if call.arg(2) != 0 {
        return Err(call.refuse(2, "the flags must be 0"));
    }
    let Some(cgroup) = environment.cgroup(call.machine) else {
        return Err(call.refuse(1, "the program is not attached to a cgroup"));
    };
    call.cost.map_operations += 1;
    let machine = &mut *call.machine;
    let block = machine.maps[map].cgroup_storage(&mut machine.memory, cgroup, call.cpu);
    Ok(call.value_pointer(map, block))
}

/// `bpf_sock_map_update` and `bpf_sock_hash_update`: the socket is the context's.
fn context_update(call: &mut Call<'_>, environment: &mut dyn Environment) -> Checked<u64> {
    call.context(1)?;
    let map = call.map_for_helper(2)?;
    let Some(socket) = environment.context_socket(call.machine) else {
        return Ok(Errno::EOPNOTSUPP.into());
    };
    store(call, map, 3, socket, call.arg(4))
}

fn update(call: &mut Call<'_>, environment: &mut dyn Environment) -> Checked<u64> {
    let map = call.map_for_helper(1)?;
    let pointer = Pointer(call.arg(3));
    let Some(socket) = environment.socket(call.machine, pointer) else {
        return Err(call.refuse(3, format!("{pointer:?} is not a socket")));
    };
    if !socket.full {
        return Ok(Errno::EOPNOTSUPP.into());
    }
    store(call, map, 2, socket.id, call.arg(4))
}

fn store(call: &mut Call<'_>, map: MapId, key: u8, socket: SocketId, flags: u64) -> Checked<u64> {
    let len = call.machine.maps[map].def().key_size;
    let key = call.range(key, len, Access::Read)?;
    call.cost.map_operations += 1;
    let machine = &mut *call.machine;
    let key = machine.memory.raw(key, len);
    let done = machine.maps[map].put_socket(key, socket, flags);
    Ok(done.map_or_else(u64::from, |()| 0))
}

/// A socket found in a map, which the program then holds.
fn lookup(call: &mut Call<'_>, environment: &mut dyn Environment) -> Checked<u64> {
    let map = call.map(1)?;
    let len = call.machine.maps[map].def().key_size;
    let key = call.range(2, len, Access::Read)?;
    let found = call.machine.maps[map].find(call.machine.memory.raw(key, len));
    let Found::Socket(socket) = found else {
        return Ok(call.value_pointer(map, None));
    };
    environment.hold_socket(call, socket)
}
