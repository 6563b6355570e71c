//! Which accesses to a context are allowed: each offset, width and direction in each program type, by
//! the running kernel's verifier and by the checked engine.

use twinpath_bpf::ProgramSource;
use twinpath_machine::engine::Checked;
use twinpath_machine::isa::{Insn, encode};
use twinpath_machine::memory::Field;
use twinpath_machine::{AttachType, MachineOptions, Program, ProgramType};
use twinpath_node::{NodeId, TestRun, TestRunError, World, layout};

use crate::support::asm::{Width, exit, ldx, mov, stx};

const WIDTHS: [(Width, u32); 4] = [(Width::B, 1), (Width::H, 2), (Width::W, 4), (Width::D, 8)];
/// Beyond the largest of the structures.
const END: i16 = 208;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Direction {
    Read,
    Write,
}

fn access(direction: Direction, width: Width, offset: i16) -> Vec<Insn> {
    let access = match direction {
        Direction::Read => ldx(width, 2, 1, offset),
        Direction::Write => stx(width, 1, offset, 2),
    };
    vec![mov(2, 1), access, mov(0, 1), exit()]
}

/// Every access, in words when both sides disagree.
fn differences(
    mut kernel: impl FnMut(&[Insn]) -> bool,
    mut emulator: impl FnMut(&[Insn], Direction, u32, u32) -> bool,
) -> Vec<String> {
    let mut found = Vec::new();
    for offset in 0..END {
        for (width, bytes) in WIDTHS {
            for direction in [Direction::Read, Direction::Write] {
                let insns = access(direction, width, offset);
                let expected = kernel(&insns);
                let allowed = emulator(&insns, direction, offset as u32, bytes);
                if expected != allowed {
                    let verb = if expected { "allows" } else { "refuses" };
                    found.push(format!(
                        "the kernel {verb}: {direction:?} of {bytes} bytes at {offset}"
                    ));
                }
            }
        }
    }
    found
}

/// Whether the kernel's verifier takes a program.
fn kernel_takes(kind: ProgramType, attach_type: u32, insns: &[Insn]) -> bool {
    let instructions = encode(insns);
    let source = ProgramSource::new("access", kind as u32, &instructions).for_hook(attach_type);
    twinpath_bpf::Program::load_without_log(&source).is_ok()
}

fn skipped(name: &str) -> bool {
    let missing = twinpath_bpf::missing();
    if let Some(reason) = &missing {
        eprintln!("{name}: skipped, {reason}");
    }
    twinpath_bpf::one_process_at_a_time();
    missing.is_some()
}

fn runs(world: &mut World, node: NodeId, kind: ProgramType, insns: &[Insn]) -> bool {
    let program = Program::bare("access", kind, insns.to_vec(), &|_, _, _| None).unwrap();
    let run = TestRun {
        program: world.machine.add_program(program),
        node,
        data: &[0; 64],
        context: None,
        checksum_complete: false,
    };
    match world.test_run(run) {
        Ok(_) => true,
        Err(TestRunError::Fault(_)) => false,
        Err(error) => panic!("{kind}: {error}"),
    }
}

#[test]
fn accesses_are_allowed_as_in_the_kernel() {
    if skipped("context accesses") {
        return;
    }
    let options = MachineOptions::default();
    let mut world = World::new(options, Box::new(|| Box::<Checked>::default())).unwrap();
    let node = world.add_node();
    for kind in [
        ProgramType::Xdp,
        ProgramType::SchedCls,
        ProgramType::SchedAct,
        ProgramType::SocketFilter,
        ProgramType::CgroupSkb,
        ProgramType::LwtIn,
        ProgramType::LwtOut,
        ProgramType::LwtXmit,
    ] {
        let found = differences(
            |insns| kernel_takes(kind, 0, insns),
            |insns, _, _, _| runs(&mut world, node, kind, insns),
        );
        assert!(found.is_empty(), "{kind}:\n{}", found.join("\n"));
    }
}

#[test]
fn devmap_programs_see_where_the_packet_goes() {
    if skipped("context accesses of devmap programs") {
        return;
    }
    let attach = AttachType::XdpDevmap;
    let layout = layout(ProgramType::Xdp, Some(attach)).unwrap();
    let found = differences(
        |insns| kernel_takes(ProgramType::Xdp, attach as u32, insns),
        |_: &[Insn], direction, offset, width| {
            let allows = |field: &Field| {
                let widths = match direction {
                    Direction::Read => field.read,
                    Direction::Write => field.write,
                };
                widths.contains(width) && field.covers(offset, width)
            };
            layout.field_at(offset).is_some_and(allows)
        },
    );
    assert!(found.is_empty(), "{}", found.join("\n"));
}
