//! The order in which the entries of an LRU map were used.

use super::pool::Slot;

/// Slots from the most to the least recently used.
///
/// The kernel only approximates this order (`kernel/bpf/bpf_lru_list.c`): it marks an entry when a
/// program looks it up, and sweeps the marks when it needs room, in batches and on lists for each CPU.
#[derive(Debug)]
pub(super) struct Recency {
    /// The slot used next after each slot, and the one used last before it; the ends meet in `ENDS`.
    links: Vec<Link>,
}

#[derive(Debug, Clone, Copy)]
struct Link {
    newer: u32,
    older: u32,
}

/// The link that closes the ring; slots follow.
const ENDS: u32 = 0;

impl Recency {
    pub(super) fn new() -> Self {
        Self {
            links: vec![Link {
                newer: ENDS,
                older: ENDS,
            }],
        }
    }

    /// Adds a slot that is not in the order, as the most recent.
    pub(super) fn add(&mut self, slot: Slot) {
        let at = slot + 1;
        if at as usize >= self.links.len() {
            let alone = Link { newer: 0, older: 0 };
            self.links.resize(at as usize + 1, alone);
        }
        let older = self.links[ENDS as usize].older;
        self.links[at as usize] = Link { newer: ENDS, older };
        self.links[older as usize].newer = at;
        self.links[ENDS as usize].older = at;
    }

    /// Takes a slot out of the order.
    pub(super) fn remove(&mut self, slot: Slot) {
        let Link { newer, older } = self.links[slot as usize + 1];
        self.links[newer as usize].older = older;
        self.links[older as usize].newer = newer;
    }

    /// Makes a slot the most recent.
    #[inline]
    pub(super) fn touch(&mut self, slot: Slot) {
        if self.links[ENDS as usize].older != slot + 1 {
            self.remove(slot);
            self.add(slot);
        }
    }

    /// The least recent slot.
    pub(super) fn oldest(&self) -> Option<Slot> {
        self.links[ENDS as usize].newer.checked_sub(1)
    }
}
