//! Arrays of things that programs hold no values of: programs, maps, cgroups
//! (`kernel/bpf/arraymap.c`, "fd array").

use super::array::{index, index_after};
use crate::errno::Errno;

/// Things by index.
#[derive(Debug)]
pub(super) struct Handles<T>(Vec<Option<T>>);

impl<T: Copy> Handles<T> {
    pub(super) fn new(len: u32) -> Self {
        Self(vec![None; len as usize])
    }

    #[inline]
    pub(super) fn get(&self, index: u32) -> Option<T> {
        self.0.get(index as usize).copied().flatten()
    }

    #[inline]
    pub(super) fn find(&self, key: &[u8]) -> Option<T> {
        self.get(index(key)?)
    }

    /// Sets or clears an entry.
    pub(super) fn set(&mut self, index: u32, item: Option<T>) -> Result<(), Errno> {
        *self.0.get_mut(index as usize).ok_or(Errno::E2BIG)? = item;
        Ok(())
    }

    /// Removes an entry; none when there was nothing.
    pub(super) fn take(&mut self, key: &[u8]) -> Result<Option<T>, Errno> {
        let entry = index(key).and_then(|index| self.0.get_mut(index as usize));
        Ok(entry.ok_or(Errno::E2BIG)?.take())
    }

    pub(super) fn after(&self, key: Option<&[u8]>) -> Result<u32, Errno> {
        index_after(key, self.0.len() as u32)
    }

    /// What is there, by index.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, T)> {
        let items = (0..).zip(&self.0);
        items.filter_map(|(index, item)| Some((index, (*item)?)))
    }
}
