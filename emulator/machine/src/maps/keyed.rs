//! Tables of things that programs hold no values of: maps, devices, sockets.

use super::pool::Slot;
use super::table::{Order, Table};

/// Things by keys.
#[derive(Debug)]
pub(super) struct Keyed<T> {
    table: Table,
    /// By slot.
    items: Vec<Option<T>>,
    free: Vec<Slot>,
}

impl<T> Keyed<T> {
    pub(super) fn new(key_size: u32, max_entries: u32, order: Order) -> Self {
        Self {
            table: Table::new(key_size, max_entries, order),
            items: Vec::new(),
            free: Vec::new(),
        }
    }

    pub(super) fn len(&self) -> u32 {
        self.table.len()
    }

    #[inline]
    pub(super) fn get(&self, key: &[u8]) -> Option<&T> {
        self.items[self.table.find(key)? as usize].as_ref()
    }

    pub(super) fn get_mut(&mut self, key: &[u8]) -> Option<&mut T> {
        self.items[self.table.find(key)? as usize].as_mut()
    }

    /// Adds a thing under a key, in front of its bucket, and returns the one that it replaces.
    pub(super) fn insert(&mut self, key: &[u8], item: T) -> Option<T> {
        let old = self.remove(key);
        let slot = self.free.pop().unwrap_or(self.items.len() as Slot);
        if slot as usize == self.items.len() {
            self.items.push(None);
        }
        self.items[slot as usize] = Some(item);
        self.table.insert(slot, key);
        old
    }

    pub(super) fn remove(&mut self, key: &[u8]) -> Option<T> {
        let slot = self.table.find(key)?;
        self.table.remove(slot);
        self.free.push(slot);
        self.items[slot as usize].take()
    }

    /// The key after another; the first one after an unknown one or none.
    pub(super) fn after(&self, key: Option<&[u8]>) -> Option<&[u8]> {
        Some(self.table.key(self.table.after(key)?))
    }

    /// Everything, in the order of [`Keyed::after`].
    pub(super) fn iter(&self) -> impl Iterator<Item = (&[u8], &T)> {
        self.table.slots().filter_map(|slot| {
            let item = self.items[slot as usize].as_ref()?;
            Some((self.table.key(slot), item))
        })
    }
}
