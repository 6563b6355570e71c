//! A trie of prefixes with a stride of eight bits.
//!
//! A node decides on one byte of the key and holds the prefixes that end in that byte, in a bitmap by
//! their place in a binary tree of the byte's bits: the prefix of `n` bits with the value `v` has the
//! number `2^n + v`, its parent half of that. Bytes on which all prefixes below agree are skipped, and a
//! prefix that is alone below a node hangs there as a leaf. So a lookup among a million addresses visits
//! three or four nodes, where a binary trie visits twenty.

use super::bitmap::Sparse;
use super::pool::Slot;
use super::table::word_of;

/// A prefix: how many leading bits of the bytes count.
#[derive(Debug, Clone, Copy)]
pub(super) struct Prefix<'a> {
    bits: u32,
    bytes: &'a [u8],
}

impl<'a> Prefix<'a> {
    /// The prefix of a key; none if it is longer than the key's bytes.
    #[inline]
    pub(super) fn of_key(key: &'a [u8]) -> Option<Self> {
        let prefix = Self::trusted(key);
        (prefix.bits as usize <= prefix.bytes.len() * 8).then_some(prefix)
    }

    /// The prefix of a key that has been checked.
    #[inline]
    pub(super) fn trusted(key: &'a [u8]) -> Self {
        let (bits, bytes) = key.split_at(4);
        Self {
            bits: word_of(bits),
            bytes,
        }
    }

    /// The byte in which it ends.
    fn last(self) -> usize {
        (self.bits as usize - 1) / 8
    }

    /// Its number in the node of its last byte.
    fn number(self) -> usize {
        number(
            self.bytes[self.last()],
            self.bits as usize - 8 * self.last(),
        )
    }

    /// Whether it starts with another prefix, whose bytes before `from` are the same.
    #[inline]
    fn starts_with(self, other: Prefix<'_>, from: usize) -> bool {
        let (whole, rest) = (other.bits as usize / 8, other.bits % 8);
        // Byte by byte: there are few.
        let bytes = self.bytes.iter().zip(other.bytes);
        let mut bytes = bytes.take(whole).skip(from);
        self.bits >= other.bits
            && bytes.all(|(own, other)| own == other)
            && (rest == 0 || (self.bytes[whole] ^ other.bytes[whole]) >> (8 - rest) == 0)
    }
}

/// The number of the first `len` bits, 1 to 8, of a byte.
#[inline]
fn number(byte: u8, len: usize) -> usize {
    1 << len | usize::from(byte) >> (8 - len)
}

#[derive(Debug, Default)]
pub(super) struct Trie {
    /// What is under the prefix of no bits.
    any: Option<Slot>,
    /// The root is the first.
    nodes: Vec<Node>,
    free: Vec<u32>,
}

#[derive(Debug, Default)]
struct Node {
    /// Bytes between the parent's and this node's own, the same in all prefixes below.
    skip: Box<[u8]>,
    /// By [`number`].
    prefixes: Sparse<8, Slot>,
    /// By byte.
    children: Sparse<4, Child>,
}

/// What is below a byte of a node.
#[derive(Debug, Clone, Copy, Default)]
struct Child(u32);

enum Below {
    Node(usize),
    /// One prefix, which ends in a later byte.
    Leaf(Slot),
}

impl Child {
    const LEAF: u32 = 1 << 31;

    fn node(node: usize) -> Self {
        Self(node as u32)
    }

    fn leaf(slot: Slot) -> Self {
        Self(slot | Self::LEAF)
    }

    #[inline]
    fn below(self) -> Below {
        if self.0 & Self::LEAF == 0 {
            Below::Node(self.0 as usize)
        } else {
            Below::Leaf(self.0 & !Self::LEAF)
        }
    }
}

/// Where a prefix is.
enum Place {
    /// It has no bits.
    Any,
    /// Among the prefixes of a node.
    In(usize),
    /// A leaf below this byte of a node.
    Below(usize, u8),
}

