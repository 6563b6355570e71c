//! A case: some helper calls in a row, on some packets, in the kernel and in the emulator.

use std::fmt;

use twinpath_machine::engine::Checked;
use twinpath_machine::isa::{Insn, pseudo};
use twinpath_machine::maps::Value;
use twinpath_machine::{
    Cpu, HelperId, Machine, MachineOptions, Map, MapDef, MapId, MapType, Program, ProgramType,
};
use twinpath_node::{NodeId, TestRun, TestRunError, World};

use super::asm::{Width, alu_k, alu_x, cond, exit, jump_k, lddw, ldx, mov, movr, op, st, stx};
use super::kernel::{Array, KernelProgram, Output};

/// Bytes of the map value that both sides share: results, context fields, buffers.
pub const SPACE: usize = 1024;
/// Where the fields of the context are copied to.
const FIELDS: i16 = 128;
/// Where the buffers for helpers begin.
pub const BUFFERS: i16 = 512;

/// An argument of a helper.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arg {
    /// The context.
    Context,
    /// A number.
    Number(u64),
    /// A pointer into the buffers.
    Buffer(u16),
    /// A null pointer.
    Null,
}

/// A helper call.
#[derive(Clone, PartialEq, Eq)]
pub struct Step {
    pub helper: HelperId,
    pub args: Vec<Arg>,
}

impl fmt::Debug for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{:x?}", self.helper, self.args)
    }
}

/// What a program runs on.
#[derive(Clone, PartialEq, Eq)]
pub struct Input {
    pub data: Vec<u8>,
    pub context: Vec<u8>,
    /// `BPF_F_TEST_SKB_CHECKSUM_COMPLETE`.
    pub checksum_complete: bool,
}

impl fmt::Debug for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hex: String = self.data.iter().map(|byte| format!("{byte:02x}")).collect();
        write!(f, "{} bytes {hex}", self.data.len())?;
        for (at, word) in self.context.chunks(4).enumerate() {
            let value = word
                .iter()
                .rev()
                .fold(0u32, |all, byte| all << 8 | u32::from(*byte));
            if value != 0 {
                write!(f, ", context {}: {value:#x}", at * 4)?;
            }
        }
        write!(f, ", checksum_complete {}", self.checksum_complete)
    }
}

/// Helper calls in a row, and inputs.
#[derive(Clone, PartialEq, Eq)]
pub struct Case {
    pub kind: ProgramType,
    pub steps: Vec<Step>,
    pub inputs: Vec<Input>,
    /// The buffers before.
    pub buffers: Vec<u8>,
}

impl fmt::Debug for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} program: {:x?}", self.kind, self.steps)?;
        for (index, input) in self.inputs.iter().enumerate() {
            writeln!(f, "input {index}: {input:?}")?;
        }
        let hex: String = self
            .buffers
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        write!(f, "buffers {hex}")
    }
}

/// What one side left.
#[derive(Clone, PartialEq, Eq)]
pub struct Left {
    pub output: Output,
    pub space: Vec<u8>,
}

impl Case {
    /// The program, with a map of this number or descriptor.
    pub fn program(&self, map: i32) -> Vec<Insn> {
        let mut insns = vec![movr(6, 1), st(Width::W, 10, -4, 0), movr(2, 10)];
        insns.push(alu_k(true, op::ADD, 2, -4, 0));
        insns.extend(lddw(1, pseudo::MAP_FD, map as u32 as u64));
        insns.push(call(HelperId::MAP_LOOKUP_ELEM));
        insns.push(jump_k(true, cond::JNE, 0, 0, 1));
        insns.push(exit());
        insns.push(movr(9, 0));
        for (index, step) in self.steps.iter().enumerate() {
            for (number, arg) in step.args.iter().enumerate() {
                set(&mut insns, number as u8 + 1, *arg);
            }
            insns.push(call(step.helper));
            insns.push(stx(Width::D, 9, index as i16 * 8, 0));
        }
        dump(&mut insns, self.kind);
        insns.push(ldx(
            Width::D,
            0,
            9,
            (self.steps.len().max(1) as i16 - 1) * 8,
        ));
        insns.push(exit());
        insns
    }
}

