//! However many operations a program executes, the checked engine needs no more of the host's stack: each operation
//! ends with a call of the next, which has to be a jump in a build that optimises (`engine/checked/threaded.rs`).
//!
//! Each operation runs many times one after another, on a thread with a stack that would not hold a frame for each.
//! The workspace has this crate optimised in each profile, so that this holds what users run; where it is not
//! (`build.rs`), operations return.

use twinpath_machine::engine::{Checked, Context, Engine, Invocation};
use twinpath_machine::isa::{Insn, LD_IMM64, pseudo};
use twinpath_machine::{
    Alone, Cpu, Machine, MachineOptions, Map, MapDef, MapType, Program, ProgramType,
};

/// Bytes of the thread's stack.
const STACK: usize = 256 << 10;
/// Operations of each kind: at 16 bytes each they would need more.
const TIMES: usize = 20_000;
/// Bytes of the memory that r1 points to.
const MEMORY: u32 = 64;

const fn insn(code: u8, dst: u8, src: u8, off: i16, imm: i32) -> Insn {
    Insn {
        code,
        dst,
        src,
        off,
        imm,
    }
}

const EXIT: Insn = insn(0x95, 0, 0, 0, 0);

/// What is repeated.
fn repeated() -> Vec<Vec<Insn>> {
    let mut all = Vec::new();
    // Arithmetic and moves, with both operands.
    for class in [0x04, 0x07] {
        for operation in [0x0, 0x1, 0x2, 0x3, 0x4, 0x5, 0x6, 0x7, 0x9, 0xa, 0xb, 0xc] {
            let code = operation << 4 | class;
            all.push(vec![insn(code, 2, 0, 0, 3)]);
            all.push(vec![insn(code | 8, 2, 3, 0, 0)]);
        }
        // Signed division.
        all.push(vec![insn(0x30 | class, 2, 0, 1, 3)]);
        all.push(vec![insn(0x98 | class, 2, 3, 1, 0)]);
        all.push(vec![insn(0x80 | class, 2, 0, 0, 0)]);
        all.push(vec![insn(0xb8 | class, 2, 3, 8, 0)]);
    }
    for bits in [16, 32, 64] {
        all.extend([0xd4, 0xdc, 0xd7].map(|code| vec![insn(code, 2, 0, 0, bits)]));
    }
    // Jumps that are taken and that are not.
    for class in [0x05, 0x06] {
        for operation in [0x1, 0x2, 0x3, 0x4, 0x5, 0x6, 0x7, 0xa, 0xb, 0xc, 0xd] {
            all.push(vec![insn(operation << 4 | class, 2, 0, 0, 3)]);
            all.push(vec![insn(operation << 4 | 8 | class, 2, 3, 0, 0)]);
        }
    }
    all.push(vec![insn(0x05, 0, 0, 0, 0)]);
    // Memory, the frame (once unwritten, which takes another way) and fields.
    for size in [0x00, 0x08, 0x10, 0x18] {
        all.push(vec![insn(0x61 | size, 2, 1, 0, 0)]);
        all.push(vec![insn(0x62 | size, 1, 0, 0, 7)]);
        all.push(vec![insn(0x63 | size, 1, 2, 0, 0)]);
        all.push(vec![insn(0x62 | size, 10, 0, -8, 7)]);
        all.push(vec![
            insn(0x63 | size, 10, 2, -8, 0),
            insn(0x61 | size, 2, 10, -8, 0),
        ]);
        all.push(vec![insn(0x61 | size, 2, 10, -64, 0)]);
        if size != 0x18 {
            all.push(vec![insn(0x81 | size, 2, 1, 0, 0)]);
        }
        all.push(vec![
            insn(0xbf, 4, 10, 0, 0),
            insn(0x07, 4, 0, 0, -8),
            insn(0x63 | size, 4, 2, 0, 0),
            insn(0x61 | size, 2, 4, 0, 0),
        ]);
    }
    for code in [0xc3, 0xdb] {
        all.push(vec![insn(code, 1, 2, 0, 1)]);
        all.push(vec![insn(code, 1, 2, 0, 0xf1)]);
    }
    all.push(vec![insn(LD_IMM64, 2, 0, 0, 5), insn(0, 0, 0, 0, 0)]);
    // A lookup that finds, and the registers that it needs.
    all.push(vec![
        insn(0x62, 10, 0, -4, 0),
        insn(LD_IMM64, 1, pseudo::MAP_FD, 0, 0),
        insn(0, 0, 0, 0, 0),
        insn(0xbf, 2, 10, 0, 0),
        insn(0x07, 2, 0, 0, -4),
        insn(0x85, 0, 0, 0, 1),
    ]);
    all
}

fn run(insns: Vec<Insn>) -> u64 {
    let mut machine = Machine::new(MachineOptions {
        memory: 64 << 20,
        ..MachineOptions::default()
    })
    .expect("a machine");
    let def = MapDef::new(MapType::Array, 4, 8, 1).named("one");
    let map = Map::new(def, &mut machine.memory, 1).expect("a map");
    machine.maps.push(map);
    let memory = machine.memory.allocate(u64::from(MEMORY)).expect("room");
    let program = Program::bare("repeated", ProgramType::Xdp, insns, &|_, _, _| None);
    let program = machine.add_program(program.expect("a program"));
    let invocation = Invocation {
        program,
        cpu: Cpu(0),
        context: Context::Memory(memory, MEMORY),
        packet: None,
        bound: &[],
    };
    let outcome = Checked::default().run(&mut machine, &mut Alone, &invocation);
    outcome.expect("the program runs").cost.instructions
}

#[test]
fn operations_leave_nothing_on_the_hosts_stack() {
    for insns in repeated() {
        let mut program = vec![insn(0xb7, 2, 0, 0, 1), insn(0xb7, 3, 0, 0, 3)];
        let wide = insns.iter().filter(|insn| insn.code == LD_IMM64).count();
        program.extend(
            insns
                .iter()
                .copied()
                .cycle()
                .take(TIMES / insns.len() * insns.len()),
        );
        program.extend([insn(0xb7, 0, 0, 0, 0), EXIT]);
        let expected = program.len() - TIMES / insns.len() * wide;
        let thread = std::thread::Builder::new().stack_size(STACK);
        let executed = thread.spawn(move || run(program)).expect("a thread").join();
        assert_eq!(executed.expect("no panic"), expected as u64, "{insns:?}");
    }
}
