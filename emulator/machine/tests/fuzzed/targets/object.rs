//! Bytes as an object file: parsed, loaded into a machine whose environment has every helper, and run.

use std::sync::{Arc, OnceLock};

use twinpath_machine::engine::Context;
use twinpath_machine::isa::disassemble;
use twinpath_machine::object::btf::Btf;
use twinpath_machine::{
    Call, Checked, Environment, HelperId, LoadOptions, Machine, Object, ProgramId, ProgramType,
    TargetBtf,
};

/// Instructions of each program's run.
const BUDGET: u64 = 1000;
/// Bytes that r1 points to.
const CONTEXT: u32 = 256;

/// Has each helper, all of which return 0.
struct Everything;

impl Environment for Everything {
    fn provides(&self, _: HelperId, _: ProgramType) -> bool {
        true
    }

    fn helper(&mut self, _: &mut Call<'_>) -> Checked<u64> {
        Ok(0)
    }
}

/// Types for relocations to adapt programs to.
fn target() -> Arc<Btf> {
    static TARGET: OnceLock<Arc<Btf>> = OnceLock::new();
    let read = || {
        let bytes = include_bytes!("../../objects/core_target.bpf.o");
        let object = Object::parse(bytes).expect("it is an object");
        Arc::new(object.btf().expect("it has types").clone())
    };
    TARGET.get_or_init(read).clone()
}

/// Parses, loads and runs an object.
pub fn object(bytes: &[u8]) {
    match Object::parse(bytes) {
        Ok(object) => load(&object, TargetBtf::Given(target())),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

/// Loads an object and runs its programs.
pub(super) fn load(object: &Object, btf: TargetBtf) {
    let mut machine = super::machine();
    let options = LoadOptions {
        btf,
        ..Default::default()
    };
    match machine.load(object, &options, &Everything) {
        Ok(loaded) => {
            for id in loaded.programs.values() {
                run(&mut machine, *id);
            }
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

fn run(machine: &mut Machine, id: ProgramId) {
    let program = machine.program(id).expect("it is loaded").clone();
    for (slot, insn) in program.insns.iter().enumerate() {
        disassemble(*insn, program.insns.get(slot + 1).copied());
        program.line_at(slot as u32);
        program.function_at(slot as u32);
    }
    if let Ok(address) = machine.memory.allocate(u64::from(CONTEXT)) {
        let context = Context::Memory(address, CONTEXT);
        super::run(machine, &mut Everything, id, context, BUDGET);
    }
}
