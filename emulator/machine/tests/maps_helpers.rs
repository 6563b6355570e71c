//! What helpers of maps refuse: each misuse is a fault that names the helper and the argument.
#![allow(clippy::unwrap_used)] // These are tests.

#[path = "isa/asm.rs"]
#[allow(dead_code)] // Shared with the tests of the instruction set.
mod asm;

use asm::{Width, cond, exit, insn, jump_k, lddw, ldx, mov, movr, st, stx};
use twinpath_machine::engine::{Checked, Context, Engine, Invocation, Rbpf};
use twinpath_machine::isa::{Insn, pseudo};
use twinpath_machine::memory::Layout;
use twinpath_machine::{
    Alone, Cpu, Errno, HelperId as H, Machine, MachineOptions, Map, MapDef, MapFlags, MapType,
    Placement, Program, ProgramType, Target,
};

const ARRAY: u64 = 0;
const HASH: u64 = 1;
const RING: u64 = 2;
const QUEUE: u64 = 3;
const PROGRAMS: u64 = 4;
const CLOSED: u64 = 5;
const LOCKED: u64 = 6;
const PER_CPU: u64 = 8;
const TRIE: u64 = 9;
const DEVICES: u64 = 10;
const OPAQUE: u64 = 11;

fn defs() -> Vec<MapDef> {
    let flagged = |def: MapDef, flags| MapDef {
        flags: MapFlags(flags),
        ..def
    };
    vec![
        MapDef::new(MapType::Array, 4, 8, 2).named("array"),
        MapDef::new(MapType::Hash, 4, 8, 2).named("hash"),
        MapDef::new(MapType::RingBuf, 0, 0, 4096).named("ring"),
        MapDef::new(MapType::Queue, 0, 8, 2).named("queue"),
        MapDef::new(MapType::ProgArray, 4, 4, 2).named("programs"),
        flagged(
            MapDef::new(MapType::Hash, 4, 8, 2).named("closed"),
            MapFlags::RDONLY_PROG,
        ),
        MapDef {
            lock: Some(4),
            ..MapDef::new(MapType::Array, 4, 16, 2).named("locked")
        },
        MapDef::new(MapType::PerfEventArray, 4, 4, 2).named("events"),
        MapDef::new(MapType::PerCpuArray, 4, 8, 2).named("per_cpu"),
        flagged(
            MapDef::new(MapType::LpmTrie, 8, 8, 2).named("trie"),
            MapFlags::NO_PREALLOC,
        ),
        MapDef::new(MapType::DevMap, 4, 8, 2).named("devices"),
        flagged(
            MapDef::new(MapType::Array, 4, 8, 2).named("opaque"),
            MapFlags::WRONLY_PROG,
        ),
    ]
}

fn machine(placement: Placement) -> Machine {
    let options = MachineOptions {
        placement,
        memory: 1 << 22,
        cpus: 2,
        ..MachineOptions::default()
    };
    let mut machine = Machine::new(options).unwrap();
    for def in defs() {
        let map = Map::new(def, &mut machine.memory, 2).unwrap();
        machine.maps.push(map);
    }
    machine
}

static CONTEXT: Layout = Layout {
    name: "__sk_buff",
    size: 192,
    fields: &[],
};

/// Runs a program; its result, or its fault as a text.
fn run_on(engine: &mut dyn Engine, machine: &mut Machine, insns: Vec<Insn>) -> Result<u64, String> {
    let program = Program::bare("test", ProgramType::SchedCls, insns, &|_, _, _| None);
    let program = machine.add_program(program.unwrap());
    let context = machine.memory.allocate(192).unwrap();
    let invocation = Invocation {
        program,
        cpu: Cpu(1),
        context: Context::Struct(context, &CONTEXT),
        packet: None,
        bound: &[],
    };
    match engine.run(machine, &mut Alone, &invocation) {
        Ok(outcome) => Ok(outcome.result),
        Err(fault) => Err(fault.kind.to_string()),
    }
}

