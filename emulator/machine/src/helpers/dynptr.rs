//! Dynptrs: checked slices whose length is known at run time only (`kernel/bpf/helpers.c`).

use super::{Call, HelperId};
use crate::errno::Errno;
use crate::fault::Access;
use crate::maps::MapId;
use crate::memory::{Checked, Object, ObjectKind, Placement, Pointer};
use crate::references::Resource;

/// The helpers of this module. Those that read and write leave dynptrs of packets to the environment.
pub(super) const HELPERS: &[HelperId] = &[
    HelperId::DYNPTR_FROM_MEM,
    HelperId::DYNPTR_READ,
    HelperId::DYNPTR_WRITE,
    HelperId::DYNPTR_DATA,
    HelperId::RINGBUF_RESERVE_DYNPTR,
    HelperId::RINGBUF_SUBMIT_DYNPTR,
    HelperId::RINGBUF_DISCARD_DYNPTR,
];

/// Bytes of a `struct bpf_dynptr`.
pub const DYNPTR_SIZE: u32 = 16;
/// The longest slice (`DYNPTR_MAX_SIZE`).
const MAX_SIZE: u32 = (1 << 24) - 1;

/// A dynptr that a program holds on its stack.
#[derive(Debug, Clone, Copy)]
pub struct Dynptr {
    /// What it is a slice of.
    pub data: DynptrData,
    /// Where in `data` it begins, in bytes.
    pub offset: u32,
    /// Bytes.
    pub size: u32,
    /// Programs may only read.
    pub read_only: bool,
    /// Where the dynptr was made that this one was cloned from; its own place when it is no clone.
    origin: Pointer,
    /// Where on the stack it is.
    at: u32,
    /// What lies on the stack for it, so that a dynptr that was overwritten is noticed.
    stamp: u64,
}

/// What a dynptr is a slice of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DynptrData {
    /// Nothing: the helper that should have made it failed.
    Null,
    /// Memory of a map's value.
    Memory(Pointer),
    /// A record of a ring buffer.
    Record(MapId, Pointer),
    /// The packet of the current run, which the environment has.
    Packet,
}

/// The dynptrs of a machine's runs, by their place on the stack.
#[derive(Debug, Default)]
pub struct Dynptrs {
    known: Vec<Dynptr>,
    /// Slices of records that programs point to, with the place of the record's first dynptr.
    slices: Vec<(Pointer, Pointer)>,
    stamp: u64,
}

impl Dynptrs {
    fn set(&mut self, dynptr: Dynptr) {
        self.forget(dynptr.at);
        self.known.push(dynptr);
    }

    fn forget(&mut self, at: u32) {
        self.known.retain(|known| known.at != at);
    }

    /// Forgets a dynptr and its clones.
    fn forget_all(&mut self, origin: Pointer) {
        self.known.retain(|known| known.origin != origin);
    }

    fn get_mut(&mut self, at: u32) -> Option<&mut Dynptr> {
        self.known.iter_mut().find(|known| known.at == at)
    }

    fn get(&self, at: u32) -> Option<Dynptr> {
        self.known.iter().find(|known| known.at == at).copied()
    }
}

