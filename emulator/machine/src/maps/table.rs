//! Keys by hash: what the kernel's hash tables have in common.

use super::pool::Slot;
use super::walk::Walk;

/// A hash table of keys of one size, in the kernel's order (`kernel/bpf/hashtab.c`).
///
/// Buckets are chains with the newest key first, a key's bucket is the kernel's hash with a seed of
/// zero: walking it yields the order of a kernel's map with `BPF_F_ZERO_SEED`. Slots are given by the
/// caller.
#[derive(Debug)]
pub(super) struct Table {
    key_size: usize,
    /// The first slot of each bucket.
    heads: Vec<Slot>,
    /// The slot after each slot in its bucket.
    next: Vec<Slot>,
    /// The key of each slot.
    keys: Vec<u8>,
    len: u32,
    order: Order,
}

/// Which bucket a key belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// By its hash.
    Jenkins,
    /// By the number that it is.
    Index,
}

/// The end of a chain.
const END: Slot = u32::MAX;

impl Table {
    pub(super) fn new(key_size: u32, max_entries: u32, order: Order) -> Self {
        let buckets = u64::from(max_entries).next_power_of_two();
        // Zero is the end in here, so that the pages of a large table are not touched before they are used.
        Self {
            key_size: key_size as usize,
            heads: vec![0; buckets as usize],
            next: Vec::new(),
            keys: Vec::new(),
            len: 0,
            order,
        }
    }

    pub(super) fn len(&self) -> u32 {
        self.len
    }

    #[inline]
    pub(super) fn find(&self, key: &[u8]) -> Option<Slot> {
        self.find_hashed(key, self.bucket(key))
    }

    #[inline]
    fn find_hashed(&self, key: &[u8], bucket: usize) -> Option<Slot> {
        let mut slot = self.head(bucket);
        while slot != END {
            if same(self.key(slot), key) {
                return Some(slot);
            }
            slot = self.next[slot as usize];
        }
        None
    }

    #[inline]
    fn head(&self, bucket: usize) -> Slot {
        self.heads[bucket].wrapping_sub(1)
    }

    fn set_head(&mut self, bucket: usize, slot: Slot) {
        self.heads[bucket] = slot.wrapping_add(1);
    }

    /// The key of a slot that is or was in use.
    #[inline]
    pub(super) fn key(&self, slot: Slot) -> &[u8] {
        let start = slot as usize * self.key_size;
        &self.keys[start..start + self.key_size]
    }

    /// Puts a key that is not in the table, or is about to be removed from it, into a free slot.
    pub(super) fn insert(&mut self, slot: Slot, key: &[u8]) {
        let (at, start) = (slot as usize, slot as usize * self.key_size);
        if at >= self.next.len() {
            self.next.resize(at + 1, END);
            self.keys.resize(start + self.key_size, 0);
        }
        let bucket = self.bucket(key);
        self.keys[start..start + self.key_size].copy_from_slice(key);
        self.next[at] = self.head(bucket);
        self.set_head(bucket, slot);
        self.len += 1;
    }

    /// Takes a slot that is in use out of its bucket.
    pub(super) fn remove(&mut self, slot: Slot) {
        let bucket = self.bucket(self.key(slot));
        let after = self.next[slot as usize];
        let mut before = self.head(bucket);
        if before == slot {
            self.set_head(bucket, after);
        } else {
            while before != END && self.next[before as usize] != slot {
                before = self.next[before as usize];
            }
            if before == END {
                return;
            }
            self.next[before as usize] = after;
        }
        self.len -= 1;
    }

    /// The slot that follows in the kernel's order: the first one after an unknown key or none.
    pub(super) fn after(&self, key: Option<&[u8]>) -> Option<Slot> {
        let found = key.and_then(|key| self.find(key).map(|slot| (slot, self.bucket(key))));
        let Some((slot, bucket)) = found else {
            return self.first_from(0);
        };
        match self.next[slot as usize] {
            END => self.first_from(bucket + 1),
            next => Some(next),
        }
    }

    fn first_from(&self, bucket: usize) -> Option<Slot> {
        let used = self.heads.get(bucket..)?.iter().find(|head| **head != 0)?;
        Some(used.wrapping_sub(1))
    }

    /// The next slot of a walk.
    #[allow(dead_code)] // The engines' `bpf_for_each_map_elem` walks.
    pub(super) fn step(&self, walk: &mut Walk) -> Option<Slot> {
        loop {
            if let Some(slot) = walk.slot {
                let next = self.next[slot as usize];
                walk.slot = (next != END).then_some(next);
                return Some(slot);
            }
            let head = self.heads.get(walk.place as usize)?.wrapping_sub(1);
            walk.place += 1;
            walk.slot = (head != END).then_some(head);
        }
    }