fn run(insns: Vec<Insn>) -> Result<u64, String> {
    run_on(
        &mut Checked::default(),
        &mut machine(Placement::Anywhere),
        insns,
    )
}

const fn add(register: u8, value: i32) -> Insn {
    insn(0x07, register, 0, 0, value)
}

const fn call(helper: H) -> Insn {
    insn(0x85, 0, 0, 0, helper.0 as i32)
}

fn map(register: u8, map: u64) -> Vec<Insn> {
    lddw(register, pseudo::MAP_FD, map).to_vec()
}

/// A program from its parts, with its end.
fn program(parts: &[&[Insn]]) -> Vec<Insn> {
    let mut insns = parts.concat();
    insns.push(exit());
    insns
}

/// A key of zeros at r10 - 8 and a value of zeros at r10 - 16, with r2 and r3 to them.
fn key_and_value() -> Vec<Insn> {
    vec![
        st(Width::D, 10, -8, 0),
        st(Width::D, 10, -16, 0),
        movr(2, 10),
        add(2, -8),
        movr(3, 10),
        add(3, -16),
        mov(4, 0),
    ]
}

/// A call with a map, a key and a value.
fn with_value(id: u64, helper: H) -> Vec<Insn> {
    program(&[&map(1, id), &key_and_value(), &[call(helper)]])
}

/// Looks up the first element of an array, which is there, and leaves the pointer in r6.
fn element(id: u64) -> Vec<Insn> {
    let mut insns = map(1, id);
    insns.extend(key_and_value());
    insns.extend([call(H::MAP_LOOKUP_ELEM), movr(6, 0)]);
    insns
}

#[test]
fn each_helper_takes_maps_of_its_types() {
    for (id, helper, problem) in [
        (
            RING,
            H::MAP_LOOKUP_ELEM,
            "\"ring\" is a map of type ringbuf",
        ),
        (
            PROGRAMS,
            H::MAP_LOOKUP_ELEM,
            "\"programs\" is a map of type prog_array",
        ),
        (
            QUEUE,
            H::MAP_UPDATE_ELEM,
            "\"queue\" is a map of type queue",
        ),
        (
            DEVICES,
            H::MAP_UPDATE_ELEM,
            "\"devices\" is a map of type devmap",
        ),
        (
            DEVICES,
            H::MAP_DELETE_ELEM,
            "\"devices\" is a map of type devmap",
        ),
        (
            PROGRAMS,
            H::MAP_DELETE_ELEM,
            "\"programs\" is a map of type prog_array",
        ),
        (HASH, H::MAP_PUSH_ELEM, "\"hash\" is a map of type hash"),
        (HASH, H::MAP_POP_ELEM, "\"hash\" is a map of type hash"),
        (ARRAY, H::MAP_PEEK_ELEM, "\"array\" is a map of type array"),
        (
            ARRAY,
            H::MAP_LOOKUP_PERCPU_ELEM,
            "\"array\" is a map of type array",
        ),
        (ARRAY, H::RINGBUF_OUTPUT, "\"array\" is a map of type array"),
        (
            ARRAY,
            H::RINGBUF_RESERVE,
            "\"array\" is a map of type array",
        ),
        (HASH, H::RINGBUF_QUERY, "\"hash\" is a map of type hash"),
        (
            CLOSED,
            H::MAP_UPDATE_ELEM,
            "programs may not write the map \"closed\"",
        ),
        (
            CLOSED,
            H::MAP_DELETE_ELEM,
            "programs may not write the map \"closed\"",
        ),
    ] {
        let expected = format!("argument 1 of {helper}: {problem}");
        assert_eq!(run(with_value(id, helper)), Err(expected));
    }
    let perf = program(&[
        &[movr(7, 1)],
        &map(2, RING),
        &[
            movr(1, 7),
            mov(3, 0),
            movr(4, 10),
            mov(5, 0),
            call(H::PERF_EVENT_OUTPUT),
        ],
    ]);
    let expected = "argument 2 of perf_event_output: \"ring\" is a map of type ringbuf";
    assert_eq!(run(perf), Err(expected.to_owned()));
}

