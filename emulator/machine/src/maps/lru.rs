//! The order in which the entries of an LRU map were used.

use super::pool::Slot;

/// Slots from the most to the least recently used, on one list or on one for each CPU
/// (`BPF_F_NO_COMMON_LRU`).
///
/// The kernel only approximates this order (`kernel/bpf/bpf_lru_list.c`): it marks an entry when a
/// program looks it up, and sweeps the marks when it needs room, in batches and on lists for each CPU.
#[derive(Debug)]
pub(super) struct Recency {
    /// Each list is a ring that its first link closes. These come first, then the slots.
    links: Vec<Link>,
    /// How many slots each list has.
    lens: Vec<u32>,
    /// How many it may have.
    capacity: u32,
}

#[derive(Debug, Clone, Copy, Default)]
struct Link {
    newer: u32,
    older: u32,
    list: u32,
}

impl Recency {
    /// Empty lists of the same capacity.
    pub(super) fn new(lists: u32, capacity: u32) -> Self {
        let ring = |list| Link {
            newer: list,
            older: list,
            list,
        };
        Self {
            links: (0..lists).map(ring).collect(),
            lens: vec![0; lists as usize],
            capacity,
        }
    }

    /// The list of a CPU.
    pub(super) fn list_of(&self, cpu: u32) -> u32 {
        cpu % self.lens.len() as u32
    }

    /// The list that a slot is on.
    pub(super) fn list_with(&self, slot: Slot) -> u32 {
        self.links[self.link(slot)].list
    }

    /// Adds a slot that is on no list, as the most recent.
    pub(super) fn add(&mut self, slot: Slot, list: u32) {
        let at = self.link(slot);
        if at >= self.links.len() {
            self.links.resize(at + 1, Link::default());
        }
        let older = self.links[list as usize].older;
        self.links[at] = Link {
            newer: list,
            older,
            list,
        };
        self.links[older as usize].newer = at as u32;
        self.links[list as usize].older = at as u32;
        self.lens[list as usize] += 1;
    }

    /// Takes a slot off its list.
    pub(super) fn remove(&mut self, slot: Slot) {
        let Link { newer, older, list } = self.links[self.link(slot)];
        self.links[newer as usize].older = older;
        self.links[older as usize].newer = newer;
        self.lens[list as usize] -= 1;
    }

    /// Makes a slot the most recent of its list.
    #[inline]
    pub(super) fn touch(&mut self, slot: Slot) {
        let at = self.link(slot);
        let list = self.links[at].list;
        if self.links[list as usize].older != at as u32 {
            self.remove(slot);
            self.add(slot, list);
        }
    }

    /// The least recent slot of a list that is full.
    pub(super) fn surplus(&self, list: u32) -> Option<Slot> {
        let full = self.lens[list as usize] >= self.capacity;
        let oldest = self.links[list as usize].newer;
        full.then(|| oldest - self.lens.len() as u32)
    }

    fn link(&self, slot: Slot) -> usize {
        self.lens.len() + slot as usize
    }
}
