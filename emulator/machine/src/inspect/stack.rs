//! How much stack functions use, as far as their instructions tell it.
//!
//! The verifier knows more: how far pointers into the stack are moved by values that it follows. Here
//! only what is written beside r10 counts, which is what compilers make.

use std::collections::BTreeMap;

use crate::isa::{self, Insn, class, pseudo};
use crate::load::slots;
use crate::memory::MAX_FRAMES;

/// Bytes of stack of each function, by ascending first slot: what a frame takes (rounded up to 8, as the
/// verifier does it before it adds frames).
pub(super) fn frames(insns: &[Insn], starts: &[u32]) -> Vec<u32> {
    let mut frames = vec![0; starts.len()];
    for (slot, insn) in slots(insns) {
        let depth = below_frame_pointer(insns, slot, insn);
        if let Some(frame) = frames.get_mut(function(starts, slot)) {
            *frame = depth.next_multiple_of(8).max(*frame);
        }
    }
    frames
}

/// Bytes of stack of the deepest chain of calls from the first function.
pub(super) fn deepest(insns: &[Insn], starts: &[u32], frames: &[u32]) -> u32 {
    let mut calls: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for (slot, insn) in slots(insns) {
        let calls_local = insn.code == isa::CALL && insn.src == pseudo::CALL;
        if calls_local || (insn.is_wide() && insn.src == pseudo::FUNC) {
            let to = slot.wrapping_add_signed(insn.imm).wrapping_add(1);
            let called = calls.entry(function(starts, slot)).or_default();
            called.push(function(starts, to));
        }
    }
    below(0, MAX_FRAMES, &calls, frames)
}

fn below(
    function: usize,
    levels: usize,
    calls: &BTreeMap<usize, Vec<usize>>,
    frames: &[u32],
) -> u32 {
    let own = frames.get(function).copied().unwrap_or(0);
    if levels == 0 {
        return own;
    }
    let called = calls.get(&function).into_iter().flatten();
    let deepest = called.map(|&called| below(called, levels - 1, calls, frames));
    own + deepest.max().unwrap_or(0)
}

/// The function that a slot is in.
fn function(starts: &[u32], slot: u32) -> usize {
    starts
        .partition_point(|&start| start <= slot)
        .saturating_sub(1)
}

/// How far below r10 an instruction reaches.
fn below_frame_pointer(insns: &[Insn], slot: u32, insn: Insn) -> u32 {
    const R10: u8 = 10;
    let offset = match insn.class() {
        class::LDX if insn.src == R10 => i64::from(insn.off),
        class::ST | class::STX if insn.dst == R10 => i64::from(insn.off),
        // rX = r10, then rX += a negative number, or r10 itself.
        class::ALU64 if insn.code == 0xbf && insn.src == R10 => {
            let next = insns.get(slot as usize + 1);
            let moved = next.filter(|next| next.code == 0x07 && next.dst == insn.dst);
            moved.map_or(0, |next| i64::from(next.imm))
        }
        _ => 0,
    };
    offset.min(0).unsigned_abs() as u32
}
