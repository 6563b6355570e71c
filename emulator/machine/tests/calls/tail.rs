//! Chains of tail calls: out of programs and of functions, through entries that are missing, to the limit.

use proptest::collection::vec;
use proptest::prelude::*;
use twinpath_machine::isa::Insn;
use twinpath_machine::{HelperId, MapDef, MapType};

use super::asm::{self, Width, alu_k, exit, ldx, mov, movr, op};
use super::code::{Functions, TRACE, TRACE_SIZE, add, helper, map, record, record_number};
use super::rig::{Plan, equal, hold_equal};

/// The second map.
const ARRAY: usize = 1;
/// Entries of the array of programs; more are asked for.
const ENTRIES: u32 = 6;

/// What a function does, step by step.
#[derive(Debug, Clone)]
enum Step {
    Record(u8),
    /// A tail call through a constant entry.
    Tail(u32),
    /// A tail call through the entry that the trace's count says: not known to the verifier.
    TailCounted(u8),
    /// Calls a function and records what it returns.
    Call(Vec<Step>),
}

/// Programs, and which of them stands in which entry.
type Chain = (Vec<Vec<Step>>, Vec<Option<u8>>);

fn step() -> impl Strategy<Value = Step> {
    let leaf = prop_oneof![
        2 => any::<u8>().prop_map(Step::Record),
        4 => (0..ENTRIES + 2).prop_map(Step::Tail),
        2 => any::<u8>().prop_map(Step::TailCounted),
        1 => Just(Step::Tail(u32::MAX)),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| vec(inner, 0..4).prop_map(Step::Call))
}

fn chain() -> impl Strategy<Value = Chain> {
    let programs = vec(vec(step(), 0..5), 1..6);
    let entry = prop_oneof![4 => any::<u8>().prop_map(Some), 1 => Just(None)];
    (programs, vec(entry, ENTRIES as usize))
}

/// Goes to the program under the index in r3.
fn tail() -> Vec<Insn> {
    let mut insns = vec![movr(1, 6)];
    insns.extend(map(2, ARRAY));
    insns.push(helper(HelperId::TAIL_CALL));
    insns
}

fn function(functions: &mut Functions, number: usize, steps: &[Step], mark: i32) {
    let mut insns = vec![movr(6, 1)];
    let mut calls = Vec::new();
    insns.extend(record_number(mark));
    for step in steps {
        match step {
            Step::Record(value) => insns.extend(record_number(i32::from(*value))),
            Step::Tail(index) => {
                insns.push(mov(3, *index as i32));
                insns.extend(tail());
            }
            Step::TailCounted(mask) => {
                insns.extend(record_number(2000));
                // The lookup's pointer is gone; the count is what was in r1 before it was masked.
                insns.extend([movr(3, 2), alu_k(true, op::AND, 3, i32::from(mask & 7), 0)]);
                insns.extend(tail());
            }
            Step::Call(steps) => {
                let callee = functions.reserve();
                function(functions, callee, steps, mark + 10);
                insns.push(movr(1, 6));
                calls.push((insns.len(), callee));
                insns.extend([asm::call_local(0), movr(7, 0)]);
                insns.extend(record());
            }
        }
    }
    insns.extend(record_number(mark + 5000));
    insns.extend([mov(0, mark), exit()]);
    functions.set(number, insns, calls);
}

fn program(number: usize, steps: &[Step]) -> Vec<Insn> {
    let mut functions = Functions::default();
    let entry = functions.reserve();
    function(&mut functions, entry, steps, 100 * (number as i32 + 1));
    functions.link()
}

fn plan((programs, entries): &Chain) -> Plan {
    let count = programs.len();
    let entries = entries.iter().enumerate();
    let entries = entries.filter_map(|(slot, program)| {
        program.map(|program| (slot as u32, usize::from(program) % count))
    });
    let programs = programs.iter().enumerate();
    Plan {
        maps: vec![
            MapDef::new(MapType::Array, 4, TRACE_SIZE, 1),
            MapDef::new(MapType::ProgArray, 4, 4, ENTRIES),
        ],
        contents: Vec::new(),
        programs: programs
            .map(|(number, steps)| program(number, steps))
            .collect(),
        entries: entries.collect(),
    }
}

#[test]
fn random_chains() {
    hold_equal("tail calls", chain(), plan);
}

/// How often each of a program's steps is recorded.
fn records(plan: &Plan) -> u64 {
    let left = plan.on(
        &mut twinpath_machine::engine::Checked::default(),
        twinpath_machine::Placement::Anywhere,
    );
    let left = left.expect("a run");
    let trace = &left.maps[TRACE][[0; 4].as_slice()];
    u64::from_le_bytes(trace[..8].try_into().expect("eight bytes"))
}

/// A program that calls itself by a tail call runs once, and 33 times again.
#[test]
fn the_limit() {
    let itself = vec![Some(0); ENTRIES as usize];
    let plan = plan(&(vec![vec![Step::Tail(0)]], itself.clone()));
    assert_eq!(records(&plan), 34 + 1);
    equal("a program that goes to itself", &plan);
    // Out of a function: each program that was gone to returns to the caller of that function.
    let nested = vec![Step::Call(vec![Step::Call(vec![Step::Tail(1)])])];
    let plan = self::plan(&(vec![nested], itself));
    equal("a function that goes to its program", &plan);
}

/// The index has 32 bits.
#[test]
fn the_index_is_cut() {
    let mut insns = vec![movr(6, 1)];
    insns.extend(asm::lddw(3, 0, 0x1_0000_0000));
    insns.extend(tail());
    insns.extend([mov(0, 7), exit()]);
    let mut plan = plan(&(vec![vec![], vec![]], vec![Some(1)]));
    plan.programs[0] = insns;
    equal("an index of more than 32 bits", &plan);
}

/// A program may go on to use what it had before a tail call that found nothing.
#[test]
fn what_is_kept_behind_a_miss() {
    let mut insns = vec![movr(6, 1), asm::st(Width::D, 10, -16, 99), mov(8, 5)];
    insns.push(mov(3, 3));
    insns.extend(tail());
    insns.extend([
        ldx(Width::D, 7, 10, -16),
        asm::alu_x(true, op::ADD, 7, 8, 0),
    ]);
    insns.extend(record());
    insns.extend([mov(0, 1), add(0, 1), exit()]);
    let mut plan = plan(&(vec![vec![]], vec![None]));
    plan.programs[0] = insns;
    equal("a miss", &plan);
}
