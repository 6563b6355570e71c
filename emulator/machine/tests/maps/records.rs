//! Ring buffers and perf events: what programs send and user space reads.

use std::os::fd::AsRawFd;

use proptest::prelude::*;
use twinpath_bpf::{
    PerfReader, PerfRecord, Program as KernelProgram, RingReader, RingRecord, TestInput,
};
use twinpath_machine::isa::{Insn, pseudo};
use twinpath_machine::{
    Cpu, HelperId, Machine, Map, MapDef, MapId, MapType, Program, ProgramId, ProgramType,
};

use super::asm::{Width, cond, exit, jump_k, lddw, ldx, mov, movr, st, stx};
use super::faces::{Ours, run};
use super::kernel::map::KernelMap;
use super::kernel::program::{Block, load};
use super::kernel::{possible_cpus, run_on};
use super::program::{add, call, start};

/// Sizes of records; the verifier wants to know them.
const SIZES: [i32; 12] = [0, 1, 7, 8, 9, 24, 100, 500, 1000, 2040, 3000, 4088];
/// Bytes of the control block.
const BLOCK: usize = 4200;
const OP: i16 = 0;
const FLAGS: i16 = 8;
const RESULT: i16 = 16;
const OUT: i16 = 24;
const DATA: i16 = 64;
/// Bytes of a reserved record that the program looks at.
const SEEN: usize = 32;
const PACKET: [u8; 64] = [0; 64];

/// What the program does with a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Send {
    Output,
    Submit,
    Discard,
    /// By way of a dynptr.
    SubmitDynptr,
    DiscardDynptr,
}

const SENDS: [Send; 5] = [
    Send::Output,
    Send::Submit,
    Send::Discard,
    Send::SubmitDynptr,
    Send::DiscardDynptr,
];

#[derive(Debug, Clone)]
pub enum Step {
    Send {
        send: usize,
        size: usize,
        fill: u8,
        flags: u64,
        cpu: u32,
    },
    Query(u64),
    Take,
}

pub fn steps(most: usize) -> impl Strategy<Value = Vec<Step>> {
    let flags = prop_oneof![8 => Just(0u64), 1 => Just(1), 1 => Just(2), 1 => Just(4)];
    let send = (
        0..SENDS.len(),
        0..SIZES.len(),
        any::<u8>(),
        flags,
        0..possible_cpus(),
    );
    let step = prop_oneof![
        8 => send.prop_map(|(send, size, fill, flags, cpu)| Step::Send { send, size, fill, flags, cpu }),
        1 => (0..6u64).prop_map(Step::Query),
        1 => Just(Step::Take),
    ];
    prop::collection::vec(step, 1..=most)
}

/// Both sides of a program with a control block and a map.
struct Pair {
    control: Block,
    program: KernelProgram,
    machine: Machine,
    own_control: MapId,
    own_program: ProgramId,
}

impl Pair {
    fn new(
        theirs: i32,
        mut machine: Machine,
        ours: MapId,
        build: impl Fn(i32, i32) -> Vec<Insn>,
    ) -> Self {
        let control = Block::new(BLOCK);
        let insns = build(control.0.as_raw_fd(), theirs);
        let program = load(ProgramType::SchedCls, 0, &insns);
        let program = program.unwrap_or_else(|refusal| panic!("{refusal}"));
        let def = MapDef::new(MapType::Array, 4, BLOCK as u32, 1);
        let own_control = Map::new(def, &mut machine.memory, 1).expect("an array");
        let own_control = machine.maps.push(own_control);
        let insns = build(own_control.0 as i32, ours.0 as i32);
        let own = Program::bare("records", ProgramType::SchedCls, insns, &|_, _, _| None);
        let own_program = machine.add_program(own.expect("a program"));
        Self {
            control,
            program,
            machine,
            own_control,
            own_program,
        }
    }

