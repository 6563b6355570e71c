//! Which accesses to a context are allowed: each offset, width and direction in each program type, by
//! the running kernel's verifier and by the checked engine.

use twinpath_bpf::ProgramSource;
use twinpath_machine::engine::Checked;
use twinpath_machine::isa::{Insn, encode};
use twinpath_machine::memory::Field;
use twinpath_machine::{AttachType, Environment, HelperId, MachineOptions, Program, ProgramType};
use twinpath_node::{Helpers, NodeId, TestRun, TestRunError, World, layout};

use crate::support::asm::{Width, exit, ldx, mov, stx};
use crate::support::case::call;

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
    if let Some(reason) = twinpath_bpf::missing() {
        eprintln!("{name}: skipped, {reason}");
        return true;
    }
    twinpath_bpf::one_process_at_a_time();
    false
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

/// Whether the kernel has a helper for programs of a type; if so, its verifier complains of something
/// else.
fn kernel_has(kind: ProgramType, attach_type: u32, helper: HelperId) -> bool {
    let insns = encode(&[call(helper), mov(0, 1), exit()]);
    let source = ProgramSource::new("helper", kind as u32, &insns).for_hook(attach_type);
    let Err(refusal) = twinpath_bpf::Program::load(&source) else {
        return true;
    };
    let missing = ["cannot use helper", "unknown func", "invalid func"];
    !missing.iter().any(|text| refusal.log.contains(text))
}

#[test]
fn packet_helpers_are_given_to_types_that_have_them() {
    if skipped("helpers of program types") {
        return;
    }
    let mut found = Vec::new();
    for kind in KINDS {
        for helper in (1..=LAST).map(HelperId) {
            if Helpers.provides(helper, kind) && !kernel_has(kind, 0, helper) {
                found.push(format!("the kernel has no {helper} for {kind}"));
            }
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

/// The last helper of `linux/bpf.h`.
const LAST: u32 = 211;

/// All that networking programs may call in the kernel and not here, by helper.
#[test]
fn helpers_that_the_emulator_lacks() {
    if skipped("missing helpers") {
        return;
    }
    let hooks = [
        (ProgramType::CgroupSock, AttachType::CgroupInetSockCreate),
        (ProgramType::CgroupSockAddr, AttachType::CgroupInet4Connect),
        (ProgramType::SockOps, AttachType::CgroupSockOps),
        (ProgramType::SkLookup, AttachType::SkLookup),
    ];
    let packets = KINDS.iter().map(|kind| (*kind, 0));
    let kinds: Vec<_> = packets
        .chain(hooks.map(|(kind, hook)| (kind, hook as u32)))
        .collect();
    let mut missing = String::new();
    for helper in (1..=LAST).map(HelperId) {
        let lacks = |(kind, hook): &(ProgramType, u32)| {
            !twinpath_machine::helpers::provides(helper)
                && !Helpers.provides(helper, *kind)
                && kernel_has(*kind, *hook, helper)
        };
        let lacking: Vec<_> = kinds.iter().filter(|kind| lacks(kind)).collect();
        if lacking.len() == kinds.len() {
            missing += &format!("{helper}: all\n");
        } else if !lacking.is_empty() {
            let names = lacking.iter().map(|(kind, _)| kind.to_string());
            missing += &format!("{helper}: {}\n", names.collect::<Vec<_>>().join(", "));
        }
    }
    insta::assert_snapshot!(missing);
}

/// Types of programs that run on packets.
const KINDS: [ProgramType; 8] = [
    ProgramType::Xdp,
    ProgramType::SchedCls,
    ProgramType::SchedAct,
    ProgramType::SocketFilter,
    ProgramType::CgroupSkb,
    ProgramType::LwtIn,
    ProgramType::LwtOut,
    ProgramType::LwtXmit,
];

#[test]
fn accesses_are_allowed_as_in_the_kernel() {
    if skipped("context accesses") {
        return;
    }
    let options = MachineOptions::default();
    let mut world = World::new(options, Box::new(|| Box::<Checked>::default())).unwrap();
    let node = world.add_node();
    for kind in KINDS {
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
