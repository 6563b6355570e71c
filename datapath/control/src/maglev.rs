//! Maglev's consistent hashing: which backend serves which slot of a table.
//!
//! Follows section 3.4 of "Maglev: A Fast and Reliable Software Network Load Balancer" (NSDI 2016):
//! each backend has its own permutation of the slots, given by an offset and a step, and the backends
//! take turns in claiming the next slot of theirs that is free. Every backend so gets the same number
//! of slots, give or take one, and few slots change hands when a backend comes or goes.

use sha2::{Digest as _, Sha256};
use twinpath_abi::MAGLEV_SIZE;

/// The number of slots: a prime, so that every step visits all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TableSize(usize);

impl TableSize {
    /// The sizes that Cilium offers.
    pub const ALL: [Self; 10] = [
        Self(251),
        Self(509),
        Self(1021),
        Self(2039),
        Self(4093),
        Self(8191),
        Self(16381),
        Self(32749),
        Self(65521),
        Self(131_071),
    ];

    /// The size that the datapath is built for.
    pub const DATAPATH: Self = match Self::new(MAGLEV_SIZE) {
        Some(size) => size,
        None => panic!("MAGLEV_SIZE is not among the sizes on offer"),
    };

    /// A size, if it is one of [`TableSize::ALL`].
    pub const fn new(slots: usize) -> Option<Self> {
        let mut index = 0;
        while index < Self::ALL.len() {
            if Self::ALL[index].0 == slots {
                return Some(Self(slots));
            }
            index += 1;
        }
        None
    }

    /// The number of slots.
    pub const fn slots(self) -> usize {
        self.0
    }
}

/// A backend's walk over the slots.
struct Permutation {
    next: usize,
    step: usize,
}

impl Permutation {
    /// The walk which the backend's name gives it.
    fn of(name: &str, size: TableSize) -> Self {
        let digest: [u8; 32] = Sha256::digest(name).into();
        let word = |at: usize| {
            digest
                .iter()
                .skip(at)
                .take(8)
                .fold(0u64, |word, byte| word << 8 | u64::from(*byte))
        };
        let slots = size.slots();
        // Both fit: they are less than the number of slots.
        let below = |word: u64, limit: usize| (word % limit as u64) as usize;
        Self {
            next: below(word(0), slots),
            step: below(word(8), slots - 1) + 1,
        }
    }

    /// The next slot that nobody has claimed. There must be one.
    fn claim<T>(&mut self, table: &[Option<T>]) -> usize {
        loop {
            let slot = self.next;
            self.next = (self.next + self.step) % table.len();
            if table.get(slot).is_some_and(Option::is_none) {
                return slot;
            }
        }
    }
}

/// The backend, by its index in `names`, of each slot. Empty without backends.
///
/// The names decide, not their order: the same backends listed otherwise have the same slots.
///
/// ```
/// use twinpath_control::maglev::{TableSize, populate};
///
/// let table = populate(&["10.0.1.1:80/tcp", "10.0.1.2:80/tcp"], TableSize::DATAPATH);
/// let first = table.iter().filter(|backend| **backend == 0).count();
/// assert!((510..=511).contains(&first));
/// ```
pub fn populate(names: &[&str], size: TableSize) -> Vec<usize> {
    if names.is_empty() {
        return Vec::new();
    }
    let mut backends: Vec<_> = names
        .iter()
        .enumerate()
        .map(|(index, name)| (*name, index, Permutation::of(name, size)))
        .collect();
    backends.sort_by_key(|(name, ..)| *name);

    let mut table: Vec<Option<usize>> = vec![None; size.slots()];
    let mut free = size.slots();
    while free > 0 {
        let turn = free;
        for (_, index, permutation) in backends.iter_mut().take(turn) {
            let slot = permutation.claim(&table);
            if let Some(claimed) = table.get_mut(slot) {
                *claimed = Some(*index);
            }
            free -= 1;
        }
    }
    table.into_iter().flatten().collect()
}

#[cfg(test)]
mod tests;