impl Trie {
    /// The longest prefix that `key` starts with.
    #[inline]
    pub(super) fn covering<'k>(
        &self,
        key: Prefix<'_>,
        prefix_of: impl Fn(Slot) -> Prefix<'k>,
    ) -> Option<Slot> {
        let mut best = None;
        let mut next = self.nodes.first();
        let mut rest = key.bytes;
        let mut bits = key.bits as usize;
        while let Some(node) = next {
            let skip = node.skip.len();
            // Byte by byte: there are few, most often none, and comparing no bytes by a call is slow where
            // an empty box points to memory that is not there.
            let skipped = node.skip.iter().zip(rest).all(|(own, byte)| own == byte);
            if bits <= skip * 8 || !skipped {
                break;
            }
            let byte = rest[skip];
            bits -= skip * 8;
            if !node.prefixes.is_empty()
                && let Some(at) = node.longest(number(byte, bits.min(8)))
            {
                best = Some((node, at));
            }
            if bits <= 8 {
                break;
            }
            (rest, bits) = (&rest[skip + 1..], bits - 8);
            match node.children.get(usize::from(byte)).map(Child::below) {
                None => break,
                Some(Below::Node(child)) => next = self.nodes.get(child),
                Some(Below::Leaf(slot)) => {
                    let above = key.bytes.len() - rest.len();
                    if key.starts_with(prefix_of(slot), above) {
                        return Some(slot);
                    }
                    break;
                }
            }
        }
        match best {
            Some((node, at)) => node.prefixes.get(at),
            None => self.any,
        }
    }

    /// The slot of exactly this prefix.
    pub(super) fn exact<'k>(
        &self,
        prefix: Prefix<'_>,
        prefix_of: impl Fn(Slot) -> Prefix<'k>,
    ) -> Option<Slot> {
        match self.place(prefix, prefix_of, &mut Vec::new())? {
            Place::Any => self.any,
            Place::In(node) => self.nodes[node].prefixes.get(prefix.number()),
            Place::Below(node, byte) => match self.nodes[node].child(byte)? {
                Below::Leaf(slot) => Some(slot),
                Below::Node(_) => None,
            },
        }
    }

    /// Where exactly this prefix is, and the nodes and bytes above that.
    fn place<'k>(
        &self,
        prefix: Prefix<'_>,
        prefix_of: impl Fn(Slot) -> Prefix<'k>,
        path: &mut Vec<(usize, u8)>,
    ) -> Option<Place> {
        if prefix.bits == 0 {
            return self.any.map(|_| Place::Any);
        }
        let (mut at, mut depth) = (0, 0);
        loop {
            let node = self.nodes.get(at)?;
            let own = depth + node.skip.len();
            if prefix.last() < own || prefix.bytes[depth..own] != *node.skip {
                return None;
            }
            if prefix.last() == own {
                let here = node.prefixes.has(prefix.number());
                return here.then_some(Place::In(at));
            }
            let byte = prefix.bytes[own];
            match node.child(byte)? {
                Below::Node(child) => {
                    path.push((at, byte));
                    (at, depth) = (child, own + 1);
                }
                Below::Leaf(slot) => {
                    let other = prefix_of(slot);
                    let same = other.bits == prefix.bits && prefix.starts_with(other, 0);
                    return same.then_some(Place::Below(at, byte));
                }
            }
        }
    }

    /// Puts another slot in the place of one with the same prefix.
    pub(super) fn replace<'k>(
        &mut self,
        prefix: Prefix<'_>,
        slot: Slot,
        prefix_of: impl Fn(Slot) -> Prefix<'k>,
    ) {
        match self.place(prefix, prefix_of, &mut Vec::new()) {
            Some(Place::Any) => self.any = Some(slot),
            Some(Place::In(node)) => self.nodes[node].prefixes.set(prefix.number(), slot),
            Some(Place::Below(node, byte)) => {
                let child = Child::leaf(slot);
                self.nodes[node].children.set(usize::from(byte), child);
            }
            None => {}
        }
    }

    /// Adds a prefix that is not in the trie.
    pub(super) fn insert<'k>(
        &mut self,
        prefix: Prefix<'_>,
        slot: Slot,
        prefix_of: impl Fn(Slot) -> Prefix<'k>,
    ) {
        if prefix.bits == 0 {
            self.any = Some(slot);
            return;
        }
        if self.nodes.is_empty() {
            self.nodes.push(Node::default());
        }
        if self.nodes[0].is_empty() {
            self.nodes[0].skip = prefix.bytes[..prefix.last()].into();
        }
        let (mut at, mut depth) = (0, 0);
        loop {
            self.split(at, &prefix.bytes[depth..=prefix.last()]);
            let own = depth + self.nodes[at].skip.len();
            if prefix.last() == own {
                self.nodes[at].prefixes.set(prefix.number(), slot);
                return;
            }
            let byte = prefix.bytes[own];
            let child = match self.nodes[at].child(byte) {
                Some(Below::Node(child)) => child,
                Some(Below::Leaf(other)) => {
                    let child = self.grow(prefix_of(other), other, prefix, own + 1);
                    let children = &mut self.nodes[at].children;
                    children.set(usize::from(byte), Child::node(child));
                    child
                }
                None => {
                    let child = Child::leaf(slot);
                    self.nodes[at].children.set(usize::from(byte), child);
                    return;
                }
            };
            (at, depth) = (child, own + 1);
        }
    }

    /// Shortens what a node skips to what it shares with `bytes`, of which the last one is not skipped.
    fn split(&mut self, at: usize, bytes: &[u8]) {
        let shared = common(&self.nodes[at].skip, &bytes[..bytes.len() - 1]);
        let skip = &self.nodes[at].skip;
        let Some(byte) = skip.get(shared).copied() else {
            return;
        };
        let (before, after) = (skip[..shared].into(), skip[shared + 1..].into());
        let mut lower = std::mem::take(&mut self.nodes[at]);
        lower.skip = after;
        let lower = self.add(lower);
        let upper = &mut self.nodes[at];
        upper.skip = before;
        upper.children.set(usize::from(byte), Child::node(lower));
    }

    /// A node for two prefixes that agree on the bytes before `depth`, with the first of them in it.
    fn grow(&mut self, first: Prefix<'_>, slot: Slot, second: Prefix<'_>, depth: usize) -> usize {
        let shared = common(
            &first.bytes[depth..first.last()],
            &second.bytes[depth..second.last()],
        );
        let own = depth + shared;
        let mut node = Node {
            skip: first.bytes[depth..own].into(),
            ..Node::default()
        };
        if first.last() == own {
            node.prefixes.set(first.number(), slot);
        } else {
            let byte = usize::from(first.bytes[own]);
            node.children.set(byte, Child::leaf(slot));
        }
        self.add(node)
    }

    fn add(&mut self, node: Node) -> usize {
        if let Some(free) = self.free.pop() {
            self.nodes[free as usize] = node;
            return free as usize;
        }
        self.nodes.push(node);
        self.nodes.len() - 1
    }

    /// Removes a prefix and returns its slot.
    pub(super) fn remove<'k>(
        &mut self,
        prefix: Prefix<'_>,
        prefix_of: impl Fn(Slot) -> Prefix<'k>,
    ) -> Option<Slot> {
        let mut path = Vec::new();
        let (slot, mut at) = match self.place(prefix, prefix_of, &mut path)? {
            Place::Any => return self.any.take(),
            Place::In(node) => (self.nodes[node].prefixes.remove(prefix.number())?, node),
            Place::Below(node, byte) => {
                let child = self.nodes[node].children.remove(usize::from(byte))?;
                let Below::Leaf(slot) = child.below() else {
                    return None;
                };
                (slot, node)
            }
        };
        while self.nodes[at].is_empty()
            && let Some((parent, byte)) = path.pop()
        {
            self.nodes[at] = Node::default();
            self.free.push(at as u32);
            self.nodes[parent].children.remove(usize::from(byte));
            at = parent;
        }
        if self.nodes[at].is_empty() {
            self.nodes[at].skip = Box::default();
        }
        Some(slot)
    }

    /// The slot after a prefix in postorder; the first one if the prefix is none or unknown.
    pub(super) fn after<'k>(
        &self,
        prefix: Option<Prefix<'_>>,
        prefix_of: impl Fn(Slot) -> Prefix<'k>,
    ) -> Option<Slot> {
        let mut path = Vec::new();
        let place = prefix.and_then(|prefix| {
            let place = self.place(prefix, prefix_of, &mut path)?;
            Some((prefix, place))
        });
        let found = match place {
            Some((_, Place::Any)) => return None,
            None => self.scan(0, 0),
            Some((prefix, Place::In(node))) => self.scan(node, after(prefix.number())),
            Some((_, Place::Below(node, byte))) => self.scan_behind(node, byte),
        };
        let found = found.or_else(|| {
            let mut above = path.iter().rev();
            above.find_map(|(node, byte)| self.scan_behind(*node, *byte))
        });
        found.or(self.any)
    }

    /// The first slot in postorder of a node, from a position of it on.
    fn scan(&self, at: usize, from: usize) -> Option<Slot> {
        let node = self.nodes.get(at)?;
        POSTORDER[from..].iter().find_map(|number| {
            let number = usize::from(*number);
            let below = number
                .checked_sub(256)
                .and_then(|byte| node.child(byte as u8));
            let child = below.and_then(|below| match below {
                Below::Leaf(slot) => Some(slot),
                Below::Node(child) => self.scan(child, 0),
            });
            child.or_else(|| node.prefixes.get(number))
        })
    }

    /// The first slot after all that is below a byte of a node.
    fn scan_behind(&self, at: usize, byte: u8) -> Option<Slot> {
        let number = 256 + usize::from(byte);
        let own = self.nodes[at].prefixes.get(number);
        own.or_else(|| self.scan(at, after(number)))
    }

    /// All slots in postorder.
    pub(super) fn slots(&self) -> Vec<Slot> {
        let mut slots = Vec::new();
        self.collect(0, &mut slots);
        slots.extend(self.any);
        slots
    }

    fn collect(&self, at: usize, slots: &mut Vec<Slot>) {
        let Some(node) = self.nodes.get(at) else {
            return;
        };
        for number in POSTORDER.map(usize::from) {
            match number
                .checked_sub(256)
                .and_then(|byte| node.child(byte as u8))
            {
                Some(Below::Leaf(slot)) => slots.push(slot),
                Some(Below::Node(child)) => self.collect(child, slots),
                None => {}
            }
            slots.extend(node.prefixes.get(number));
        }
    }
}