/// The call of a helper.
pub fn call(helper: HelperId) -> Insn {
    super::asm::insn(twinpath_machine::isa::CALL, 0, 0, 0, helper.0 as i32)
}

fn set(insns: &mut Vec<Insn>, register: u8, arg: Arg) {
    match arg {
        Arg::Context => insns.push(movr(register, 6)),
        Arg::Null => insns.push(mov(register, 0)),
        Arg::Number(value) => insns.extend(lddw(register, 0, value)),
        Arg::Buffer(at) => {
            insns.push(movr(register, 9));
            insns.push(alu_k(
                true,
                op::ADD,
                register,
                i32::from(BUFFERS) + i32::from(at),
                0,
            ));
        }
    }
}

/// Copies what the context says into the shared value; of pointers, their distances.
fn dump(insns: &mut Vec<Insn>, kind: ProgramType) {
    let (fields, pointers, longs): (&[i16], [i16; 3], &[i16]) = match kind {
        ProgramType::Xdp => (&[12, 16], [8, 0, 4], &[]),
        _ => (
            &[
                0, 4, 8, 12, 16, 20, 24, 28, 32, 36, 40, 44, 48, 52, 56, 60, 64, 72, 84, 160, 164,
                176,
            ],
            [140, 76, 80],
            &[152, 184],
        ),
    };
    for &field in fields {
        insns.push(ldx(Width::W, 1, 6, field));
        insns.push(stx(Width::W, 9, FIELDS + field, 1));
    }
    for &field in longs {
        insns.push(ldx(Width::D, 1, 6, field));
        insns.push(stx(Width::D, 9, FIELDS + field, 1));
    }
    let [meta, data, end] = pointers;
    for (upper, lower, to) in [(data, meta, meta), (end, data, end)] {
        insns.push(ldx(Width::W, 1, 6, upper));
        insns.push(ldx(Width::W, 2, 6, lower));
        insns.push(alu_x(true, op::SUB, 1, 2, 0));
        insns.push(stx(Width::W, 9, FIELDS + to, 1));
    }
}

/// Both sides, ready to run cases.
pub struct Sides {
    array: Array,
    world: World,
    node: NodeId,
    map: MapId,
}

impl Sides {
    pub fn new() -> Self {
        let mut world = World::new(
            MachineOptions::default(),
            Box::new(|| Box::<Checked>::default()),
        )
        .unwrap();
        let node = world.add_node();
        let map = add_array(&mut world.machine);
        Self {
            array: Array::new(SPACE).unwrap(),
            world,
            node,
            map,
        }
    }

    /// Runs a case on both sides; what differs, in words.
    pub fn compare(&mut self, case: &Case) -> Result<(), String> {
        let insns = case.program(self.array.fd());
        let kernel = KernelProgram::load(case.kind, 0, &insns)
            .map_err(|refused| format!("the kernel refuses the program: {refused:?}"))?;
        let insns = case.program(self.map.0 as i32);
        let program = Program::bare("case", case.kind, insns, &|_, _, _| None)
            .map_err(|errors| format!("{errors:?}"))?;
        let program = self.world.machine.add_program(program);
        for (index, input) in case.inputs.iter().enumerate() {
            let mut space = vec![0; SPACE];
            space[BUFFERS as usize..][..case.buffers.len()].copy_from_slice(&case.buffers);
            let expected = self.kernel(&kernel, input, &space)?;
            let found = self.emulator(program, input, &space)?;
            difference(&expected, &found).map_err(|text| format!("input {index}: {text}"))?;
        }
        Ok(())
    }

