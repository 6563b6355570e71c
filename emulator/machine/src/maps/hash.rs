//! Hashes: plain, per CPU and LRU (`kernel/bpf/hashtab.c`).

use super::lru::Recency;
use super::pool::{Pool, Slot, Slots};
use super::table::{Order, Table};
use super::value::{F_LOCK, New, Shape};
use super::{MapDef, MapFlags, MapType, When};
use crate::errno::Errno;
use crate::machine::Cpu;
use crate::memory::{Memory, OutOfMemory};

/// A hash.
///
/// As in the kernel, updating an entry of a map that is not per CPU puts the new value in another
/// place: a pointer that a program holds goes on showing the old one, until the place is used again.
#[derive(Debug)]
pub(super) struct Hash {
    pub(super) table: Table,
    slots: Slots,
    pub(super) shape: Shape,
    capacity: u32,
    places: Places,
}

/// Where a new entry finds a slot.
#[derive(Debug)]
enum Places {
    /// One more slot for each CPU, which it swaps for the old one when it updates.
    Spare(Vec<Slot>),
    /// Any free slot (`BPF_F_NO_PREALLOC`).
    Any,
    /// Any free slot, else that of the entry that was not used for longest.
    Evict(Recency),
}

impl Hash {
    pub(super) fn new(def: &MapDef, memory: &mut Memory, cpus: u32) -> Result<Self, OutOfMemory> {
        let shape = Shape::new(def, cpus);
        let prealloc = !def.flags.has(MapFlags::NO_PREALLOC);
        // Updating in place needs no other slot.
        let spares = if shape.per_cpu { 0 } else { cpus };
        let pool = if prealloc {
            let slots = u64::from(def.max_entries) + u64::from(spares);
            Pool::whole(memory, shape.block(), slots)?
        } else {
            Pool::growing(shape.block())
        };
        let mut slots = Slots::new(pool);
        let places = if matches!(def.kind, MapType::LruHash | MapType::LruPerCpuHash) {
            let lists = if def.flags.has(MapFlags::NO_COMMON_LRU) {
                cpus
            } else {
                1
            };
            Places::Evict(Recency::new(lists, def.max_entries / lists))
        } else if prealloc {
            let taken = (0..spares).map_while(|_| slots.take(memory).ok());
            Places::Spare(taken.collect())
        } else {
            Places::Any
        };
        Ok(Self {
            table: Table::new(def.key_size, def.max_entries, Order::Jenkins),
            slots,
            shape,
            capacity: def.max_entries,
            places,
        })
    }

    /// The block of a key, for user space: the lookup does not count as a use.
    pub(super) fn find(&self, key: &[u8]) -> Option<u32> {
        Some(self.slots.address(self.table.find(key)?))
    }

    /// The block of a slot in use.
    pub(super) fn block(&self, slot: Slot) -> u32 {
        self.slots.address(slot)
    }

    #[inline]
    pub(super) fn lookup(&mut self, key: &[u8], cpu: Cpu) -> Option<u32> {
        let slot = self.table.find(key)?;
        if let Places::Evict(recency) = &mut self.places {
            recency.touch(slot);
        }
        Some(self.shape.at(self.slots.address(slot), cpu))
    }

    pub(super) fn update(
        &mut self,
        memory: &mut Memory,
        key: &[u8],
        new: New<'_>,
        flags: u64,
    ) -> Result<(), Errno> {
        let lru = matches!(self.places, Places::Evict(_));
        let locked = flags & F_LOCK != 0 && !lru && !self.shape.per_cpu;
        let when = When::from_flags(if locked { flags & !F_LOCK } else { flags })?;
        if locked && !self.shape.has_lock() {
            return Err(Errno::EINVAL);
        }
        let old = self.table.find(key);
        when.allow(old.is_some())?;
        match old {
            Some(slot) if locked || self.shape.per_cpu => {
                self.shape.store(memory, self.slots.address(slot), new);
                if let Places::Evict(recency) = &mut self.places {
                    recency.touch(slot);
                }
            }
            Some(slot) => self.replace(memory, slot, key, new)?,
            None => self.insert(memory, key, new)?,
        }
        Ok(())
    }

    fn insert(&mut self, memory: &mut Memory, key: &[u8], new: New<'_>) -> Result<(), Errno> {
        if let Places::Evict(recency) = &self.places {
            let surplus = recency.surplus(recency.list_of(new.cpu().0));
            self.evict(surplus);
        } else if self.table.len() >= self.capacity {
            return Err(Errno::E2BIG);
        }
        let slot = self.slots.take(memory)?;
        self.enter(memory, slot, key, new);
        Ok(())
    }

    /// Puts a key and its value into a slot.
    fn enter(&mut self, memory: &mut Memory, slot: Slot, key: &[u8], new: New<'_>) {
        self.shape.init(memory, self.slots.address(slot), new);
        self.table.insert(slot, key);
        if let Places::Evict(recency) = &mut self.places {
            let list = recency.list_of(new.cpu().0);
            recency.add(slot, list);
        }
    }

    /// Gives an entry another slot with a new value.
    fn replace(
        &mut self,
        memory: &mut Memory,
        old: Slot,
        key: &[u8],
        new: New<'_>,
    ) -> Result<(), Errno> {
        let cpu = new.cpu().0;
        let slot = match &mut self.places {
            Places::Spare(spares) => std::mem::replace(&mut spares[cpu as usize], old),
            Places::Any => self.slots.take(memory)?,
            Places::Evict(recency) => {
                let list = recency.list_of(cpu);
                let moves = list != recency.list_with(old);
                let surplus = recency.surplus(list).filter(|_| moves);
                self.evict(surplus);
                self.slots.take(memory)?
            }
        };
        self.enter(memory, slot, key, new);
        self.leave(old);
        if !matches!(self.places, Places::Spare(_)) {
            self.slots.give(old);
        }
        Ok(())
    }

    pub(super) fn delete(&mut self, key: &[u8]) -> Result<(), Errno> {
        let slot = self.table.find(key).ok_or(Errno::ENOENT)?;
        self.leave(slot);
        self.slots.give(slot);
        Ok(())
    }

    fn evict(&mut self, slot: Option<Slot>) {
        if let Some(slot) = slot {
            self.leave(slot);
            self.slots.give(slot);
        }
    }

    fn leave(&mut self, slot: Slot) {
        self.table.remove(slot);
        if let Places::Evict(recency) = &mut self.places {
            recency.remove(slot);
        }
    }
}
