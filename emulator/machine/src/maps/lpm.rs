//! Longest-prefix-match tries (`kernel/bpf/lpm_trie.c`).

use super::lpm_trie::{Prefix, Trie};
use super::pool::{Pool, Slot, Slots};
use super::value::{New, Shape};
use super::{MapDef, When};
use crate::errno::Errno;
use crate::memory::Memory;

/// A map from prefixes to values. A key is a `struct bpf_lpm_trie_key`: the number of leading bits
/// that count, in 32 bits of the host's order, and the bytes.
///
/// A key is kept as it was given, with the bits behind the prefix, and is listed so.
#[derive(Debug)]
pub(super) struct Lpm {
    trie: Trie,
    slots: Slots,
    keys: Keys,
    pub(super) shape: Shape,
    len: u32,
    capacity: u32,
}

/// The keys of all slots.
#[derive(Debug)]
struct Keys {
    size: usize,
    bytes: Vec<u8>,
}

impl Lpm {
    pub(super) fn new(def: &MapDef) -> Self {
        let shape = Shape::new(def, 1);
        Self {
            trie: Trie::default(),
            slots: Slots::new(Pool::growing(shape.block())),
            keys: Keys {
                size: def.key_size as usize,
                bytes: Vec::new(),
            },
            shape,
            len: 0,
            capacity: def.max_entries,
        }
    }

    /// The block of the longest prefix that covers a key.
    #[inline]
    pub(super) fn find(&self, key: &[u8]) -> Option<u32> {
        let prefix = Prefix::of_key(key)?;
        let slot = self.trie.covering(prefix, |slot| self.keys.prefix(slot))?;
        Some(self.slots.address(slot))
    }

    pub(super) fn update(
        &mut self,
        memory: &mut Memory,
        key: &[u8],
        new: New<'_>,
        flags: u64,
    ) -> Result<(), Errno> {
        let when = When::from_flags(flags)?;
        let prefix = Prefix::of_key(key).ok_or(Errno::EINVAL)?;
        let old = self.trie.exact(prefix, |slot| self.keys.prefix(slot));
        when.allow(old.is_some())?;
        if old.is_none() && self.len == self.capacity {
            return Err(Errno::ENOSPC);
        }
        let slot = self.slots.take(memory)?;
        self.shape.init(memory, self.slots.address(slot), new);
        self.keys.set(slot, key);
        match old {
            None => {
                let keys = &self.keys;
                self.trie.insert(prefix, slot, |slot| keys.prefix(slot));
                self.len += 1;
            }
            Some(old) => {
                let keys = &self.keys;
                self.trie.replace(prefix, slot, |slot| keys.prefix(slot));
                self.slots.give(old);
            }
        }
        Ok(())
    }

    pub(super) fn delete(&mut self, key: &[u8]) -> Result<(), Errno> {
        let prefix = Prefix::of_key(key).ok_or(Errno::EINVAL)?;
        let keys = &self.keys;
        let removed = self.trie.remove(prefix, |slot| keys.prefix(slot));
        self.slots.give(removed.ok_or(Errno::ENOENT)?);
        self.len -= 1;
        Ok(())
    }

    /// The key after another, more specific ones before less specific ones; the first one after an
    /// unknown key or none.
    pub(super) fn after(&self, key: Option<&[u8]>) -> Result<&[u8], Errno> {
        let prefix = key.and_then(Prefix::of_key);
        let next = self.trie.after(prefix, |slot| self.keys.prefix(slot));
        next.map(|slot| self.keys.get(slot)).ok_or(Errno::ENOENT)
    }

    /// All keys and their blocks, in the order of [`Lpm::after`].
    pub(super) fn entries(&self) -> impl Iterator<Item = (&[u8], u32)> {
        let slots = self.trie.slots().into_iter();
        slots.map(|slot| (self.keys.get(slot), self.slots.address(slot)))
    }
}

impl Keys {
    fn get(&self, slot: Slot) -> &[u8] {
        let start = slot as usize * self.size;
        &self.bytes[start..start + self.size]
    }

    fn set(&mut self, slot: Slot, key: &[u8]) {
        let start = slot as usize * self.size;
        if self.bytes.len() < start + self.size {
            self.bytes.resize(start + self.size, 0);
        }
        self.bytes[start..start + self.size].copy_from_slice(key);
    }

    #[inline]
    fn prefix(&self, slot: Slot) -> Prefix<'_> {
        Prefix::trusted(self.get(slot))
    }
}
