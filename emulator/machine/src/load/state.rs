//! What is known of registers and of the stack at one place of a program.

use std::collections::BTreeMap;

use super::constant::Value;

const FRAME_POINTER: usize = 10;

/// Registers, and what was put on the stack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct State {
    /// r0 to r10.
    pub(super) registers: [Value; 11],
    /// What was stored and not overwritten since: by the offset from the frame pointer, with its size.
    spills: BTreeMap<i64, Spill>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Spill {
    size: u8,
    value: Value,
}

impl State {
    /// The start of a function that gets these in r1 to r5.
    pub(super) fn new(arguments: [Value; 5]) -> Self {
        let mut registers = [Value::Unknown; 11];
        registers[1..6].copy_from_slice(&arguments);
        registers[FRAME_POINTER] = Value::Frame(0);
        Self {
            registers,
            spills: BTreeMap::new(),
        }
    }

    /// What holds on both of two paths.
    pub(super) fn join(&self, other: &Self) -> Self {
        let registers = std::array::from_fn(|register| {
            self.registers[register].join(other.registers[register])
        });
        let both = self.spills.iter().filter_map(|(at, mine)| {
            let theirs = other
                .spills
                .get(at)
                .filter(|theirs| theirs.size == mine.size)?;
            let value = mine.value.join(theirs.value);
            Some((*at, Spill { value, ..*mine }))
        });
        Self {
            registers,
            spills: both.collect(),
        }
    }

    pub(super) fn register(&self, number: u8) -> Value {
        let register = self.registers.get(usize::from(number));
        register.copied().unwrap_or(Value::Anything)
    }

    pub(super) fn set(&mut self, number: u8, value: Value) {
        if let Some(register) = self.registers.get_mut(usize::from(number)) {
            *register = value;
        }
    }

    /// What a load through a pointer that may point into the frame yields.
    pub(super) fn load(&self, from: Value, size: u8) -> Value {
        let spill = match from {
            Value::Frame(at) => self.spills.get(&at).filter(|spill| spill.size == size),
            _ => None,
        };
        match (spill, size) {
            (Some(spill), _) => spill.value,
            (None, 8) => Value::Anything,
            (None, _) => Value::Unknown,
        }
    }

    /// Stores through a pointer.
    pub(super) fn store(&mut self, to: Value, size: u8, value: Value) {
        match to {
            Value::Frame(at) => {
                self.forget(at, at.saturating_add(i64::from(size)));
                let value = spilled(at, size, value);
                self.spills.insert(at, Spill { size, value });
            }
            Value::Anything => self.spills.clear(),
            _ => {}
        }
    }

    /// An atomic operation at a place, which may also change its source, and r0.
    pub(super) fn exchange(&mut self, at: Value, source: u8, size: u8) {
        let fetched = match at.may_point_into_frame() && size == 8 {
            true => Value::Anything,
            false => Value::Unknown,
        };
        self.store(at, size, fetched);
        self.set(source, fetched);
        self.set(0, self.register(0).join(fetched));
    }

    /// Forgets what lies at least partly in a range.
    fn forget(&mut self, start: i64, end: i64) {
        self.spills
            .retain(|at, spill| at + i64::from(spill.size) <= start || *at >= end);
    }

    /// Forgets what a helper may write: it does so from where its arguments point, upwards.
    pub(super) fn give_to_helper(&mut self) {
        for argument in 1..=5 {
            match self.registers[argument] {
                Value::Frame(at) => self.forget(at, i64::MAX),
                Value::Anything => self.spills.clear(),
                _ => {}
            }
        }
    }

    /// What a function gets, whose frame is another one.
    pub(super) fn arguments(&self) -> [Value; 5] {
        std::array::from_fn(|number| self.registers[number + 1].of_another_frame())
    }

    /// Forgets what a function may write that gets a pointer into the frame.
    pub(super) fn give_to_function(&mut self) {
        if self.gives_frame() {
            self.spills.clear();
        }
    }

    /// Whether an argument may point into the frame.
    pub(super) fn gives_frame(&self) -> bool {
        self.registers[1..6]
            .iter()
            .any(|value| value.may_point_into_frame())
    }

    /// The end of a call: what it returns, and no arguments any more.
    pub(super) fn returned(&mut self, value: Value) {
        self.registers[..6].fill(Value::Unknown);
        self.registers[0] = value;
    }
}

/// What is still known of a value on the stack: the verifier follows what lies at whole slots, and zeroes
/// (`check_stack_write_fixed_off` in `kernel/bpf/verifier.c`).
fn spilled(at: i64, size: u8, value: Value) -> Value {
    match value {
        Value::Number(0) => value,
        _ if size == 8 && at % 8 == 0 => value,
        Value::Number(number) if size == 4 && at % 8 == 0 => Value::Number(number & 0xffff_ffff),
        _ if size == 8 && value.may_point_into_frame() => Value::Anything,
        _ => Value::Unknown,
    }
}