#[test]
fn what_a_lookup_shows_is_as_open_as_its_map() {
    let store = |id| program(&[&element(id), &[st(Width::B, 6, 0, 1)]]);
    let load = |id| program(&[&element(id), &[ldx(Width::B, 0, 6, 7)]]);
    let beyond = |id| program(&[&element(id), &[ldx(Width::B, 0, 6, 8)]]);
    assert!(store(ARRAY).len() > 4 && run(store(ARRAY)).is_ok());
    assert_eq!(run(load(PER_CPU)), Ok(0));
    assert!(run(store(OPAQUE)).is_ok());
    assert!(
        run(load(OPAQUE))
            .unwrap_err()
            .starts_with("invalid read of 1 bytes")
    );
    assert!(
        run(beyond(ARRAY))
            .unwrap_err()
            .starts_with("invalid read of 1 bytes")
    );
    assert!(
        run(beyond(PER_CPU))
            .unwrap_err()
            .starts_with("invalid read of 1 bytes")
    );

    let mut machine = machine(Placement::Anywhere);
    let target = Target::Device {
        ifindex: 7,
        program: None,
    };
    let Machine { maps, memory, .. } = &mut machine;
    let id = maps.by_name("devices").unwrap();
    maps[id].set_target(memory, 0, Some(target), 0).unwrap();
    let engine = &mut Checked::default();
    let ifindex = program(&[&element(DEVICES), &[ldx(Width::W, 0, 6, 0)]]);
    assert_eq!(run_on(engine, &mut machine, ifindex), Ok(7));
    let written = run_on(engine, &mut machine, store(DEVICES));
    assert!(written.unwrap_err().starts_with("invalid write of 1 bytes"));
}

/// Reserves a record of 16 bytes, which there is room for, in r6.
fn reserve() -> Vec<Insn> {
    let mut insns = map(1, RING);
    insns.extend([mov(2, 16), mov(3, 0), call(H::RINGBUF_RESERVE), movr(6, 0)]);
    insns
}

fn commit(helper: H) -> Vec<Insn> {
    vec![movr(1, 6), mov(2, 0), call(helper)]
}

#[test]
fn records_are_given_back_once_and_left_alone_then() {
    let leak = program(&[&reserve(), &[mov(0, 0)]]);
    let expected =
        "the program ends and still holds a record of a ring buffer, acquired by instruction 4";
    assert_eq!(run(leak), Err(expected.to_owned()));

    for helper in [H::RINGBUF_SUBMIT, H::RINGBUF_DISCARD] {
        let twice = program(&[&reserve(), &commit(helper), &commit(helper)]);
        let fault = run(twice).unwrap_err();
        assert!(
            fault.starts_with(&format!("argument 1 of {helper}: ")),
            "{fault}"
        );
        assert!(
            fault.ends_with(" is not the start of a reserved record"),
            "{fault}"
        );
        let inside = program(&[&reserve(), &[add(6, 8)], &commit(helper)]);
        assert!(
            run(inside)
                .unwrap_err()
                .ends_with(" is not the start of a reserved record")
        );
        let after = program(&[&reserve(), &commit(helper), &[ldx(Width::B, 0, 6, 0)]]);
        assert!(
            run(after)
                .unwrap_err()
                .starts_with("invalid read of 1 bytes")
        );
    }
    let beyond = program(&[&reserve(), &[st(Width::D, 6, 12, 0)]]);
    assert!(
        run(beyond)
            .unwrap_err()
            .starts_with("invalid write of 8 bytes")
    );
    let flags = program(&[
        &map(1, RING),
        &[mov(2, 16), mov(3, 1), call(H::RINGBUF_RESERVE)],
    ]);
    assert_eq!(run(flags), Ok(0));
}

