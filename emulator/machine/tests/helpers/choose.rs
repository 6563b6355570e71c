//! Random choices from a seed.

use twinpath_machine::Random;

fn number(variable: &str, default: u64) -> u64 {
    let value = std::env::var(variable).ok();
    value
        .and_then(|value| value.parse().ok())
        .unwrap_or(default)
}

/// How many cases to make.
pub fn cases(default: u64) -> u64 {
    number("TWINPATH_CASES", default)
}

pub fn seed() -> u64 {
    number("TWINPATH_SEED", 1)
}

pub struct Choices(Random);

impl Choices {
    pub fn new() -> Self {
        Self(Random::new(seed()))
    }

    pub fn u64(&mut self) -> u64 {
        self.0.next_u64()
    }

    pub fn below(&mut self, limit: u64) -> u64 {
        self.u64() % limit
    }

    pub fn one_in(&mut self, chance: u64) -> bool {
        self.below(chance) == 0
    }

    pub fn of<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        &all[self.below(all.len() as u64) as usize]
    }

    /// A number of any magnitude.
    pub fn magnitude(&mut self) -> u64 {
        let shift = self.below(64);
        let number = self.u64() >> shift;
        if self.one_in(3) {
            number.wrapping_neg()
        } else {
            number
        }
    }
}