    /// Runs both and compares the block.
    fn run(&mut self, cpu: u32, block: &[u8]) -> Result<(), TestCaseError> {
        run_on(cpu);
        self.control.set(block);
        let input = TestInput::packet(&PACKET);
        self.program.test_run(input).expect("run the program");
        let theirs = self.control.get();
        let Machine { maps, memory, .. } = &mut self.machine;
        let set = maps[self.own_control].user_update(memory, &[0; 4], block, 0);
        set.expect("set the block");
        run(&mut self.machine, cpu, self.own_program);
        let control = &self.machine.maps[self.own_control];
        let ours = control.user_lookup(&self.machine.memory, &[0; 4]);
        let end = OUT as usize + SEEN;
        prop_assert_eq!(&theirs[..end], &ours.expect("the block")[..end]);
        Ok(())
    }
}

fn block(op: u32, fill: u8, flags: u64) -> Vec<u8> {
    let mut block = vec![0; BLOCK];
    block[..4].copy_from_slice(&op.to_le_bytes());
    block[FLAGS as usize..FLAGS as usize + 8].copy_from_slice(&flags.to_le_bytes());
    for (nth, byte) in block[DATA as usize..].iter_mut().enumerate() {
        *byte = fill.wrapping_add((nth * 13) as u8);
    }
    block
}

/// Goes to the arm of the block's operation.
fn dispatch(control: i32, arms: Vec<Vec<Insn>>) -> Vec<Insn> {
    let mut insns = start(control);
    insns.push(ldx(Width::W, 7, 6, OP));
    for (number, mut arm) in arms.into_iter().enumerate() {
        arm.extend([stx(Width::D, 6, RESULT, 0), mov(0, 0), exit()]);
        insns.push(jump_k(true, cond::JNE, 7, number as i32, arm.len() as i16));
        insns.extend(arm);
    }
    insns.extend([mov(0, 0), exit()]);
    insns
}

fn ring_arms(map: i32) -> Vec<Vec<Insn>> {
    let mut arms = Vec::new();
    for send in SENDS {
        arms.extend(SIZES.iter().map(|size| ring_arm(send, *size, map)));
    }
    let mut query = lddw(1, pseudo::MAP_FD, u64::from(map as u32)).to_vec();
    query.extend([ldx(Width::D, 2, 6, FLAGS), call(HelperId::RINGBUF_QUERY)]);
    arms.push(query);
    arms
}

fn ring_arm(send: Send, size: i32, map: i32) -> Vec<Insn> {
    let mut insns = lddw(1, pseudo::MAP_FD, u64::from(map as u32)).to_vec();
    let end = match send {
        Send::Output => {
            insns.extend([
                movr(2, 6),
                add(2, DATA),
                mov(3, size),
                ldx(Width::D, 4, 6, FLAGS),
            ]);
            insns.push(call(HelperId::RINGBUF_OUTPUT));
            return insns;
        }
        Send::Submit | Send::SubmitDynptr => HelperId::RINGBUF_SUBMIT,
        Send::Discard | Send::DiscardDynptr => HelperId::RINGBUF_DISCARD,
    };
    let dynptr = matches!(send, Send::SubmitDynptr | Send::DiscardDynptr);
    insns.extend([mov(2, size), ldx(Width::D, 3, 6, FLAGS)]);
    if !dynptr {
        insns.push(call(HelperId::RINGBUF_RESERVE));
        let mut body = vec![movr(9, 0)];
        body.extend(fill_record(size));
        body.extend([movr(1, 9), mov(2, 0), call(end), mov(0, 1)]);
        insns.push(jump_k(true, cond::JEQ, 0, 0, body.len() as i16));
        insns.extend(body);
        return insns;
    }
    let end = match end {
        HelperId::RINGBUF_SUBMIT => HelperId::RINGBUF_SUBMIT_DYNPTR,
        _ => HelperId::RINGBUF_DISCARD_DYNPTR,
    };
    insns.extend([
        movr(4, 10),
        add(4, -24),
        call(HelperId::RINGBUF_RESERVE_DYNPTR),
    ]);
    insns.push(stx(Width::D, 6, OUT, 0));
    // Half of it is written through the dynptr, and read back.
    let half = size.min(16) / 2;
    insns.extend([
        movr(1, 10),
        add(1, -24),
        mov(2, half),
        movr(3, 6),
        add(3, DATA),
        mov(4, half),
        mov(5, 0),
    ]);
    insns.extend([call(HelperId::DYNPTR_WRITE), stx(Width::D, 6, OUT + 8, 0)]);
    insns.extend([
        movr(1, 6),
        add(1, OUT + 16),
        mov(2, size.min(8)),
        movr(3, 10),
        add(3, -24),
        mov(4, 1),
        mov(5, 0),
    ]);
    insns.extend([call(HelperId::DYNPTR_READ), stx(Width::D, 6, RESULT, 0)]);
    // And a slice of it directly.
    insns.extend([
        movr(1, 10),
        add(1, -24),
        mov(2, 1),
        mov(3, 4),
        call(HelperId::DYNPTR_DATA),
    ]);
    insns.extend([
        jump_k(true, cond::JEQ, 0, 0, 3),
        ldx(Width::W, 1, 0, 0),
        stx(Width::W, 6, OUT + 24, 1),
        st(Width::H, 0, 1, 0x55aa),
    ]);
    insns.extend([movr(1, 10), add(1, -24), mov(2, 0), call(end)]);
    insns.push(ldx(Width::D, 0, 6, RESULT));
    insns
}

