//! Sparse arrays: a bitmap of what exists, and that alone in a vector.

/// A set of numbers below `64 * WORDS`.
#[derive(Debug, Clone, Copy)]
struct Bits<const WORDS: usize>([u64; WORDS]);

impl<const WORDS: usize> Bits<WORDS> {
    #[inline]
    fn has(&self, number: usize) -> bool {
        self.0[number / 64] >> (number % 64) & 1 != 0
    }

    /// How many numbers below this one are in the set.
    #[inline]
    fn rank(&self, number: usize) -> usize {
        let (word, bit) = (number / 64, number % 64);
        let below = self.0[..word].iter().map(|word| word.count_ones());
        let here = self.0[word] & ((1 << bit) - 1);
        (below.sum::<u32>() + here.count_ones()) as usize
    }
}

/// An array of which few elements exist, indexed by numbers below `64 * WORDS`.
#[derive(Debug)]
pub(super) struct Sparse<const WORDS: usize, T> {
    bits: Bits<WORDS>,
    items: Vec<T>,
}

impl<const WORDS: usize, T> Default for Sparse<WORDS, T> {
    fn default() -> Self {
        Self {
            bits: Bits([0; WORDS]),
            items: Vec::new(),
        }
    }
}

impl<const WORDS: usize, T: Copy> Sparse<WORDS, T> {
    #[inline]
    pub(super) fn has(&self, number: usize) -> bool {
        self.bits.has(number)
    }

    /// Which of the elements below 64 exist.
    #[inline]
    pub(super) fn first_word(&self) -> u64 {
        self.bits.0[0]
    }

    #[inline]
    pub(super) fn get(&self, number: usize) -> Option<T> {
        self.has(number).then(|| self.items[self.bits.rank(number)])
    }

    pub(super) fn set(&mut self, number: usize, item: T) {
        let rank = self.bits.rank(number);
        if self.has(number) {
            self.items[rank] = item;
        } else {
            // Most nodes stay small, and there are many of them.
            if self.items.len() == self.items.capacity() {
                self.items.reserve_exact(self.items.len().max(1));
            }
            self.items.insert(rank, item);
            self.bits.0[number / 64] |= 1 << (number % 64);
        }
    }

    pub(super) fn remove(&mut self, number: usize) -> Option<T> {
        if !self.has(number) {
            return None;
        }
        self.bits.0[number / 64] &= !(1 << (number % 64));
        Some(self.items.remove(self.bits.rank(number)))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.items.is_empty()
    }
}