#[test]
fn a_tail_call_with_a_record_is_a_leak() {
    let insns = program(&[
        &[movr(7, 1)],
        &reserve(),
        &map(2, PROGRAMS),
        &[movr(1, 7), mov(3, 0), call(H::TAIL_CALL), mov(0, 0)],
    ]);
    let expected =
        "the program ends and still holds a record of a ring buffer, acquired by instruction 5";
    assert_eq!(run(insns), Err(expected.to_owned()));
}

/// Locks, or unlocks, at an offset of the value in r6.
fn lock(helper: H, offset: i32) -> Vec<Insn> {
    vec![movr(1, 6), add(1, offset), call(helper)]
}

#[test]
fn spin_locks_are_held_alone_and_briefly() {
    let (take, drop) = (lock(H::SPIN_LOCK, 4), lock(H::SPIN_UNLOCK, 4));
    let end = [mov(0, 1)];
    assert_eq!(run(program(&[&element(LOCKED), &take, &drop, &end])), Ok(1));
    let other = [movr(8, 6), st(Width::D, 10, -8, 1)];
    let second = program(&[
        &element(LOCKED),
        &other,
        &map(1, LOCKED),
        &[
            movr(2, 10),
            add(2, -8),
            call(H::MAP_LOOKUP_ELEM),
            movr(6, 0),
        ],
        &take,
        &[movr(6, 8)],
        &drop,
    ]);
    let wrong = lock(H::SPIN_LOCK, 8);
    let stack = [movr(1, 10), add(1, -8), call(H::SPIN_LOCK)];
    for (insns, expected) in [
        (
            program(&[&element(LOCKED), &take, &end]),
            "the program ends and still holds a spin lock, acquired by instruction 13",
        ),
        (
            program(&[&element(LOCKED), &take, &take]),
            "call of spin_lock while a spin lock is held, taken by instruction 13",
        ),
        (
            program(&[&element(LOCKED), &take, &[call(H::KTIME_GET_NS)]]),
            "call of ktime_get_ns while a spin lock is held, taken by instruction 13",
        ),
        (
            program(&[&element(LOCKED), &drop]),
            "argument 1 of spin_unlock: no lock is held",
        ),
        (
            second,
            "argument 1 of spin_unlock: another lock is held since instruction 21",
        ),
        (
            program(&[&element(LOCKED), &wrong]),
            "argument 1 of spin_lock: offset 8 of the value; its lock is at offset 4",
        ),
        (
            program(&[&element(ARRAY), &lock(H::SPIN_LOCK, 4)]),
            "argument 1 of spin_lock: values of this map have no bpf_spin_lock",
        ),
        (
            program(&[&element(LOCKED), &stack]),
            "argument 1 of spin_lock: this is not in a value of a map",
        ),
    ] {
        assert_eq!(run(insns), Err(expected.to_owned()));
    }
}

/// A dynptr at r10 - 32 of the first 8 bytes of the array's element in r6.
fn dynptr() -> Vec<Insn> {
    let mut insns = element(ARRAY);
    insns.extend([
        movr(1, 6),
        mov(2, 8),
        mov(3, 0),
        movr(4, 10),
        add(4, -32),
        call(H::DYNPTR_FROM_MEM),
    ]);
    insns
}

/// Reads 4 bytes at an offset of it to r10 - 40.
fn read(offset: i32) -> Vec<Insn> {
    vec![
        movr(1, 10),
        add(1, -40),
        mov(2, 4),
        movr(3, 10),
        add(3, -32),
        mov(4, offset),
        mov(5, 0),
        call(H::DYNPTR_READ),
    ]
}

fn negative(errno: Errno) -> u64 {
    -i64::from(errno.get()) as u64
}

