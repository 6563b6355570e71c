//! Helpers that call a function of the program: `bpf_loop` and `bpf_for_each_map_elem`
//! (`kernel/bpf/bpf_iter.c`, `kernel/bpf/arraymap.c`, `kernel/bpf/hashtab.c`).

use crate::errno::Errno;
use crate::fault::{Fault, FaultKind};
use crate::helpers::{Call, HelperId};
use crate::machine::Machine;
use crate::maps::{MapId, MapType};
use crate::memory::{Checked, Object, ObjectKind, Pointer, Tag};

/// Whether a helper is one of this module's, which engines run themselves.
pub(crate) const fn calls_back(helper: HelperId) -> bool {
    matches!(helper, HelperId::LOOP | HelperId::FOR_EACH_MAP_ELEM)
}

/// How a helper that calls back failed.
pub(super) enum Ended {
    /// By itself.
    Kind(Box<FaultKind>),
    /// In the function that it called.
    Fault(Box<Fault>),
}

impl From<Box<FaultKind>> for Ended {
    fn from(kind: Box<FaultKind>) -> Self {
        Self::Kind(kind)
    }
}

impl From<Box<Fault>> for Ended {
    fn from(fault: Box<Fault>) -> Self {
        Self::Fault(fault)
    }
}

/// An engine in the middle of a helper call.
pub(super) trait Callee {
    fn machine(&mut self) -> &mut Machine;

    /// Makes the helper's [`Call`] for as long as `with` takes.
    fn with_call<T>(
        &mut self,
        helper: HelperId,
        at: u32,
        args: [u64; 5],
        with: impl FnOnce(&mut Call<'_>) -> Checked<T>,
    ) -> Checked<T>;

    /// Executes a function of the program to its end.
    fn call_back(&mut self, function: Pointer, args: [u64; 5]) -> Result<u64, Ended>;
}

/// Runs a helper for which [`calls_back`] holds.
pub(super) fn call(
    callee: &mut impl Callee,
    helper: HelperId,
    at: u32,
    args: [u64; 5],
) -> Result<u64, Ended> {
    if helper == HelperId::LOOP {
        let function = callee.with_call(helper, at, args, |call| function(call, 2))?;
        run_loop(callee, function, args)
    } else {
        let found = callee.with_call(helper, at, args, |call| {
            Ok((call.map(1)?, function(call, 2)?))
        })?;
        for_each(callee, helper, at, found, args)
    }
}

/// The function that an argument points to.
fn function(call: &mut Call<'_>, argument: u8) -> Checked<Pointer> {
    let pointer = Pointer(call.arg(argument));
    if pointer.tag() == Tag::FUNCTION {
        Ok(pointer)
    } else {
        Err(call.refuse(argument, "it is no function of the program"))
    }
}

/// `bpf_loop(nr_loops, callback_fn, callback_ctx, flags)`: how often the function was called.
///
/// Where the verifier sees that the flags are 0, as they are wherever they are written out, it puts instructions in
/// the call's place (`inline_bpf_loop`): these compare the whole register with the limit, and move the error number
/// into half of r0.
fn run_loop(callee: &mut impl Callee, function: Pointer, args: [u64; 5]) -> Result<u64, Ended> {
    const BPF_MAX_LOOPS: u32 = 8 * 1024 * 1024;
    let context = args[2];
    if args[3] != 0 {
        return Ok(Errno::EINVAL.into());
    }
    let rounds = match u32::try_from(args[0]) {
        Ok(rounds @ ..=BPF_MAX_LOOPS) => rounds,
        _ => return Ok(u64::from(u64::from(Errno::E2BIG) as u32)),
    };
    for round in 0..rounds {
        let result = callee.call_back(function, [u64::from(round), context, 0, 0, 0])?;
        if result != 0 {
            return Ok(u64::from(round) + 1);
        }
    }
    Ok(u64::from(rounds))
}

/// `bpf_for_each_map_elem(map, callback_fn, callback_ctx, flags)`: how many elements the function saw.
fn for_each(
    callee: &mut impl Callee,
    helper: HelperId,
    at: u32,
    (map, function): (MapId, Pointer),
    args: [u64; 5],
) -> Result<u64, Ended> {
    if args[3] != 0 {
        return Ok(Errno::EINVAL.into());
    }
    let key_size = callee.with_call(helper, at, args, |call| {
        let def = call.machine.maps[map].def();
        let walks = matches!(
            def.kind,
            MapType::Array
                | MapType::PerCpuArray
                | MapType::Hash
                | MapType::LruHash
                | MapType::PerCpuHash
                | MapType::LruPerCpuHash
        );
        let (kind, key_size) = (def.kind, def.key_size);
        if walks {
            Ok(key_size)
        } else {
            Err(call.refuse(1, format!("a {kind} has no elements to walk")))
        }
    })?;
    let mut keys = Vec::new();
    callee.machine().maps[map].append_keys(&mut keys);
    let area = callee.machine().memory.borrow_area(key_size);
    let area = area.map_err(|error| Box::new(FaultKind::Unsupported(error.to_string())))?;
    let result = walk(callee, helper, at, (map, function), args, &keys, area);
    callee.machine().memory.return_area();
    result
}

/// Calls the function for each element that is still there when its turn comes.
fn walk(
    callee: &mut impl Callee,
    helper: HelperId,
    at: u32,
    (map, function): (MapId, Pointer),
    args: [u64; 5],
    keys: &[u8],
    area: u32,
) -> Result<u64, Ended> {
    let mut seen = 0;
    let key_size = callee.machine().maps[map].def().key_size;
    for key in keys.chunks_exact(key_size.max(1) as usize) {
        let value = callee.with_call(helper, at, args, |call| {
            let found = call.machine.maps[map].lookup(key, call.cpu);
            Ok(found.map(|found| call.value_pointer(map, Some(found))))
        })?;
        let Some(value) = value else { continue };
        let memory = &mut callee.machine().memory;
        memory.raw_mut(area, key_size).copy_from_slice(key);
        let object = Object::new(ObjectKind::Buffer("a key of the map"), area, key_size, at);
        let key = memory.push(object.read_only());
        seen += 1;
        let result = callee.call_back(function, [args[0], key.0, value, args[2], 0])?;
        if result != 0 {
            break;
        }
    }
    Ok(seen)
}
