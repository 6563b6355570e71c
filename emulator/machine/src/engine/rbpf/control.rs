//! The control block: a few words of guest memory through which a rewritten program and the engine talk.

use crate::memory::Memory;

/// The number of the operation that calls the stub (32 bits).
pub(super) const SITE: i16 = 0;
/// How the run stands (32 bits): [`RUNNING`], [`STOPPED`] or [`REPLACED`].
pub(super) const STATE: i16 = 4;
/// Instructions that backward jumps may still cost.
pub(super) const FUEL: i16 = 8;
/// The frame pointer of the function that calls the stub.
pub(super) const FRAME: i16 = 16;
/// Iterations that `may_goto` still allows.
pub(super) const ITERATIONS: i16 = 24;
/// Bytes of the block.
const SIZE: usize = 32;

/// The program goes on.
pub(super) const RUNNING: u32 = 0;
/// The run is over: each function returns at once.
pub(super) const STOPPED: u32 = 1;
/// A tail call has run another program to its end: the function that made it returns its result.
pub(super) const REPLACED: u32 = 2;

/// The block's contents around a nested run.
pub(super) struct Saved([u8; SIZE]);

pub(super) fn save(memory: &Memory) -> Saved {
    let mut saved = [0; SIZE];
    saved.copy_from_slice(memory.raw(memory.control(), SIZE as u32));
    Saved(saved)
}

pub(super) fn restore(memory: &mut Memory, saved: &Saved) {
    let at = memory.control();
    memory.raw_mut(at, SIZE as u32).copy_from_slice(&saved.0);
}

pub(super) fn get32(memory: &Memory, word: i16) -> u32 {
    let mut bytes = [0; 4];
    bytes.copy_from_slice(memory.raw(memory.control() + word as u32, 4));
    u32::from_le_bytes(bytes)
}

pub(super) fn set32(memory: &mut Memory, word: i16, value: u32) {
    let at = memory.control() + word as u32;
    memory.raw_mut(at, 4).copy_from_slice(&value.to_le_bytes());
}

pub(super) fn get64(memory: &Memory, word: i16) -> u64 {
    let mut bytes = [0; 8];
    bytes.copy_from_slice(memory.raw(memory.control() + word as u32, 8));
    u64::from_le_bytes(bytes)
}

pub(super) fn set64(memory: &mut Memory, word: i16, value: u64) {
    let at = memory.control() + word as u32;
    memory.raw_mut(at, 8).copy_from_slice(&value.to_le_bytes());
}

/// Takes instructions from the fuel; false when there is too little.
pub(super) fn charge(memory: &mut Memory, instructions: u64) -> bool {
    let left = get64(memory, FUEL).checked_sub(instructions);
    if let Some(left) = left {
        set64(memory, FUEL, left);
    }
    left.is_some()
}

/// The state of a run that begins.
pub(super) fn start(memory: &mut Memory, budget: u64) {
    set32(memory, STATE, RUNNING);
    set64(memory, FUEL, budget.min(i64::MAX as u64));
    set64(memory, ITERATIONS, u64::from(crate::engine::MAX_ITERATIONS));
}