    /// All slots in use, in the kernel's order.
    pub(super) fn slots(&self) -> impl Iterator<Item = Slot> + '_ {
        let chain = |slot: Slot| (slot != END).then_some(slot);
        let heads = self.heads.iter().filter(|head| **head != 0);
        heads.flat_map(move |head| {
            std::iter::successors(chain(head.wrapping_sub(1)), move |slot| {
                chain(self.next[*slot as usize])
            })
        })
    }

    #[inline]
    fn bucket(&self, key: &[u8]) -> usize {
        let hash = match self.order {
            Order::Jenkins => jenkins(key, 0),
            Order::Index => word_of(key),
        };
        hash as usize & (self.heads.len() - 1)
    }
}

/// Whether two keys of the same length are equal, without a call for the short keys that most maps have.
#[inline(always)]
fn same(a: &[u8], b: &[u8]) -> bool {
    if let (Ok(a), Ok(b)) = (<[u8; 4]>::try_from(a), <[u8; 4]>::try_from(b)) {
        return a == b;
    }
    if a.len() > 32 {
        return a == b;
    }
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<4>(), b.as_chunks::<4>());
    let rest = a_rest.iter().zip(b_rest).all(|(a, b)| a == b);
    rest && a.iter().zip(b).all(|(a, b)| a == b)
}

/// Bob Jenkins' lookup3 as `include/linux/jhash.h` has it, which is `hashlittle` of lookup3.
#[inline(always)]
pub(super) fn jenkins(key: &[u8], seed: u32) -> u32 {
    let start = 0xdead_beefu32
        .wrapping_add(key.len() as u32)
        .wrapping_add(seed);
    // A word alone, as most keys that are numbers.
    if let Ok(word) = key.try_into() {
        let word = u32::from_le_bytes(word);
        return finish([start.wrapping_add(word), start, start]);
    }
    let mut state = [start; 3];
    let mut rest = key;
    while rest.len() > 12 {
        let (block, after) = rest.split_at(12);
        for (word, bytes) in state.iter_mut().zip(block.as_chunks::<4>().0) {
            *word = word.wrapping_add(u32::from_le_bytes(*bytes));
        }
        mix(&mut state);
        rest = after;
    }
    if rest.is_empty() {
        return state[2];
    }
    let (whole, part) = rest.as_chunks::<4>();
    for (word, bytes) in state.iter_mut().zip(whole) {
        *word = word.wrapping_add(u32::from_le_bytes(*bytes));
    }
    if !part.is_empty() {
        state[whole.len()] = state[whole.len()].wrapping_add(word_of(part));
    }
    finish(state)
}

/// The number that at most four bytes are, little-endian.
#[inline]
pub(super) fn word_of(bytes: &[u8]) -> u32 {
    match bytes.try_into() {
        Ok(word) => u32::from_le_bytes(word),
        Err(_) => bytes
            .iter()
            .rev()
            .fold(0, |word, byte| word << 8 | u32::from(*byte)),
    }
}

#[inline]
fn mix([a, b, c]: &mut [u32; 3]) {
    let step = |x: &mut u32, y: &mut u32, z: &mut u32, turn: u32| {
        *x = x.wrapping_sub(*z) ^ z.rotate_left(turn);
        *z = z.wrapping_add(*y);
    };
    step(a, b, c, 4);
    step(b, c, a, 6);
    step(c, a, b, 8);
    step(a, b, c, 16);
    step(b, c, a, 19);
    step(c, a, b, 4);
}

#[inline]
fn finish([mut a, mut b, mut c]: [u32; 3]) -> u32 {
    let step = |x: &mut u32, y: u32, turn: u32| *x = (*x ^ y).wrapping_sub(y.rotate_left(turn));
    step(&mut c, b, 14);
    step(&mut a, c, 11);
    step(&mut b, a, 25);
    step(&mut c, b, 16);
    step(&mut a, c, 4);
    step(&mut b, a, 14);
    step(&mut c, b, 24);
    c
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From lookup3.c's own driver (Bob Jenkins, public domain): `hashlittle` of a known sentence.
    #[test]
    fn the_hash_is_lookup3() {
        let text = b"Four score and seven years ago";
        assert_eq!(jenkins(text, 0), 0x1777_0551);
        assert_eq!(jenkins(text, 1), 0xcd62_8161);
        assert_eq!(jenkins(b"", 0), 0xdead_beef);
    }

    #[test]
    fn chains_have_the_newest_first_and_survive_removal() {
        let mut table = Table::new(4, 1, Order::Jenkins);
        for slot in 0..4u32 {
            table.insert(slot, &slot.to_le_bytes());
        }
        assert_eq!(table.slots().collect::<Vec<_>>(), [3, 2, 1, 0]);
        table.remove(2);
        table.remove(3);
        assert_eq!(table.slots().collect::<Vec<_>>(), [1, 0]);
        assert_eq!(table.after(Some(&1u32.to_le_bytes())), Some(0));
        assert_eq!(table.after(Some(&0u32.to_le_bytes())), None);
        assert_eq!(table.after(Some(&9u32.to_le_bytes())), Some(1));
        assert_eq!(table.len(), 2);
    }
}
