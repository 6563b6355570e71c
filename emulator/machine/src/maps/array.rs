//! Arrays (`kernel/bpf/arraymap.c`).

use super::{MapDef, Value};
use crate::errno::Errno;
use crate::memory::{Memory, OutOfMemory};

/// An array of fixed length whose elements always exist.
#[derive(Debug)]
pub(super) struct Array {
    start: u32,
    stride: u32,
    value_size: u32,
    len: u32,
}

impl Array {
    pub(super) fn new(def: &MapDef, memory: &mut Memory) -> Result<Self, OutOfMemory> {
        let stride = def.value_size.next_multiple_of(8);
        let start = memory.allocate(u64::from(stride) * u64::from(def.max_entries))?;
        Ok(Self {
            start,
            stride,
            value_size: def.value_size,
            len: def.max_entries,
        })
    }

    #[inline]
    pub(super) fn lookup(&self, key: &[u8]) -> Option<u32> {
        let index = u32::from_le_bytes(key.try_into().ok()?);
        (index < self.len).then(|| self.start + index * self.stride)
    }

    pub(super) fn update(
        &self,
        memory: &mut Memory,
        key: &[u8],
        value: Value<'_>,
        flags: u64,
    ) -> Result<(), Errno> {
        const BPF_NOEXIST: u64 = 1;
        const BPF_EXIST: u64 = 2;
        if flags > BPF_EXIST {
            return Err(Errno::EINVAL);
        }
        let address = self.lookup(key).ok_or(Errno::E2BIG)?;
        if flags == BPF_NOEXIST {
            return Err(Errno::EEXIST);
        }
        match value {
            Value::Guest(from) => memory.raw_copy(from, address, self.value_size),
            Value::Host(bytes) => memory
                .raw_mut(address, self.value_size)
                .copy_from_slice(bytes),
        }
        Ok(())
    }
}