#[test]
fn dynptrs_check_what_they_are_asked() {
    let filled = [
        insn(0x18, 7, 0, 0, 0x1122_3344),
        insn(0, 0, 0, 0, 0x5566_7788),
        stx(Width::D, 6, 0, 7),
    ];
    let shown = [ldx(Width::W, 0, 10, -40)];
    let part = program(&[&dynptr(), &filled, &read(2), &shown]);
    assert_eq!(run(part), Ok(0x7788_1122));
    assert_eq!(run(program(&[&dynptr(), &read(4)])), Ok(0));
    assert_eq!(
        run(program(&[&dynptr(), &read(5)])),
        Ok(negative(Errno::E2BIG))
    );
    assert_eq!(
        run(program(&[&dynptr(), &read(-1)])),
        Ok(negative(Errno::E2BIG))
    );
    let slice = |offset, len| {
        let ask = [
            movr(1, 10),
            add(1, -32),
            mov(2, offset),
            mov(3, len),
            call(H::DYNPTR_DATA),
        ];
        let look = [
            jump_k(true, cond::JEQ, 0, 0, 1),
            ldx(Width::B, 0, 0, len as i16 - 1),
        ];
        program(&[&dynptr(), &filled, &ask, &look])
    };
    assert_eq!(run(slice(3, 2)), Ok(0x88));
    assert_eq!(run(slice(8, 1)), Ok(0));
    let flags = [
        movr(1, 6),
        mov(2, 8),
        mov(3, 1),
        movr(4, 10),
        add(4, -32),
        call(H::DYNPTR_FROM_MEM),
    ];
    assert_eq!(
        run(program(&[&element(ARRAY), &flags])),
        Ok(negative(Errno::EINVAL))
    );
    assert_eq!(
        run(program(&[&element(ARRAY), &flags, &read(0)])),
        Ok(negative(Errno::EINVAL))
    );
}

#[test]
fn dynptrs_are_what_helpers_made() {
    let none = "argument 3 of dynptr_read: this is not an initialized dynptr";
    let blank = [st(Width::D, 10, -32, 0), st(Width::D, 10, -24, 0)];
    assert_eq!(run(program(&[&blank, &read(0)])), Err(none.to_owned()));
    let overwritten = program(&[&dynptr(), &[st(Width::B, 10, -25, 1)], &read(0)]);
    assert_eq!(run(overwritten), Err(none.to_owned()));
    let copied = [
        ldx(Width::D, 1, 10, -32),
        stx(Width::D, 10, -64, 1),
        ldx(Width::D, 1, 10, -24),
        stx(Width::D, 10, -56, 1),
    ];
    let mut elsewhere = read(0);
    elsewhere[4] = add(3, -64);
    assert_eq!(
        run(program(&[&dynptr(), &copied, &elsewhere])),
        Err(none.to_owned())
    );
    let stack = [
        movr(1, 10),
        add(1, -8),
        mov(2, 8),
        mov(3, 0),
        movr(4, 10),
        add(4, -32),
        call(H::DYNPTR_FROM_MEM),
    ];
    let expected =
        "argument 1 of dynptr_from_mem: only the value of a map can be the data of a dynptr";
    assert_eq!(
        run(program(&[&[st(Width::D, 10, -8, 0)], &stack])),
        Err(expected.to_owned())
    );
    let value = [
        movr(1, 6),
        mov(2, 8),
        mov(3, 0),
        movr(4, 6),
        call(H::DYNPTR_FROM_MEM),
    ];
    let fault = run(program(&[&element(LOCKED), &value]));
    let expected = "argument 4 of dynptr_from_mem: a dynptr lies on the stack, aligned to 8 bytes";
    assert_eq!(fault, Err(expected.to_owned()));
}

