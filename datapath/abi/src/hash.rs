//! The flow hash: Jenkins' lookup3 as `include/linux/jhash.h` has it, over a flow's five values.
//!
//! It is ours to compute, unlike the kernel's `skb->hash`, so two runs pick the same backend.

use crate::{Address, Family, Port, Protocol, records, sizes};

/// The initial value that the kernel adds (`JHASH_INITVAL`).
const INITIAL: u32 = 0xdead_beef;

records! {
    /// What makes a flow.
    pub struct FlowTuple {
        /// Source address.
        pub saddr: Address,
        /// Destination address.
        pub daddr: Address,
        /// Source port, 0 if the protocol has none.
        pub sport: Port,
        /// Destination port, 0 if the protocol has none.
        pub dport: Port,
        /// Protocol.
        pub proto: Protocol,
        /// Which kind of addresses they are; none, as long as nothing is known of a flow.
        pub family: Family,
        /// Always 0.
        pub reserved: u16,
    }
}

sizes!(FlowTuple = 40);

impl FlowTuple {
    /// Nothing is known.
    pub const UNKNOWN: Self = Self {
        saddr: Address::UNSPECIFIED,
        daddr: Address::UNSPECIFIED,
        sport: Port::new(0),
        dport: Port::new(0),
        proto: Protocol::ANY,
        family: Family::NONE,
        reserved: 0,
    };

    /// The flow of the answers.
    #[inline(always)]
    pub const fn reversed(&self) -> Self {
        Self {
            saddr: self.daddr,
            daddr: self.saddr,
            sport: self.dport,
            dport: self.sport,
            ..*self
        }
    }

    /// The hash of its addresses, ports and protocol.
    #[inline(always)]
    pub const fn hash(&self, seed: u32) -> u32 {
        let [s0, s1, s2, s3] = self.saddr.words();
        let [d0, d1, d2, d3] = self.daddr.words();
        let ports = (self.sport.network_order() as u32) << 16 | self.dport.network_order() as u32;
        jhash2(
            [s0, s1, s2, s3, d0, d1, d2, d3, ports, self.proto.0 as u32],
            seed,
        )
    }
}

/// `jhash2` of ten words: three full rounds and one word left over.
#[inline(always)]
pub const fn jhash2(k: [u32; 10], seed: u32) -> u32 {
    let start = INITIAL
        .wrapping_add((k.len() as u32) << 2)
        .wrapping_add(seed);
    let state = [start; 3];
    let state = mix(add(state, k[0], k[1], k[2]));
    let state = mix(add(state, k[3], k[4], k[5]));
    let state = mix(add(state, k[6], k[7], k[8]));
    finish(add(state, k[9], 0, 0))
}

#[inline(always)]
const fn add([a, b, c]: [u32; 3], x: u32, y: u32, z: u32) -> [u32; 3] {
    [a.wrapping_add(x), b.wrapping_add(y), c.wrapping_add(z)]
}

#[inline(always)]
const fn mix([mut a, mut b, mut c]: [u32; 3]) -> [u32; 3] {
    a = a.wrapping_sub(c) ^ c.rotate_left(4);
    c = c.wrapping_add(b);
    b = b.wrapping_sub(a) ^ a.rotate_left(6);
    a = a.wrapping_add(c);
    c = c.wrapping_sub(b) ^ b.rotate_left(8);
    b = b.wrapping_add(a);
    a = a.wrapping_sub(c) ^ c.rotate_left(16);
    c = c.wrapping_add(b);
    b = b.wrapping_sub(a) ^ a.rotate_left(19);
    a = a.wrapping_add(c);
    c = c.wrapping_sub(b) ^ b.rotate_left(4);
    b = b.wrapping_add(a);
    [a, b, c]
}

#[inline(always)]
const fn finish([mut a, mut b, mut c]: [u32; 3]) -> u32 {
    c = (c ^ b).wrapping_sub(b.rotate_left(14));
    a = (a ^ c).wrapping_sub(c.rotate_left(11));
    b = (b ^ a).wrapping_sub(a.rotate_left(25));
    c = (c ^ b).wrapping_sub(b.rotate_left(16));
    a = (a ^ c).wrapping_sub(c.rotate_left(4));
    b = (b ^ a).wrapping_sub(a.rotate_left(14));
    (c ^ b).wrapping_sub(b.rotate_left(24))
}
