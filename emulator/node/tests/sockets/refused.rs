//! What the emulator does not have of sockets, and says by name before anything runs.

use std::collections::BTreeSet;

use twinpath_machine::engine::Checked;
use twinpath_machine::{AttachType, LoadOptions, MachineOptions, Object, TargetBtf};
use twinpath_node::{AttachMode, CgroupId, Helpers, World};

fn world() -> World {
    World::new(
        MachineOptions::default(),
        Box::new(|| Box::<Checked>::default()),
    )
    .unwrap()
}

fn object(name: &str) -> Object {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../machine/tests/objects");
    Object::parse(&std::fs::read(format!("{folder}/{name}.bpf.o")).unwrap()).unwrap()
}

fn only(program: &str) -> LoadOptions {
    LoadOptions {
        programs: Some(BTreeSet::from([program.to_owned()])),
        btf: TargetBtf::Own,
        ..LoadOptions::default()
    }
}

/// Programs that are not loaded: for each what is said, with the line of the source.
#[test]
fn at_load() {
    let cases = [
        ("unhooked", "redirects", "helper bpf_sk_redirect_map"),
        ("unhooked", "message", "helper bpf_msg_redirect_map"),
        ("opaque", "reads", "from helper bpf_skc_to_tcp_sock"),
        ("opaque", "carries", "from helper bpf_skc_to_udp6_sock"),
    ];
    for (name, program, what) in cases {
        let refused = world()
            .machine
            .load(&object(name), &only(program), &Helpers);
        let text = refused.unwrap_err().to_string();
        for part in [
            &format!("program {program}: "),
            what,
            &format!("{name}.bpf.c:"),
        ] {
            assert!(text.contains(part), "{program}: no {part} in: {text}");
        }
    }
    for program in ["uses", "forgets"] {
        let loaded = world()
            .machine
            .load(&object("opaque"), &only(program), &Helpers);
        assert!(loaded.is_ok(), "{program}: {}", loaded.unwrap_err());
    }
}

/// Programs whose hooks the emulator does not have: for each what is said when it is attached.
#[test]
fn at_attach() {
    use AttachType as A;
    let cases = [("gets", A::CgroupGetsockopt), ("sets", A::CgroupSetsockopt)];
    for (program, hook) in cases {
        let mut world = world();
        let object = object("unhooked");
        let loaded = world.machine.load(&object, &only(program), &Helpers);
        let id = loaded.unwrap().programs[program];
        let refused = world.attach_cgroup(CgroupId::ROOT, hook, id, AttachMode::Multi);
        let text = refused.unwrap_err().to_string();
        for part in [program, hook.name(), "the emulator does not support"] {
            assert!(text.contains(part), "{program}: no {part} in: {text}");
        }
    }
}