impl Call<'_> {
    /// The dynptr behind a pointer argument.
    ///
    /// # Errors
    /// When there is none, or it was overwritten.
    pub fn dynptr(&mut self, number: u8) -> Checked<Dynptr> {
        let at = self.range(number, DYNPTR_SIZE, Access::Read)?;
        let memory = &self.machine.memory;
        let known = self.machine.dynptrs.get(at).filter(|known| {
            let mut words = memory.raw(at, DYNPTR_SIZE).chunks(8);
            words.all(|word| word == known.stamp.to_le_bytes())
        });
        known.ok_or_else(|| self.refuse(number, "this is not an initialized dynptr"))
    }

    /// Makes a dynptr where a pointer argument points to.
    ///
    /// # Errors
    /// When that is not on the stack, or holds a dynptr that must be given back first.
    pub fn set_dynptr(
        &mut self,
        number: u8,
        data: DynptrData,
        size: u32,
        read_only: bool,
    ) -> Checked<()> {
        let origin = Pointer(self.arg(number));
        self.put_dynptr(
            number,
            Dynptr {
                data,
                offset: 0,
                size,
                read_only,
                origin,
                at: 0,
                stamp: 0,
            },
        )
    }

    /// Puts a dynptr where a pointer argument points to, whatever place it had before.
    pub(super) fn put_dynptr(&mut self, number: u8, dynptr: Dynptr) -> Checked<()> {
        let pointer = Pointer(self.arg(number));
        let at = self.range(number, DYNPTR_SIZE, Access::Write)?;
        let memory = &mut self.machine.memory;
        let on_stack = matches!(memory.object(pointer).kind, ObjectKind::Frame(_));
        if memory.placement() == Placement::Anywhere && !(on_stack && at.is_multiple_of(8)) {
            return Err(self.refuse(number, "a dynptr lies on the stack, aligned to 8 bytes"));
        }
        let mut held = self.machine.references.held().iter();
        if held.any(|held| {
            matches!(held.resource, Resource::RecordDynptr(_)) && held.pointer.address() == at
        }) {
            return Err(self.refuse(number, "this overwrites a dynptr of a reserved record"));
        }
        let dynptrs = &mut self.machine.dynptrs;
        dynptrs.stamp += 1;
        // Unlike what programs write there themselves.
        let stamp = dynptrs.stamp ^ 0x5d79_6e70_7472_0000;
        dynptrs.set(Dynptr {
            at,
            stamp,
            ..dynptr
        });
        for word in memory.raw_mut(at, DYNPTR_SIZE).chunks_mut(8) {
            word.copy_from_slice(&stamp.to_le_bytes());
        }
        Ok(())
    }
}

impl Dynptr {
    /// Checks that a range lies in the slice (`bpf_dynptr_check_off_len`).
    ///
    /// # Errors
    /// `E2BIG` when it does not.
    pub fn check(&self, offset: u32, len: u32) -> Result<(), Errno> {
        match self.size.checked_sub(len) {
            Some(last) if offset <= last => Ok(()),
            _ => Err(Errno::E2BIG),
        }
    }

    /// The guest address of the slice's bytes; none when it is null or a packet's.
    pub(super) fn address(&self) -> Option<u32> {
        match self.data {
            DynptrData::Memory(pointer) | DynptrData::Record(_, pointer) => {
                Some(pointer.address() + self.offset)
            }
            DynptrData::Null | DynptrData::Packet => None,
        }
    }
}

pub(super) fn call(call: &mut Call<'_>) -> Option<Checked<u64>> {
    match call.helper {
        HelperId::DYNPTR_FROM_MEM => Some(from_memory(call)),
        HelperId::DYNPTR_READ => read(call).transpose(),
        HelperId::DYNPTR_WRITE => write(call).transpose(),
        HelperId::DYNPTR_DATA => Some(data(call)),
        HelperId::RINGBUF_RESERVE_DYNPTR => Some(reserve(call)),
        HelperId::RINGBUF_SUBMIT_DYNPTR => Some(commit(call, false)),
        HelperId::RINGBUF_DISCARD_DYNPTR => Some(commit(call, true)),
        _ => None,
    }
}

fn from_memory(call: &mut Call<'_>) -> Checked<u64> {
    let size = call.size(2)?;
    let pointer = Pointer(call.arg(1));
    call.range(1, size, Access::Write)?;
    let memory = &call.machine.memory;
    let value = matches!(
        memory.object(pointer).kind,
        ObjectKind::MapValue(_) | ObjectKind::Global(_)
    );
    if memory.placement() == Placement::Anywhere && !value {
        return Err(call.refuse(1, "only the value of a map can be the data of a dynptr"));
    }
    let failed = match (size > MAX_SIZE, call.arg(3)) {
        (true, _) => Some(Errno::E2BIG),
        (false, 0) => None,
        (false, _) => Some(Errno::EINVAL),
    };
    if let Some(errno) = failed {
        call.set_dynptr(4, DynptrData::Null, 0, false)?;
        return Ok(errno.into());
    }
    call.set_dynptr(4, DynptrData::Memory(pointer), size, false)?;
    Ok(0)
}

fn read(call: &mut Call<'_>) -> Checked<Option<u64>> {
    let len = call.size(2)?;
    let into = call.range(1, len, Access::Write)?;
    let dynptr = call.dynptr(3)?;
    let (offset, flags) = (call.arg(4), call.arg(5));
    if dynptr.data == DynptrData::Null || flags != 0 {
        return Ok(Some(Errno::EINVAL.into()));
    }
    if let Err(errno) = dynptr.check(offset as u32, len) {
        return Ok(Some(errno.into()));
    }
    let Some(address) = dynptr.address() else {
        return Ok(None);
    };
    let memory = &mut call.machine.memory;
    memory.raw_copy(address + offset as u32, into, len);
    Ok(Some(0))
}

