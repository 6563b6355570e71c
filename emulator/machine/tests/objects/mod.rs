//! The compiled objects of this folder, loaded into machines of their own.
#![allow(dead_code, reason = "each test uses a part of it")]
#![allow(clippy::unwrap_used, reason = "helpers of tests fail by panicking too")]

use twinpath_machine::engine::{Checked, Context, Engine, Invocation};
use twinpath_machine::memory::{Field, Layout, Widths};
use twinpath_machine::{
    Alone, Cpu, Environment, LoadOptions, Loaded, Machine, MachineOptions, Object,
};

/// The bytes of an object.
pub fn bytes(name: &str) -> Vec<u8> {
    let path = format!("{}/tests/objects/{name}.bpf.o", env!("CARGO_MANIFEST_DIR"));
    std::fs::read(&path).unwrap()
}

/// An object.
pub fn object(name: &str) -> Object {
    Object::parse(&bytes(name)).unwrap()
}

/// A machine with an object in it.
pub struct Test {
    pub machine: Machine,
    pub object: Object,
    pub loaded: Loaded,
    /// What r1 points to.
    pub context: Vec<u8>,
    /// Whether it is a context, which tail calls need, or plain memory.
    pub is_context: bool,
    address: u32,
}

/// A context whose bytes a program may access as it likes.
static CONTEXT: Layout = Layout {
    name: "context",
    size: 256,
    fields: &[Field::plain(
        "bytes",
        0,
        256,
        Widths::UP_TO_8,
        Widths::UP_TO_8,
    )],
};

pub fn machine() -> Machine {
    let options = MachineOptions {
        memory: 1 << 24,
        cpus: 3,
        ..Default::default()
    };
    Machine::new(options).unwrap()
}

impl Test {
    pub fn load(name: &str, options: LoadOptions) -> Self {
        Self::load_in(name, options, &Alone)
    }

    pub fn load_in(name: &str, options: LoadOptions, environment: &dyn Environment) -> Self {
        Self::load_into(machine(), name, options, environment)
    }

    pub fn load_into(
        mut machine: Machine,
        name: &str,
        options: LoadOptions,
        environment: &dyn Environment,
    ) -> Self {
        let object = object(name);
        let loaded = machine.load(&object, &options, environment);
        let loaded = loaded.unwrap_or_else(|error| panic!("{name}: {error}"));
        let address = machine.memory.allocate(256).unwrap();
        Self {
            machine,
            object,
            loaded,
            context: vec![0; 256],
            is_context: false,
            address,
        }
    }

    /// Why an object is not loaded.
    pub fn refused(name: &str, options: LoadOptions) -> String {
        let error = machine().load(&object(name), &options, &Alone);
        error.unwrap_err().to_string()
    }

    fn try_run(&mut self, program: &str, environment: &mut dyn Environment) -> Result<i64, String> {
        let len = self.context.len() as u32;
        let memory = self.machine.memory.raw_mut(self.address, len);
        memory.copy_from_slice(&self.context);
        let invocation = Invocation {
            program: self.loaded.programs[program],
            cpu: Cpu(0),
            context: match self.is_context {
                true => Context::Struct(self.address, &CONTEXT),
                false => Context::Memory(self.address, len),
            },
            packet: None,
            bound: &[],
        };
        let outcome = Checked::default().run(&mut self.machine, environment, &invocation);
        let outcome = outcome.map_err(|fault| fault.kind.to_string())?;
        Ok(outcome.result as i64)
    }

    /// What a program returns.
    pub fn run(&mut self, program: &str) -> i64 {
        self.run_in(program, &mut Alone)
    }

    pub fn run_in(&mut self, program: &str, environment: &mut dyn Environment) -> i64 {
        self.try_run(program, environment).unwrap()
    }

    /// Why a program does not end well.
    pub fn fails(&mut self, program: &str) -> String {
        self.try_run(program, &mut Alone).unwrap_err()
    }

    /// The context after a run.
    pub fn memory(&self) -> &[u8] {
        self.machine
            .memory
            .raw(self.address, self.context.len() as u32)
    }

    /// The bytes of a global variable.
    pub fn global(&self, name: &str) -> Vec<u8> {
        let mut globals = self.object.globals().iter();
        let global = globals.find(|global| global.name == name).unwrap();
        let map = &self.machine.maps[self.loaded.maps[&global.section]];
        let value = map.user_lookup(&self.machine.memory, &[0; 4]).unwrap();
        let start = global.offset as usize;
        value[start..start + global.size as usize].to_vec()
    }
}