    fn kernel(
        &self,
        program: &KernelProgram,
        input: &Input,
        space: &[u8],
    ) -> Result<Result<Left, i32>, String> {
        self.array.set(space).map_err(|error| error.to_string())?;
        let flags = u32::from(input.checksum_complete) << 2;
        let output = match program.run(Some(&input.data), &input.context, flags) {
            Ok(output) => output,
            Err(error) => return Ok(Err(error.raw_os_error().unwrap_or(0))),
        };
        let space = self.array.get().map_err(|error| error.to_string())?;
        Ok(Ok(Left { output, space }))
    }

    fn emulator(
        &mut self,
        program: twinpath_machine::ProgramId,
        input: &Input,
        space: &[u8],
    ) -> Result<Result<Left, i32>, String> {
        let machine = &mut self.world.machine;
        let address = machine.maps[self.map]
            .lookup(&[0; 4], Cpu(0))
            .ok_or("no value")?;
        machine
            .memory
            .raw_mut(address, SPACE as u32)
            .copy_from_slice(space);
        let run = TestRun {
            program,
            node: self.node,
            data: &input.data,
            context: Some(&input.context),
            checksum_complete: input.checksum_complete,
        };
        let result = match self.world.test_run(run) {
            Ok(result) => result,
            Err(TestRunError::Refused { errno, .. }) => return Ok(Err(errno.get())),
            Err(TestRunError::Fault(fault)) => return Err(format!("fault: {fault:?}")),
            Err(error) => return Err(error.to_string()),
        };
        let output = Output {
            returned: result.returned,
            data: result.data,
            context: result.context.unwrap_or_default(),
        };
        let space = self
            .world
            .machine
            .memory
            .raw(address, SPACE as u32)
            .to_vec();
        Ok(Ok(Left { output, space }))
    }
}

fn add_array(machine: &mut Machine) -> MapId {
    let def = MapDef::new(MapType::Array, 4, SPACE as u32, 1);
    let mut map = Map::new(def, &mut machine.memory, 1).unwrap();
    let zeroes = [0; SPACE];
    let _ = map.update(
        &mut machine.memory,
        &[0; 4],
        Value::Host(&zeroes),
        0,
        Cpu(0),
    );
    machine.maps.push(map)
}

/// What differs between both sides.
fn difference(kernel: &Result<Left, i32>, emulator: &Result<Left, i32>) -> Result<(), String> {
    let (kernel, emulator) = match (kernel, emulator) {
        (Ok(kernel), Ok(emulator)) => (kernel, emulator),
        (Err(kernel), Err(emulator)) if kernel == emulator => return Ok(()),
        (kernel, emulator) => {
            let words = |side: &Result<Left, i32>| match side {
                Ok(left) => format!("returns {:#x}", left.output.returned),
                Err(errno) => format!("refuses with errno {errno}"),
            };
            let (kernel, emulator) = (words(kernel), words(emulator));
            return Err(format!("the kernel {kernel}, the emulator {emulator}"));
        }
    };
    let mut text = String::new();
    if kernel.output.returned != emulator.output.returned {
        let (a, b) = (kernel.output.returned, emulator.output.returned);
        text += &format!("returned {a:#x}, emulator {b:#x}\n");
    }
    for (name, kernel, emulator) in [
        ("shared value", &kernel.space, &emulator.space),
        ("context", &kernel.output.context, &emulator.output.context),
        ("data", &kernel.output.data, &emulator.output.data),
    ] {
        if kernel.len() != emulator.len() {
            let (a, b) = (kernel.len(), emulator.len());
            text += &format!("{name}: {a} bytes, emulator {b}\n");
        }
        let unequal = kernel.iter().zip(emulator).enumerate();
        for (at, (a, b)) in unequal.filter(|(_, (a, b))| a != b).take(16) {
            text += &format!("{name} byte {at}: {a:#04x}, emulator {b:#04x}\n");
        }
    }
    if text.is_empty() { Ok(()) } else { Err(text) }
}