/// Shows the beginning of the record in r9, then writes half of that.
fn fill_record(size: i32) -> Vec<Insn> {
    let mut insns = Vec::new();
    for at in 0..size.min(SEEN as i32) as i16 {
        insns.extend([ldx(Width::B, 1, 9, at), stx(Width::B, 6, OUT + at, 1)]);
    }
    for at in 0..size.min(SEEN as i32) as i16 / 2 {
        insns.extend([ldx(Width::B, 1, 6, DATA + at), stx(Width::B, 9, at, 1)]);
    }
    insns
}

/// A ring of one page, or of two.
pub fn compare_rings((steps, pages): (Vec<Step>, u32)) -> Result<u64, TestCaseError> {
    let def = MapDef::new(MapType::RingBuf, 0, 0, 4096 * pages);
    let theirs = KernelMap::new(&def, None).expect("a ring");
    let reader = RingReader::new(&theirs.0).expect("a reader");
    let mut machine = Ours::machine();
    let ours = Map::new(def, &mut machine.memory, 1).expect("a ring");
    let ours = machine.maps.push(ours);
    let build = |control, map| dispatch(control, ring_arms(map));
    let mut pair = Pair::new(theirs.fd(), machine, ours, build);
    let take = |pair: &mut Pair| {
        let Machine { maps, memory, .. } = &mut pair.machine;
        let own = maps[ours].take_records(memory).into_iter();
        let own: Vec<_> = own.map(|record| record.bytes).collect();
        let theirs: Vec<_> = reader
            .take()
            .into_iter()
            .filter_map(RingRecord::submitted)
            .collect();
        prop_assert_eq!(theirs, own);
        Ok(())
    };
    for (number, step) in steps.iter().enumerate() {
        let done = match *step {
            Step::Send {
                send,
                size,
                fill,
                flags,
                cpu,
            } => {
                let op = (send * SIZES.len() + size) as u32;
                pair.run(cpu, &block(op, fill, flags))
            }
            Step::Query(what) => {
                let op = (SENDS.len() * SIZES.len()) as u32;
                pair.run(0, &block(op, 0, what))
            }
            Step::Take => take(&mut pair),
        };
        done.map_err(|error| TestCaseError::fail(format!("step {number}, {step:?}: {error}")))?;
    }
    take(&mut pair)?;
    Ok(steps.len() as u64 + 1)
}

#[derive(Debug, Clone)]
pub enum PerfStep {
    Send {
        size: usize,
        fill: u8,
        flags: u64,
        cpu: u32,
    },
    Take,
}