/// Reserves a record of some bytes by a dynptr at r10 - 32.
fn reserve_dynptr(len: i32) -> Vec<Insn> {
    let mut insns = map(1, RING);
    insns.extend([
        mov(2, len),
        mov(3, 0),
        movr(4, 10),
        add(4, -32),
        call(H::RINGBUF_RESERVE_DYNPTR),
    ]);
    insns
}

#[test]
fn dynptrs_of_records_are_given_back_even_when_there_was_no_room() {
    let submit = [
        movr(1, 10),
        add(1, -32),
        mov(2, 0),
        call(H::RINGBUF_SUBMIT_DYNPTR),
    ];
    let leak =
        "the program ends and still holds a dynptr of a ring buffer, acquired by instruction 6";
    assert_eq!(run(program(&[&reserve_dynptr(8)])), Err(leak.to_owned()));
    assert_eq!(run(program(&[&reserve_dynptr(5000)])), Err(leak.to_owned()));
    assert_eq!(run(program(&[&reserve_dynptr(8), &submit])), Ok(0));
    assert_eq!(run(program(&[&reserve_dynptr(5000), &submit])), Ok(0));
    let again = "argument 1 of ringbuf_submit_dynptr: this is not an initialized dynptr";
    assert_eq!(
        run(program(&[&reserve_dynptr(8), &submit, &submit])),
        Err(again.to_owned())
    );
    let local = "argument 1 of ringbuf_submit_dynptr: this dynptr is not of a ring buffer's record";
    assert_eq!(run(program(&[&dynptr(), &submit])), Err(local.to_owned()));
    let over =
        "argument 4 of ringbuf_reserve_dynptr: this overwrites a dynptr of a reserved record";
    assert_eq!(
        run(program(&[&reserve_dynptr(8), &reserve_dynptr(8)])),
        Err(over.to_owned())
    );
    let slice = [
        movr(1, 10),
        add(1, -32),
        mov(2, 0),
        mov(3, 8),
        call(H::DYNPTR_DATA),
        movr(6, 0),
    ];
    let after = program(&[
        &reserve_dynptr(8),
        &slice,
        &submit,
        &[ldx(Width::B, 0, 6, 0)],
    ]);
    assert!(
        run(after)
            .unwrap_err()
            .starts_with("invalid read of 1 bytes")
    );
}

#[test]
fn storage_and_kernel_variables_need_an_environment() {
    let insns = with_value(HASH, H::SK_STORAGE_GET);
    let fault = run(insns).unwrap_err();
    assert!(
        fault.starts_with("argument 1 of sk_storage_get: "),
        "{fault}"
    );
    for helper in [H::PER_CPU_PTR, H::THIS_CPU_PTR] {
        assert_eq!(
            run(program(&[&[call(helper)]])),
            Err(format!(
                "argument 1 of {helper}: it is not the address of a kernel variable"
            ))
        );
    }
}

#[test]
fn a_trie_is_used_by_programs_on_both_engines() {
    let update = with_value(TRIE, H::MAP_UPDATE_ELEM);
    let lookup = program(&[
        &map(1, TRIE),
        &key_and_value(),
        &[
            call(H::MAP_LOOKUP_ELEM),
            jump_k(true, cond::JEQ, 0, 0, 1),
            mov(0, 5),
        ],
    ]);
    let checked: &mut dyn Engine = &mut Checked::default();
    let rbpf: &mut dyn Engine = &mut Rbpf::default();
    for (engine, placement) in [(checked, Placement::Anywhere), (rbpf, Placement::Identity)] {
        let mut machine = machine(placement);
        assert_eq!(run_on(engine, &mut machine, lookup.clone()), Ok(0));
        assert_eq!(run_on(engine, &mut machine, update.clone()), Ok(0));
        assert_eq!(run_on(engine, &mut machine, lookup.clone()), Ok(5));
        let leak = run_on(engine, &mut machine, program(&[&reserve(), &[mov(0, 0)]]));
        assert!(
            leak.unwrap_err()
                .starts_with("the program ends and still holds a record")
        );
    }
}
