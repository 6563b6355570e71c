//! One plan, three arms: programs and their maps in the kernel, on the checked engine and on rbpf.

use std::collections::BTreeMap;
use std::os::fd::AsRawFd;

use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed, TestCaseError, TestRunner};
use twinpath_bpf::{Map as KernelMap, MapShape, Program as KernelProgram, TestInput};
use twinpath_machine::engine::{Checked, Context, Engine, Invocation, Rbpf};
use twinpath_machine::isa::{Insn, LD_IMM64, pseudo};
use twinpath_machine::memory::Layout;
use twinpath_machine::{
    Alone, Cpu, Machine, MachineOptions, Map, MapDef, MapType, Placement, Program, ProgramType,
};

use super::kernel;

/// Programs with the maps that they share. The first one runs.
#[derive(Clone)]
pub struct Plan {
    /// Instructions refer to maps by their place here.
    pub maps: Vec<MapDef>,
    /// What stands in the maps before the run; each CPU's value of per-CPU maps.
    pub contents: Vec<(usize, Vec<u8>, Vec<u8>)>,
    pub programs: Vec<Vec<Insn>>,
    /// The second map is an array of programs, in which these stand.
    pub entries: Vec<(u32, usize)>,
}

/// What a run left.
#[derive(Debug, PartialEq, Eq)]
pub struct Left {
    pub code: u32,
    /// Keys and values, but of arrays of programs.
    pub maps: Vec<BTreeMap<Vec<u8>, Vec<u8>>>,
}

const PACKET: [u8; 64] = [0; 64];

/// The instructions with references to maps as one arm wants them.
fn refer(insns: &[Insn], reference: impl Fn(usize) -> i32) -> Vec<Insn> {
    let mut insns = insns.to_vec();
    for insn in &mut insns {
        if insn.code == LD_IMM64 && insn.src == pseudo::MAP_FD {
            insn.imm = reference(insn.imm as usize);
        }
    }
    insns
}

fn holds_bytes(def: &MapDef) -> bool {
    def.kind != MapType::ProgArray
}

/// The bytes that user space writes for a value: one for each CPU of a per-CPU map.
fn stored(def: &MapDef, value: &[u8], cpus: u32) -> Vec<u8> {
    match def.kind.is_per_cpu() {
        true => value.repeat(cpus as usize),
        false => value.to_vec(),
    }
}

pub fn shape(def: &MapDef) -> MapShape {
    MapShape {
        kind: def.kind as u32,
        key_size: def.key_size,
        value_size: def.value_size,
        max_entries: def.max_entries,
        flags: def.flags.0,
    }
}

impl Plan {
    /// Runs the plan in the kernel.
    pub fn in_kernel(&self) -> Result<Left, String> {
        let create = |def| KernelMap::create("test", shape(def)).expect("a map");
        let maps: Vec<KernelMap> = self.maps.iter().map(create).collect();
        let cpus = twinpath_bpf::possible_cpus().expect("CPUs");
        for (map, key, value) in &self.contents {
            let value = stored(&self.maps[*map], value, cpus);
            maps[*map].update(key, &value, 0).expect("fill a map");
        }
        let mut programs: Vec<KernelProgram> = Vec::new();
        for insns in &self.programs {
            let insns = refer(insns, |map| maps[map].as_raw_fd());
            programs.push(kernel::load(ProgramType::SchedCls, 0, &insns)?);
        }
        for (slot, program) in &self.entries {
            let fd = programs[*program].as_raw_fd() as u32;
            let set = maps[1].update(&slot.to_ne_bytes(), &fd.to_ne_bytes(), 0);
            set.map_err(|error| format!("put program {program} into the array: {error}"))?;
        }
        twinpath_bpf::run_on(0).expect("CPU 0");
        let run = programs[0].test_run(TestInput::packet(&PACKET));
        let code = run.expect("a run").code as u32;
        let read = |(map, def): (&KernelMap, &MapDef)| match holds_bytes(def) {
            false => BTreeMap::new(),
            true => {
                let keys = map.keys().expect("keys").into_iter();
                let value = |key: &[u8]| map.lookup(key).expect("a value").expect("a value");
                keys.map(|key| (key.clone(), value(&key))).collect()
            }
        };
        let maps = maps.iter().zip(&self.maps).map(read).collect();
        Ok(Left { code, maps })
    }

