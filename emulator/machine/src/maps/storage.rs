//! Values that belong to sockets and cgroups (`kernel/bpf/bpf_local_storage.c`,
//! `net/core/bpf_sk_storage.c`, `kernel/bpf/local_storage.c`).

use std::collections::BTreeMap;

use super::pool::{Pool, Slot, Slots};
use super::value::{New, Shape};
use super::{MapDef, When};
use crate::errno::Errno;
use crate::memory::Memory;

/// Values by owner, whose bytes are a socket's number or the key of a cgroup.
#[derive(Debug)]
pub(super) struct LocalStorage {
    owners: BTreeMap<Vec<u8>, Slot>,
    slots: Slots,
    pub(super) shape: Shape,
}

impl LocalStorage {
    pub(super) fn new(def: &MapDef, cpus: u32) -> Self {
        let shape = Shape::new(def, cpus);
        Self {
            owners: BTreeMap::new(),
            slots: Slots::new(Pool::growing(shape.block())),
            shape,
        }
    }

    /// The block of an owner.
    pub(super) fn find(&self, owner: &[u8]) -> Option<u32> {
        Some(self.slots.address(*self.owners.get(owner)?))
    }

    /// The block of an owner, made of zeros if it has none.
    pub(super) fn create(&mut self, memory: &mut Memory, owner: &[u8]) -> Result<u32, Errno> {
        if let Some(block) = self.find(owner) {
            return Ok(block);
        }
        let slot = self.slots.take(memory)?;
        let block = self.slots.address(slot);
        memory.raw_mut(block, self.shape.block()).fill(0);
        self.owners.insert(owner.to_vec(), slot);
        Ok(block)
    }

    /// Sets an owner's value.
    pub(super) fn update(
        &mut self,
        memory: &mut Memory,
        owner: &[u8],
        new: New<'_>,
        when: When,
    ) -> Result<(), Errno> {
        when.allow(self.owners.contains_key(owner))?;
        let block = self.create(memory, owner)?;
        self.shape.store(memory, block, new);
        Ok(())
    }

    pub(super) fn delete(&mut self, owner: &[u8]) -> Result<(), Errno> {
        let slot = self.owners.remove(owner).ok_or(Errno::ENOENT)?;
        self.slots.give(slot);
        Ok(())
    }

    /// The owner after another, by their bytes.
    pub(super) fn after(&self, owner: Option<&[u8]>) -> Result<Vec<u8>, Errno> {
        use std::ops::Bound::{Excluded, Unbounded};
        let from = owner.map_or(Unbounded, Excluded);
        let mut range = self.owners.range::<[u8], _>((from, Unbounded));
        range
            .next()
            .map(|(owner, _)| owner.clone())
            .ok_or(Errno::ENOENT)
    }

    /// All owners with their blocks.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&[u8], u32)> {
        let owners = self.owners.iter();
        owners.map(|(owner, slot)| (owner.as_slice(), self.slots.address(*slot)))
    }
}