fn write(call: &mut Call<'_>) -> Checked<Option<u64>> {
    let dynptr = call.dynptr(1)?;
    let len = call.size(4)?;
    let from = call.range(3, len, Access::Read)?;
    let (offset, flags) = (call.arg(2), call.arg(5));
    if dynptr.data == DynptrData::Null || dynptr.read_only {
        return Ok(Some(Errno::EINVAL.into()));
    }
    if let Err(errno) = dynptr.check(offset as u32, len) {
        return Ok(Some(errno.into()));
    }
    let Some(address) = dynptr.address() else {
        return Ok(None);
    };
    if flags != 0 {
        return Ok(Some(Errno::EINVAL.into()));
    }
    let memory = &mut call.machine.memory;
    memory.raw_copy(from, address + offset as u32, len);
    Ok(Some(0))
}

fn data(call: &mut Call<'_>) -> Checked<u64> {
    let dynptr = call.dynptr(1)?;
    let len = call.size(3)?;
    let offset = call.arg(2) as u32;
    let address = match dynptr.check(offset, len) {
        Ok(()) if !dynptr.read_only => dynptr.address(),
        _ => None,
    };
    let Some(address) = address else {
        call.machine.memory.note_null(call.helper, call.at);
        return Ok(0);
    };
    Ok(call.slice(&dynptr, address + offset, len, true))
}

impl Call<'_> {
    /// A pointer to a slice of a dynptr's bytes.
    pub(super) fn slice(&mut self, dynptr: &Dynptr, address: u32, len: u32, writable: bool) -> u64 {
        let kind = ObjectKind::Buffer("a slice of a dynptr");
        let mut slice = Object::new(kind, address, len, self.at);
        if !writable {
            slice = slice.read_only();
        }
        let pointer = self.machine.memory.push(slice);
        if matches!(dynptr.data, DynptrData::Record(..)) {
            self.machine.dynptrs.slices.push((dynptr.origin, pointer));
        }
        pointer.0
    }

    /// Changes the dynptr behind a pointer argument, which is one.
    pub(super) fn change_dynptr(&mut self, dynptr: &Dynptr, change: impl FnOnce(&mut Dynptr)) {
        if let Some(known) = self.machine.dynptrs.get_mut(dynptr.at) {
            change(known);
        }
    }
}

fn reserve(call: &mut Call<'_>) -> Checked<u64> {
    let map = call.map_for_helper(1)?;
    let size = call.arg(2) as u32;
    let flags = call.arg(3);
    let record = match (flags, size > MAX_SIZE) {
        (0, false) => call.reserve_record(map, u64::from(size)),
        _ => None,
    };
    let (data, len) = match record {
        Some(record) => {
            let object = Object::new(ObjectKind::Record(map), record, size, call.at);
            let pointer = call.machine.memory.push(object);
            (DynptrData::Record(map, pointer), size)
        }
        None => (DynptrData::Null, 0),
    };
    call.set_dynptr(4, data, len, false)?;
    // The program must give the dynptr back even if there was no room for a record.
    let place = Pointer(call.arg(4));
    let references = &mut call.machine.references;
    references.acquire(Resource::RecordDynptr(map), place, call.at);
    Ok(match record {
        Some(_) => 0,
        None if flags == 0 && size > MAX_SIZE => Errno::E2BIG.into(),
        None => Errno::EINVAL.into(),
    })
}

fn commit(call: &mut Call<'_>, discard: bool) -> Checked<u64> {
    let dynptr = call.dynptr(1)?;
    if call.machine.references.release(dynptr.origin).is_none() {
        return Err(call.refuse(1, "this dynptr is not of a ring buffer's record"));
    }
    if let DynptrData::Record(map, record) = dynptr.data {
        call.commit_record(map, record.address(), discard);
        let what = "a record of a ring buffer";
        let machine = &mut *call.machine;
        machine.memory.release(record, what, call.helper, call.at);
        let slices = machine
            .dynptrs
            .slices
            .extract_if(.., |(origin, _)| *origin == dynptr.origin);
        for (_, slice) in slices {
            machine.memory.release(slice, what, call.helper, call.at);
        }
    }
    call.machine.dynptrs.forget_all(dynptr.origin);
    Ok(0)
}
