//! Objects from clang, loaded and run.

use std::collections::BTreeMap;

use twinpath_machine::engine::{Checked, Context, Engine, Invocation};
use twinpath_machine::{Alone, Cpu, Fault, LoadOptions, Loaded, Machine, MachineOptions, Object};

fn object(name: &str) -> Object {
    let path = format!("{}/tests/objects/{name}.bpf.o", env!("CARGO_MANIFEST_DIR"));
    Object::parse(&std::fs::read(&path).unwrap()).unwrap()
}

fn machine() -> Machine {
    Machine::new(MachineOptions {
        memory: 1 << 24,
        ..Default::default()
    })
    .unwrap()
}

fn run(machine: &mut Machine, loaded: &Loaded, program: &str) -> Result<i32, Box<Fault>> {
    let address = machine.memory.allocate(256).unwrap();
    let invocation = Invocation {
        program: loaded.programs[program],
        cpu: Cpu(0),
        context: Context::Memory(address, 256),
        packet: None,
        bound: &[],
    };
    let outcome = Checked::default().run(machine, &mut Alone, &invocation)?;
    Ok(outcome.result as i32)
}

#[test]
fn first() {
    let object = object("first");
    let mut machine = machine();
    let loaded = machine
        .load(&object, &LoadOptions::default(), &Alone)
        .unwrap();
    // twice(40) = 80 + hidden 4; counter 6; 1 + 7 + 9.
    assert_eq!(run(&mut machine, &loaded, "entry").unwrap(), 84 + 6 + 17);
    assert_eq!(run(&mut machine, &loaded, "entry").unwrap(), 85 + 7 + 17);
    let options = LoadOptions {
        globals: BTreeMap::from([("config_base".to_owned(), 1i32.to_le_bytes().to_vec())]),
        ..Default::default()
    };
    let loaded = machine.load(&object, &options, &Alone).unwrap();
    assert_eq!(run(&mut machine, &loaded, "entry").unwrap(), 6 + 6 + 17);
}
