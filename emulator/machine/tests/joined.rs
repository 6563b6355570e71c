//! The checked engine executes some operations together. Here the same programs run so, and one operation at a
//! time (as a traced run does): results, counts and faults must be the same.
//!
//! `TWINPATH_CASES` says how many programs (2,000 unless set), `TWINPATH_SEED` which.

use twinpath_machine::engine::{Checked, Context, Engine, Invocation};
use twinpath_machine::isa::Insn;
use twinpath_machine::{
    Alone, Cpu, Machine, MachineOptions, Placement, Program, ProgramId, ProgramType,
};

/// Bytes of the memory that r1 points to.
const MEMORY: u32 = 64;

struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        // splitmix64
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ word >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ word >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        (word ^ word >> 31) % bound
    }

    fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len() as u64) as usize]
    }
}

const fn insn(code: u8, dst: u8, src: u8, off: i16, imm: i32) -> Insn {
    Insn {
        code,
        dst,
        src,
        off,
        imm,
    }
}

/// An instruction of those that are joined, on few registers, so that they often meet on the same one.
fn single(random: &mut Random) -> Insn {
    let (dst, src) = (random.pick(&[0, 2, 3, 4]), random.pick(&[0, 2, 3, 4]));
    let imm = random.pick(&[1, 4, 8, 16, 28, 31, 5, 0xff, -1, 0]);
    let shift = random.pick(&[1, 4, 8, 16, 28, 31]);
    let slot = |random: &mut Random, size: i64| (-(random.below(4) as i64 + 1) * size) as i16;
    match random.below(20) {
        0 => insn(0xbf, dst, src, 0, 0),
        1 => insn(0xbc, dst, src, 0, 0),
        2 => insn(0xb4, dst, 0, 0, imm),
        3 => insn(0xb7, dst, 0, 0, imm),
        4 => insn(0x07, dst, 0, 0, imm),
        5 => insn(0x0f, dst, src, 0, 0),
        6 => insn(random.pick(&[0x57, 0x54]), dst, 0, 0, imm),
        7 => insn(random.pick(&[0x67, 0x64]), dst, 0, 0, shift),
        8 => insn(random.pick(&[0x77, 0x74, 0xc7]), dst, 0, 0, shift),
        9 => insn(0x4c, dst, src, 0, 0),
        10 => insn(random.pick(&[0x0c, 0x1c, 0xac]), dst, src, 0, 0),
        11 => insn(0x63, 10, src, slot(random, 4), 0),
        12 => insn(0x7b, 10, src, slot(random, 8), 0),
        13 => insn(0x61, dst, 10, slot(random, 4), 0),
        14 => insn(0x79, dst, 10, slot(random, 8), 0),
        15 => {
            let code = random.pick(&[0x71, 0x69, 0x61, 0x79]);
            // Seldom outside of the memory.
            insn(code, dst, 1, random.below(66) as i16, 0)
        }
        16 => insn(0xdc, dst, 0, 0, random.pick(&[16, 32])),
        17 => insn(
            random.pick(&[0x16, 0x56, 0x15, 0x55]),
            dst,
            0,
            random.below(4) as i16,
            imm,
        ),
        18 => insn(0x2d, dst, src, random.below(4) as i16, 0),
        _ => insn(0x61, dst, 1, random.below(15) as i16 * 4, 0),
    }
}

/// What compilers make of a rotation, and what looks nearly like it.
fn rotation(random: &mut Random) -> [Insn; 5] {
    let mut register = || random.pick(&[0, 2, 3, 4]);
    let (shifted, rotated, from) = (register(), register(), register());
    let right = random.pick(&[1, 4, 16, 28]);
    let left = random.pick(&[32 - right, 32 - right, 7]);
    [
        insn(0xbc, shifted, from, 0, 0),
        insn(0x74, shifted, 0, 0, right),
        insn(0xbc, rotated, from, 0, 0),
        insn(0x64, rotated, 0, 0, left),
        insn(0x4c, rotated, shifted, 0, 0),
    ]
}

fn program(random: &mut Random) -> Vec<Insn> {
    let mut insns: Vec<Insn> = (0..5)
        .filter(|register| *register != 1)
        .map(|register| insn(0xb7, register, 0, 0, random.below(u64::MAX) as i32))
        .collect();
    insns.extend((1..5).map(|slot| insn(0x7b, 10, 2, -8 * slot, 0)));
    while insns.len() < 60 {
        if random.below(6) == 0 {
            insns.extend(rotation(random));
        } else {
            insns.push(single(random));
        }
    }
    // Jumps go at most so far.
    insns.extend([insn(0xb7, 5, 0, 0, 0); 4]);
    for register in [2, 3, 4] {
        insns.extend([
            insn(0x27, 0, 0, 0, 0x0100_0193),
            insn(0xaf, 0, register, 0, 0),
        ]);
    }
    insns.push(insn(0x95, 0, 0, 0, 0));
    insns
}

/// The result and the count, or the fault with its place and the registers.
fn run(insns: &[Insn], traced: bool) -> String {
    let options = MachineOptions {
        placement: Placement::Anywhere,
        memory: 4 << 20,
        ..MachineOptions::default()
    };
    let mut machine = Machine::new(options).expect("guest memory");
    let kind = ProgramType::Unspecified;
    let program = Program::bare("joined", kind, insns.to_vec(), &|_, _, _| None);
    let program: ProgramId = machine.add_program(program.expect("a program"));
    let memory = machine.memory.allocate(u64::from(MEMORY)).expect("room");
    for (at, byte) in machine
        .memory
        .raw_mut(memory, MEMORY)
        .iter_mut()
        .enumerate()
    {
        *byte = (at * 37 + 11) as u8;
    }
    let mut engine = Checked::default();
    if traced {
        engine.start_trace(1);
    }
    let invocation = Invocation {
        program,
        cpu: Cpu(0),
        context: Context::Memory(memory, MEMORY),
        packet: None,
        bound: &[],
    };
    match engine.run(&mut machine, &mut Alone, &invocation) {
        Ok(outcome) => format!("{outcome:?}"),
        Err(fault) => format!(
            "{} {:?} {:?}",
            fault.instruction, fault.kind, fault.registers
        ),
    }
}

#[test]
fn joined_operations_do_what_each_alone_does() {
    let number = |name: &str, default: u64| {
        std::env::var(name).map_or(default, |value| value.parse().expect("a number"))
    };
    let seed = number("TWINPATH_SEED", 0);
    let mut faults = 0;
    for case in 0..number("TWINPATH_CASES", 2000) {
        let mut random = Random(seed << 32 | case);
        let insns = program(&mut random);
        let (joined, alone) = (run(&insns, false), run(&insns, true));
        faults += u64::from(!alone.starts_with("Outcome"));
        assert_eq!(joined, alone, "seed {seed}, case {case}: {insns:#?}");
    }
    assert!(faults > 0, "no program faulted: faults are not compared");
}
