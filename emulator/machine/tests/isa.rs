//! The instruction set, on both engines.
#![allow(clippy::unwrap_used)] // A test that cannot set itself up has failed.

use twinpath_machine::engine::{Checked, Context, Engine, Invocation, Outcome, Rbpf};
use twinpath_machine::isa::{Insn, decode};
use twinpath_machine::{
    Alone, Cpu, Fault, Machine, MachineOptions, Placement, Program, ProgramType,
};

fn i(code: u8, dst: u8, src: u8, off: i16, imm: i32) -> Insn {
    Insn {
        code,
        dst,
        src,
        off,
        imm,
    }
}

fn program(insns: &[Insn]) -> Program {
    let decoded = decode(insns, &|_, _, _| None).unwrap();
    Program {
        name: "test".into(),
        section: "socket".into(),
        kind: ProgramType::SocketFilter,
        insns: insns.to_vec(),
        decoded,
        lines: vec![],
        functions: vec![],
    }
}

fn run(engine: &mut dyn Engine, insns: &[Insn]) -> Result<Outcome, Box<Fault>> {
    let mut machine = Machine::new(MachineOptions {
        placement: Placement::Identity,
        memory: 1 << 20,
        ..Default::default()
    })
    .unwrap();
    let id = machine.add_program(program(insns));
    let invocation = Invocation {
        program: id,
        cpu: Cpu(0),
        context: Context::None,
        packet: None,
        bound: &[],
    };
    engine.run(&mut machine, &mut Alone, &invocation)
}

fn both(insns: &[Insn]) -> u64 {
    let checked = run(&mut Checked::default(), insns).unwrap().result;
    let rbpf = run(&mut Rbpf::default(), insns).unwrap().result;
    assert_eq!(checked, rbpf, "{insns:x?}");
    checked
}

#[test]
fn smoke() {
    let exit = i(0x95, 0, 0, 0, 0);
    assert_eq!(both(&[i(0xb7, 0, 0, 0, -3), exit]), -3i64 as u64);
    // sdiv -7 / 2
    assert_eq!(
        both(&[i(0xb7, 0, 0, 0, -7), i(0x37, 0, 0, 1, 2), exit]),
        -3i64 as u64
    );
    // A call backwards, the stack of each frame, and a loop.
    assert_eq!(
        both(&[
            i(0x05, 0, 0, 3, 0),
            i(0x7a, 10, 0, -8, 5),
            i(0x79, 0, 10, -8, 0),
            exit,
            i(0x7a, 10, 0, -8, 7),
            i(0x85, 0, 1, 0, -5),
            i(0x79, 1, 10, -8, 0),
            i(0x0f, 0, 1, 0, 0),
            exit
        ]),
        12
    );
    // fetch-and-add, then compare-and-exchange on the stack.
    assert_eq!(
        both(&[
            i(0x7a, 10, 0, -8, 5),
            i(0xb7, 1, 0, 0, 37),
            i(0xdb, 10, 1, -8, 1),
            i(0xb7, 0, 0, 0, 42),
            i(0xdb, 10, 1, -8, 0xf1),
            i(0x79, 2, 10, -8, 0),
            i(0x67, 0, 0, 0, 8),
            i(0x0f, 0, 2, 0, 0),
            exit
        ]),
        42 << 8 | 5
    );
    let endless = [i(0xb7, 0, 0, 0, 0), i(0x05, 0, 0, -1, 0), exit];
    let fault = run(&mut Rbpf::default(), &endless).unwrap_err();
    assert!(fault.kind.to_string().contains("budget"), "{fault:?}");
    let null = [i(0xb7, 1, 0, 0, 0), i(0x79, 0, 1, 4, 0), exit];
    for engine in [
        &mut Rbpf::default() as &mut dyn Engine,
        &mut Checked::default(),
    ] {
        let fault = run(engine, &null).unwrap_err();
        assert_eq!(fault.instruction, 1);
        assert!(fault.kind.to_string().contains("null"), "{fault:?}");
    }
    // A helper, and callx of one.
    both(&[i(0x85, 0, 0, 0, 5), exit]);
    both(&[i(0xb7, 3, 0, 0, 5), i(0x8d, 3, 0, 0, 0), exit]);
}
