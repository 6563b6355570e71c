//! What the emulator does not have of sockets, and says by name before anything runs.

use std::collections::BTreeSet;

use twinpath_machine::engine::Checked;
use twinpath_machine::isa::{EXIT, Insn};
use twinpath_machine::{
    AttachType, LoadOptions, MachineOptions, Object, Program, ProgramType, SocketId, TargetBtf,
};
use twinpath_node::{
    AttachMode, CgroupId, Family, Helpers, Protocol, Shutdown, SocketCalls, SocketError, Task,
    World,
};

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

/// The ends of a connection: who connected, who was accepted, and who listens with one more connection waiting.
struct Ends {
    active: SocketId,
    passive: SocketId,
    listener: SocketId,
}

fn connected(calls: &mut SocketCalls<'_>, task: Task) -> Result<Ends, SocketError> {
    let address = "127.0.0.1:80".parse().unwrap();
    let listener = calls.open(task, Family::V4, Protocol::Tcp)?;
    calls.bind(listener, address)?;
    calls.listen(listener, 2)?;
    let mut actives = Vec::new();
    for _ in 0..2 {
        let active = calls.open(task, Family::V4, Protocol::Tcp)?;
        calls.connect(active, address)?;
        actives.push(active);
    }
    let passive = calls.accept(listener)?;
    Ok(Ends {
        active: actives[0],
        passive,
        listener,
    })
}

/// Segments are not made: what would send one says so where a program would meet it, though the program came
/// after the connection. Nothing has changed then.
#[test]
fn segments_of_tcp() {
    type Call = fn(&mut SocketCalls<'_>, &Ends) -> Result<(), SocketError>;
    let calls: [(&str, Call); 7] = [
        ("write", |calls, ends| calls.write(ends.active, b"x")),
        ("shutdown", |calls, ends| {
            calls.shutdown(ends.active, Shutdown::Send)
        }),
        ("shutdown both", |calls, ends| {
            calls.shutdown(ends.passive, Shutdown::Both)
        }),
        ("disconnect", |calls, ends| calls.disconnect(ends.passive)),
        ("close", |calls, ends| calls.close(ends.active)),
        ("close the other", |calls, ends| calls.close(ends.passive)),
        ("close the listener", |calls, ends| {
            calls.close(ends.listener)
        }),
    ];
    let task = |world: &mut World| Task {
        node: world.add_node(),
        cgroup: world.add_cgroup(CgroupId::ROOT).unwrap(),
        uid: 0,
        privileged: true,
    };
    let exit = Insn {
        code: EXIT,
        ..Insn::default()
    };
    for (name, call) in calls {
        for hook in [AttachType::CgroupInetEgress, AttachType::CgroupInetIngress] {
            let mut world = world();
            let task = task(&mut world);
            let ends = connected(&mut world.sockets(), task).unwrap();
            let program =
                Program::bare("late", ProgramType::CgroupSkb, vec![exit], &|_, _, _| None);
            let program = world.machine.add_program(program.unwrap());
            let attached = world.attach_cgroup(task.cgroup, hook, program, AttachMode::Multi);
            attached.unwrap();
            let refused = call(&mut world.sockets(), &ends).unwrap_err();
            let text = match refused {
                SocketError::Fault(fault) => fault.kind.to_string(),
                other => panic!("{name}: {other}"),
            };
            let want = "a cgroup/skb program at a segment of TCP";
            assert!(text.contains(want), "{name}: {text}");
            // What reads alone goes on.
            let mut calls = world.sockets();
            calls.shutdown(ends.active, Shutdown::Receive).unwrap();
            assert!(world.detach_cgroup(task.cgroup, hook, program));
            let done = call(&mut world.sockets(), &ends);
            done.unwrap_or_else(|error| panic!("{name}: {error}"));
        }
    }
}
