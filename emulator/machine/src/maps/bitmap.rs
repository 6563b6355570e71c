//! Sparse arrays: a bitmap of what exists, and that alone in a vector, unless it is much.

/// A set of numbers below `64 * WORDS`.
#[derive(Debug, Clone, Copy)]
struct Bits<const WORDS: usize> {
    words: [u64; WORDS],
    /// How many numbers are in the words before each: not every processor counts bits at once.
    before: [u16; WORDS],
}

impl<const WORDS: usize> Bits<WORDS> {
    #[inline]
    fn has(&self, number: usize) -> bool {
        self.words[number / 64] >> (number % 64) & 1 != 0
    }

    /// How many numbers below this one are in the set.
    #[inline]
    fn rank(&self, number: usize) -> usize {
        let (word, bit) = (number / 64, number % 64);
        let here = self.words[word] & ((1 << bit) - 1);
        usize::from(self.before[word]) + here.count_ones() as usize
    }

    fn len(&self) -> usize {
        let last = self.words[WORDS - 1].count_ones() as usize;
        usize::from(self.before[WORDS - 1]) + last
    }

    /// The numbers in the set, ascending.
    fn iter(&self) -> impl Iterator<Item = usize> {
        (0..64 * WORDS).filter(|number| self.has(*number))
    }

    /// Adds a number that is not in the set.
    fn add(&mut self, number: usize) {
        let (word, bit) = (number / 64, number % 64);
        self.words[word] |= 1 << bit;
        self.before[word + 1..]
            .iter_mut()
            .for_each(|before| *before += 1);
    }

    /// Removes a number that is in the set.
    fn remove(&mut self, number: usize) {
        let (word, bit) = (number / 64, number % 64);
        self.words[word] &= !(1 << bit);
        self.before[word + 1..]
            .iter_mut()
            .for_each(|before| *before -= 1);
    }
}

/// An array of which few elements exist, indexed by numbers below `64 * WORDS`.
#[derive(Debug)]
pub(super) struct Sparse<const WORDS: usize, T> {
    bits: Bits<WORDS>,
    /// The elements that exist by their rank; or, when they are many, all by their number, so that finding one
    /// takes no counting.
    items: Vec<T>,
}

impl<const WORDS: usize, T> Default for Sparse<WORDS, T> {
    fn default() -> Self {
        Self {
            bits: Bits {
                words: [0; WORDS],
                before: [0; WORDS],
            },
            items: Vec::new(),
        }
    }
}

impl<const WORDS: usize, T: Copy + Default> Sparse<WORDS, T> {
    const ALL: usize = 64 * WORDS;
    /// More elements than this are kept by number.
    const MANY: usize = Self::ALL / 4;
    /// Fewer are kept by rank again.
    const FEW: usize = Self::ALL / 8;

    #[inline]
    pub(super) fn has(&self, number: usize) -> bool {
        self.bits.has(number)
    }

    /// Which of the elements below 64 exist.
    #[inline]
    pub(super) fn first_word(&self) -> u64 {
        self.bits.words[0]
    }

    #[inline]
    fn by_number(&self) -> bool {
        self.items.len() == Self::ALL
    }

    /// Where an element is that exists, or would be.
    #[inline]
    fn place(&self, number: usize) -> usize {
        if self.by_number() {
            number
        } else {
            self.bits.rank(number)
        }
    }

    #[inline]
    pub(super) fn get(&self, number: usize) -> Option<T> {
        self.has(number).then(|| self.items[self.place(number)])
    }

    pub(super) fn set(&mut self, number: usize, item: T) {
        if self.items.len() == Self::MANY {
            self.keep_by_number();
        }
        let place = self.place(number);
        let new = !self.has(number);
        if new {
            self.bits.add(number);
        }
        if !new || self.by_number() {
            self.items[place] = item;
            return;
        }
        // Most nodes stay small, and there are many of them.
        if self.items.len() == self.items.capacity() {
            self.items.reserve_exact(self.items.len().max(1));
        }
        self.items.insert(place, item);
    }

    pub(super) fn remove(&mut self, number: usize) -> Option<T> {
        let item = self.get(number)?;
        let place = self.place(number);
        self.bits.remove(number);
        if !self.by_number() {
            self.items.remove(place);
        } else if self.bits.len() < Self::FEW {
            self.items = self.bits.iter().map(|number| self.items[number]).collect();
        }
        Some(item)
    }

    fn keep_by_number(&mut self) {
        let mut all = vec![T::default(); Self::ALL];
        for (number, item) in self.bits.iter().zip(&self.items) {
            all[number] = *item;
        }
        self.items = all;
    }

    pub(super) fn is_empty(&self) -> bool {
        self.items.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn it_holds_what_a_map_would_however_many_there_are() {
        let (mut sparse, mut map) = (Sparse::<4, u32>::default(), BTreeMap::new());
        let mut random = 1u32;
        let mut next = |below: u32| {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (random >> 8) % below
        };
        for step in 0..20_000 {
            let number = next(256) as usize;
            // It fills, and empties again.
            if next(4) < 1 + step / 2_500 % 2 * 2 {
                assert_eq!(sparse.remove(number), map.remove(&number), "step {step}");
            } else {
                sparse.set(number, step);
                map.insert(number, step);
            }
            let same = (0..256).all(|number| sparse.get(number) == map.get(&number).copied());
            assert!(same, "step {step}");
            assert_eq!(sparse.is_empty(), map.is_empty(), "step {step}");
        }
    }
}