impl Node {
    /// The longest prefix of the node that covers the prefix of this number.
    #[inline]
    fn longest(&self, mut number: usize) -> Option<usize> {
        while number >= SHORT {
            if self.prefixes.has(number) {
                return Some(number);
            }
            number /= 2;
        }
        let covering = self.prefixes.first_word() & COVERING[number];
        (covering != 0).then(|| covering.ilog2() as usize)
    }

    fn child(&self, byte: u8) -> Option<Below> {
        self.children.get(usize::from(byte)).map(Child::below)
    }

    fn is_empty(&self) -> bool {
        self.prefixes.is_empty() && self.children.is_empty()
    }
}

/// Prefixes of up to five bits have numbers below, and fill the bitmap's first word.
const SHORT: usize = 64;

/// The numbers of a prefix and of those that cover it, as bits, by its number.
const COVERING: [u64; SHORT] = {
    let mut covering = [0; SHORT];
    let mut number = 2;
    while number < SHORT {
        covering[number] = covering[number / 2] | 1 << number;
        number += 1;
    }
    covering
};

fn common(a: &[u8], b: &[u8]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}

/// The numbers of a node's prefixes so that longer ones come first, then by value.
const POSTORDER: [u16; 510] = postorder();

const fn postorder() -> [u16; 510] {
    let mut order = [0; 510];
    let mut number: u16 = 256;
    let mut at = 0;
    while at < 510 {
        order[at] = number;
        at += 1;
        number = if number.is_multiple_of(2) {
            // On to the first leaf below the sibling on the right.
            let mut leaf = number + 1;
            while leaf < 256 {
                leaf *= 2;
            }
            leaf
        } else {
            number / 2
        };
    }
    order
}

/// The position in [`POSTORDER`] behind a number.
fn after(number: usize) -> usize {
    const BEHIND: [u16; 512] = {
        let mut behind = [0; 512];
        let mut at = 0;
        while at < 510 {
            behind[POSTORDER[at] as usize] = at as u16 + 1;
            at += 1;
        }
        behind
    };
    usize::from(BEHIND[number])
}
