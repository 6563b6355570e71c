//! Queues and stacks (`kernel/bpf/queue_stack_maps.c`).

use super::{MapDef, MapType};
use crate::errno::Errno;

/// A queue or a stack of values, which programs get copies of.
#[derive(Debug)]
pub(super) struct Queue {
    /// A ring of one more value than there may be.
    bytes: Vec<u8>,
    size: usize,
    places: usize,
    /// Where the next value goes, and where the oldest one is.
    head: usize,
    tail: usize,
    last_first: bool,
}

impl Queue {
    pub(super) fn new(def: &MapDef) -> Self {
        let places = def.max_entries as usize + 1;
        let size = def.value_size as usize;
        Self {
            bytes: vec![0; places * size],
            size,
            places,
            head: 0,
            tail: 0,
            last_first: def.kind == MapType::Stack,
        }
    }

    /// Adds a value; with `BPF_EXIST` in the place of the oldest when there is no room.
    pub(super) fn push(&mut self, value: &[u8], flags: u64) -> Result<(), Errno> {
        let replace = match flags {
            0 => false,
            2 => true,
            _ => return Err(Errno::EINVAL),
        };
        let next = self.after(self.head);
        if next == self.tail {
            if !replace {
                return Err(Errno::E2BIG);
            }
            self.tail = self.after(self.tail);
        }
        let at = self.head * self.size;
        self.bytes[at..at + self.size].copy_from_slice(value);
        self.head = next;
        Ok(())
    }

    /// Copies the next value, or zeros when there is none.
    pub(super) fn take(&mut self, into: &mut [u8], remove: bool) -> Result<(), Errno> {
        let Some(at) = self.next() else {
            into.fill(0);
            return Err(Errno::ENOENT);
        };
        into.copy_from_slice(self.value(at));
        match (remove, self.last_first) {
            (false, _) => {}
            (true, true) => self.head = at,
            (true, false) => self.tail = self.after(at),
        }
        Ok(())
    }

    /// A copy of the next value.
    pub(super) fn peek(&self) -> Result<Vec<u8>, Errno> {
        let at = self.next().ok_or(Errno::ENOENT)?;
        Ok(self.value(at).to_vec())
    }

    /// All values, the next one first.
    pub(super) fn values(&self) -> Vec<Vec<u8>> {
        let len = (self.head + self.places - self.tail) % self.places;
        let places = (0..len).map(|nth| (self.tail + nth) % self.places);
        let mut values: Vec<_> = places.map(|at| self.value(at).to_vec()).collect();
        if self.last_first {
            values.reverse();
        }
        values
    }

    fn next(&self) -> Option<usize> {
        if self.head == self.tail {
            None
        } else if self.last_first {
            Some(self.head.checked_sub(1).unwrap_or(self.places - 1))
        } else {
            Some(self.tail)
        }
    }

    fn value(&self, at: usize) -> &[u8] {
        &self.bytes[at * self.size..(at + 1) * self.size]
    }

    fn after(&self, at: usize) -> usize {
        if at + 1 == self.places { 0 } else { at + 1 }
    }
}
