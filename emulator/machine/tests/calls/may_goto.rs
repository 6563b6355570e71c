//! `may_goto`: loops that the verifier need not see the end of.

use proptest::prelude::*;
use twinpath_machine::isa::Insn;
use twinpath_machine::{MapDef, MapType};

use super::asm::{self, cond, exit, insn, jump_k, mov, movr};
use super::code::{TRACE_SIZE, add, record, unknown};
use super::rig::{Plan, hold_equal};

/// Loops beside each other, each with so many rounds at most, one inside the other to this depth.
type Loops = Vec<(u16, u8)>;

fn may_goto(off: i16) -> Insn {
    insn(0xe5, 0, 0, off, 0)
}

/// Counts r8 down from `rounds`, unless the count of `may_goto` ends first; records r8 of every round of the
/// innermost loop if there are few.
fn repeat(rounds: u16, depth: u8) -> Vec<Insn> {
    let inner = match depth {
        0 => {
            let mut insns = vec![movr(7, 8)];
            insns.extend(record());
            insns
        }
        _ => vec![add(9, 1)],
    };
    // Were they known, the verifier would go through all of them.
    let mut insns = unknown(u64::from(rounds));
    insns.push(movr(8, 1));
    let rest = inner.len() as i16 + 3;
    insns.push(may_goto(rest));
    insns.push(jump_k(true, cond::JEQ, 8, 0, rest - 1));
    insns.extend(inner);
    insns.push(add(8, -1));
    insns.push(asm::ja(-rest - 1));
    insns
}

fn plan(loops: &Loops) -> Plan {
    let mut insns = vec![movr(6, 1), mov(9, 0)];
    for (rounds, depth) in loops {
        insns.extend(repeat(*rounds, *depth));
    }
    insns.push(movr(7, 9));
    insns.extend(record());
    insns.extend([mov(0, 3), exit()]);
    Plan {
        maps: vec![MapDef::new(MapType::Array, 4, TRACE_SIZE, 1)],
        contents: Vec::new(),
        programs: vec![insns],
        entries: Vec::new(),
    }
}

#[test]
fn loops_that_end_by_themselves() {
    let rounds = prop_oneof![4 => 0..300u16, 1 => 0..30_000u16];
    let loops = proptest::collection::vec((rounds, 0..2u8), 1..4);
    hold_equal("may_goto", loops, plan);
}
