//! What Linux leaves to chance, and runs in which the emulator has other of it: what differs between them depends on it.

use std::time::Duration;

/// Something that a program can see, and that differs from run to run in the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Chance {
    /// What stands in the room before a packet at XDP, which `bpf_xdp_adjust_head` makes part of the packet and
    /// `bpf_xdp_adjust_meta` of its metadata.
    Headroom,
    /// The clock.
    Clock,
    /// Random numbers.
    Random,
}

/// In what a run is another one than the plan's.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Variant {
    /// What the room before packets is filled with.
    pub headroom: u8,
    /// How much later it is. Map elements that hold the time for programs are as the plan has them.
    pub later: Duration,
    /// What is added to the plan's seed.
    pub seed: u64,
}

impl Chance {
    /// Each of them.
    pub const ALL: [Self; 3] = [Self::Headroom, Self::Clock, Self::Random];

    /// Runs with other of it. There are two where a byte of one may come out as it was.
    pub fn variants(self) -> Vec<Variant> {
        /// Spans of years, as nanoseconds and as seconds without a byte in common.
        const LATER: [u64; 2] = [0x0213_5476_98ba_dcfe, 0x0132_4657_687b_8c9d];
        let plan = Variant::default();
        match self {
            // No sum of such words is zero in one's complement, as that of 0xffff would be.
            Self::Headroom => vec![Variant {
                headroom: 0xa5,
                ..plan
            }],
            Self::Clock => LATER
                .map(|nanos| Variant {
                    later: Duration::from_nanos(nanos),
                    ..plan
                })
                .into(),
            Self::Random => [1, 2].map(|seed| Variant { seed, ..plan }).into(),
        }
    }
}