pub fn perf_steps(most: usize) -> impl Strategy<Value = Vec<PerfStep>> {
    const CURRENT: u64 = 0xffff_ffff;
    let flags = prop_oneof![
        8 => Just(CURRENT),
        4 => 0..4u64,
        2 => (0..100u64).prop_map(|packet| CURRENT | packet << 32),
        1 => Just(CURRENT | 1 << 52),
        1 => Just(1 << 63),
    ];
    let send = (0..SIZES.len(), any::<u8>(), flags, 0..possible_cpus());
    let step = prop_oneof![
        9 => send.prop_map(|(size, fill, flags, cpu)| PerfStep::Send { size, fill, flags, cpu }),
        1 => Just(PerfStep::Take),
    ];
    prop::collection::vec(step, 1..=most)
}

fn perf_arms(map: i32) -> Vec<Vec<Insn>> {
    let arm = |size: &i32| {
        let mut insns = vec![movr(1, 8)];
        insns.extend(lddw(2, pseudo::MAP_FD, u64::from(map as u32)));
        insns.extend([
            ldx(Width::D, 3, 6, FLAGS),
            movr(4, 6),
            add(4, DATA),
            mov(5, *size),
        ]);
        insns.push(call(HelperId::PERF_EVENT_OUTPUT));
        insns
    };
    SIZES.iter().map(arm).collect()
}

/// Events of an array that may be shorter or longer than there are CPUs, with some opened.
pub fn compare_events(
    (steps, entries, opened): (Vec<PerfStep>, u32, u8),
) -> Result<u64, TestCaseError> {
    let def = MapDef::new(MapType::PerfEventArray, 4, 4, entries);
    let theirs = KernelMap::new(&def, None).expect("an array");
    let mut machine = Ours::machine();
    let cpus = machine.cpus();
    let ours = Map::new(def, &mut machine.memory, cpus).expect("an array");
    let ours = machine.maps.push(ours);
    let mut readers = Vec::new();
    for cpu in (0..cpus.min(entries)).filter(|cpu| opened >> cpu & 1 != 0) {
        let reader = PerfReader::new(cpu, 1).expect("events");
        let value = (reader.as_raw_fd() as u32).to_ne_bytes();
        theirs
            .update(&cpu.to_ne_bytes(), &value, 0)
            .expect("set the events");
        machine.maps[ours]
            .open_events(Cpu(cpu), 1)
            .expect("open the events");
        readers.push((cpu, reader));
    }
    let build = |control, map| dispatch(control, perf_arms(map));
    let mut pair = Pair::new(theirs.fd(), machine, ours, build);
    for (number, step) in steps.iter().enumerate() {
        let done = match *step {
            PerfStep::Send {
                size,
                fill,
                flags,
                cpu,
            } => pair.run(cpu, &block(size as u32, fill, flags)),
            PerfStep::Take => take_events(&mut pair, ours, &readers),
        };
        done.map_err(|error| TestCaseError::fail(format!("step {number}, {step:?}: {error}")))?;
    }
    take_events(&mut pair, ours, &readers)?;
    Ok(steps.len() as u64 + 1)
}

fn take_events(
    pair: &mut Pair,
    map: MapId,
    readers: &[(u32, PerfReader)],
) -> Result<(), TestCaseError> {
    let Machine { maps, memory, .. } = &mut pair.machine;
    let own = maps[map].take_records(memory);
    for (cpu, reader) in readers {
        let own = own.iter().filter(|record| record.cpu == Cpu(*cpu));
        let own: Vec<_> = own.map(|record| record.bytes.clone()).collect();
        let samples: Vec<_> = reader.take().into_iter().filter_map(sample).collect();
        prop_assert_eq!(samples.len(), own.len());
        for (sample, own) in samples.iter().zip(own) {
            prop_assert_eq!(sample.len(), (own.len() + 4).next_multiple_of(8) - 4);
            prop_assert_eq!(&sample[..own.len()], &own);
        }
    }
    Ok(())
}

fn sample(record: PerfRecord) -> Option<Vec<u8>> {
    match record {
        PerfRecord::Sample(bytes) => Some(bytes),
        PerfRecord::Lost(_) => None,
    }
}