    /// Runs the plan on an engine.
    pub fn on(&self, engine: &mut dyn Engine, placement: Placement) -> Result<Left, String> {
        let cpus = twinpath_bpf::possible_cpus().expect("CPUs");
        let mut machine = Machine::new(MachineOptions {
            placement,
            memory: 1 << 22,
            cpus,
            ..MachineOptions::default()
        })
        .expect("memory");
        let mut ids = Vec::new();
        for def in &self.maps {
            let map = Map::new(def.clone(), &mut machine.memory, cpus).expect("a map");
            ids.push(machine.maps.push(map));
        }
        for (map, key, value) in &self.contents {
            let value = stored(&self.maps[*map], value, cpus);
            let map = &mut machine.maps[ids[*map]];
            let set = map.user_update(&mut machine.memory, key, &value, 0);
            set.expect("fill a map");
        }
        let mut programs = Vec::new();
        for insns in &self.programs {
            let insns = refer(insns, |map| ids[map].0 as i32);
            let program = Program::bare("test", ProgramType::SchedCls, insns, &|_, _, _| None);
            let program = program.map_err(|errors| format!("{errors:?}"))?;
            programs.push(machine.add_program(program));
        }
        for (slot, program) in &self.entries {
            let set = machine.maps[ids[1]].set_program(*slot, Some(programs[*program]));
            set.expect("put a program into the array");
        }
        static CONTEXT: Layout = Layout {
            name: "__sk_buff",
            size: 192,
            fields: &[],
        };
        let context = machine.memory.allocate(192).expect("room");
        let invocation = Invocation {
            program: programs[0],
            cpu: Cpu(0),
            context: Context::Struct(context, &CONTEXT),
            packet: None,
            bound: &[],
        };
        let run = engine.run(&mut machine, &mut Alone, &invocation);
        let code = run.map_err(|fault| format!("{}: {}", engine.name(), fault.kind))?;
        let mut maps = Vec::new();
        for (def, id) in self.maps.iter().zip(ids) {
            let map = &mut machine.maps[id];
            let mut read = BTreeMap::new();
            let mut last: Option<Vec<u8>> = None;
            while holds_bytes(def)
                && let Ok(key) = map.next_key(last.as_deref())
            {
                let value = map.user_lookup(&machine.memory, &key).expect("a value");
                read.insert(key.clone(), value);
                last = Some(key);
            }
            maps.push(read);
        }
        let code = code.result as u32;
        Ok(Left { code, maps })
    }

    /// Runs the plan everywhere. False where the verifier finds it too complex, of which nothing is learnt.
    pub fn compare(&self) -> Result<bool, TestCaseError> {
        let kernel = match self.in_kernel() {
            Ok(left) => left,
            Err(refusal) if refusal.contains("(os error 7)") => return Ok(false),
            Err(refusal) => return Err(TestCaseError::fail(format!("the kernel: {refusal}"))),
        };
        // The kernel has no budget.
        let (mut checked, mut rbpf) = (Checked::default(), Rbpf::default());
        (checked.budget, rbpf.budget) = (u64::MAX, u64::MAX);
        let checked = self.on(&mut checked, Placement::Anywhere);
        let rbpf = self.on(&mut rbpf, Placement::Identity);
        for (name, found) in [("checked", checked), ("rbpf", rbpf)] {
            let found = found.map_err(TestCaseError::fail)?;
            prop_assert_eq!(kernel.code, found.code, "what {} returns", name);
            for (number, (kernel, found)) in kernel.maps.iter().zip(&found.maps).enumerate() {
                prop_assert_eq!(kernel, found, "map {} of {}", number, name);
            }
        }
        Ok(true)
    }
}

fn number(variable: &str, otherwise: u64) -> u64 {
    match std::env::var(variable) {
        Ok(text) => text.parse().expect("a number"),
        Err(_) => otherwise,
    }
}

/// Holds random plans equal on all arms.
pub fn hold_equal<S: Strategy>(name: &str, strategy: S, plan: impl Fn(&S::Value) -> Plan) {
    if let Some(reason) = twinpath_bpf::missing() {
        eprintln!("{name}: skipped, {reason}");
        return;
    }
    twinpath_bpf::one_process_at_a_time();
    let config = Config {
        cases: number("TWINPATH_CASES", 200) as u32,
        rng_seed: RngSeed::Fixed(number("TWINPATH_SEED", 1)),
        failure_persistence: None,
        max_shrink_iters: 2000,
        ..Config::default()
    };
    let (cases, seed) = (config.cases, config.rng_seed);
    let complex = std::cell::Cell::new(0);
    let result = TestRunner::new(config).run(&strategy, |case| {
        if !plan(&case).compare()? {
            complex.set(complex.get() + 1);
        }
        Ok(())
    });
    let complex = complex.get();
    eprintln!("{name}: {cases} cases, {complex} too complex for the verifier, {seed}");
    if let Err(error) = result {
        panic!("{name}: {error}");
    }
}

/// Holds one plan equal on all arms.
pub fn equal(name: &str, plan: &Plan) {
    if let Some(reason) = twinpath_bpf::missing() {
        eprintln!("{name}: skipped, {reason}");
        return;
    }
    let compared = plan.compare();
    assert!(compared.unwrap_or_else(|error| panic!("{name}: {error}")));
}
