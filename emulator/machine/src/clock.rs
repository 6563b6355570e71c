//! Time and randomness as programs see them: the run's own, so that a run can be repeated.

/// Timer ticks a second (`CONFIG_HZ`), as distributions' kernels have them.
const HZ: u64 = 250;
/// Nanoseconds from one tick to the next.
const TICK_NS: u64 = 1_000_000_000 / HZ;

/// The clocks of a machine. They stand still until they are set.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    monotonic_ns: u64,
    suspended_ns: u64,
    tai_offset_ns: u64,
}

impl Default for Clock {
    /// A machine that booted an hour ago, so that subtracting a time-out does not wrap.
    fn default() -> Self {
        Self {
            monotonic_ns: 3_600 * 1_000_000_000,
            suspended_ns: 0,
            tai_offset_ns: 1_700_000_037 * 1_000_000_000,
        }
    }
}

impl Clock {
    /// `CLOCK_MONOTONIC`: since boot without suspended time, in nanoseconds (`bpf_ktime_get_ns`).
    pub fn monotonic_ns(&self) -> u64 {
        self.monotonic_ns
    }

    /// `CLOCK_BOOTTIME`: since boot, in nanoseconds (`bpf_ktime_get_boot_ns`).
    pub fn boot_ns(&self) -> u64 {
        self.monotonic_ns + self.suspended_ns
    }

    /// `CLOCK_TAI`: since 1970 without leap seconds, in nanoseconds (`bpf_ktime_get_tai_ns`).
    pub fn tai_ns(&self) -> u64 {
        self.monotonic_ns + self.tai_offset_ns
    }

    /// `CLOCK_MONOTONIC_COARSE`: the monotonic clock at the last timer tick, in nanoseconds
    /// (`bpf_ktime_get_coarse_ns`).
    pub fn coarse_ns(&self) -> u64 {
        self.monotonic_ns - self.monotonic_ns % TICK_NS
    }

    /// Timer ticks since boot, from a start that makes their lower half wrap after five minutes
    /// (`INITIAL_JIFFIES`).
    pub fn jiffies(&self) -> u64 {
        const INITIAL: u64 = (1 << 32) - 300 * HZ;
        INITIAL + self.monotonic_ns / TICK_NS
    }

    /// Sets the monotonic clock; the others follow.
    pub fn set_monotonic_ns(&mut self, ns: u64) {
        self.monotonic_ns = ns;
    }
}

/// A sequence of random numbers that its seed decides (SplitMix64, Steele et al., OOPSLA 2014).
#[derive(Debug, Clone, Copy)]
pub struct Random(u64);

impl Random {
    /// The sequence of a seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number.
    pub fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// The upper half of the next number.
    pub fn next_u32(&mut self) -> u32 {
        (self.next_u64() >> 32) as u32
    }
}
