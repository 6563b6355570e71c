//! The kernel and the emulator, side by side.

use twinpath_machine::engine::Checked;
use twinpath_machine::maps::Value;
use twinpath_machine::{
    Cpu, Machine, MachineOptions, Map, MapDef, MapId, MapType, Program, ProgramId,
};
use twinpath_node::{NodeId, TestRun, TestRunError, World};

use super::case::{BUFFERS, Case, Input, SPACE};
use super::kernel::{Array, KernelProgram, Output};
use super::network;

/// What one side left.
#[derive(Clone, PartialEq, Eq)]
pub struct Left {
    pub output: Output,
    pub space: Vec<u8>,
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
        network::build(&mut world, node);
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
        program: ProgramId,
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
