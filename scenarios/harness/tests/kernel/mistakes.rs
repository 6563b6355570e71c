//! Plans that cannot be.

use twinpath::kernel::Error;
use twinpath::plan::HookKind::{TcIngress, Xdp};
use twinpath::plan::{Ifindex, NodeName, ObjectName, StimulusKind};

use crate::needs_kernel;
use crate::support::*;

#[test]
fn a_refused_program_shows_the_end_of_the_log() {
    needs_kernel!();
    let error = refuse(&plan().attach("unchecked", "a", Xdp));
    let text = error.to_string();
    assert!(
        text.starts_with("load program `unchecked` of hooks.bpf.o: Permission denied"),
        "{text}"
    );
    assert!(
        text.contains("R1 invalid mem access 'scalar'")
            || text.contains("invalid access to packet"),
        "{text}"
    );
    assert!(text.lines().count() <= 22, "{text}");
    assert!(
        error
            .verifier_log()
            .expect("there is one")
            .contains("; return *(__u8 *)(long)ctx->data"),
        "{text}"
    );
}

#[test]
fn unknown_names_show_what_there_is() {
    needs_kernel!();
    let frame = Order::just(0).frame(60);
    let mut no_object = plan().attach("entry", "a", Xdp);
    no_object.nodes[0].objects[0].name = ObjectName::new("other");
    let mut no_node = plan().frame("a", frame.clone());
    let StimulusKind::Frame { node, .. } = &mut no_node.stimuli[0].kind else {
        panic!("a frame");
    };
    *node = NodeName::new("m");
    let cases = [
        (
            plan().attach("entrance", "a", Xdp),
            "find program `entrance` in hooks.bpf.o: it has `deep`, `entry`, `from_device`, `outer`, `second`, `timed`, `to_device`, `unchecked`",
        ),
        (
            plan().write("lengths", &[], &[]),
            "find map `lengths` in hooks.bpf.o: it has `.bss`, `.rodata`, `by_device_of_the_frame`, `by_length`, `by_verdict`, `clock`, `percpu_hash`, `perf`, `pinned`, `prefixes`, `recent`, `ring`",
        ),
        (
            plan().attach("entry", "c", Xdp),
            "find device `c` on node `node`",
        ),
        (plan().frame("c", frame), "find device `c` on node `node`"),
        (no_object, "find object `hooks` on node `node`"),
        (no_node, "find node `m` in the plan"),
    ];
    for (plan, expected) in cases {
        assert_eq!(refuse(&plan).to_string(), expected);
    }
}

#[test]
fn sizes_must_fit() {
    needs_kernel!();
    let cases = [
        (
            plan().write("by_length", &[0; 8], &[0; 8]),
            "write map `by_length`: the key has 8 bytes, the map's have 4",
        ),
        (
            plan().write("by_verdict", &[0; 4], &[0; 3]),
            "write map `by_verdict`: the value has 3 bytes, the map's have 4",
        ),
        (
            plan().frame("a", vec![0; 13]),
            "let packet 1 arrive at `a` of `node`: a frame of 13 bytes, the device takes 14 to 1514",
        ),
        (
            plan().frame("a", vec![0; 1515]),
            "let packet 1 arrive at `a` of `node`: a frame of 1515 bytes, the device takes 14 to 1514",
        ),
        (
            plan().write("ring", &[], &[]),
            "write map `ring`: maps of type 27 are not written by value",
        ),
    ];
    for (plan, expected) in cases {
        assert_eq!(refuse(&plan).to_string(), expected);
    }
}

#[test]
fn globals_must_be_there_and_fit() {
    needs_kernel!();
    for (name, value, expected) in [
        ("no_such", vec![0; 4], "no_such"),
        ("offset_of_count", vec![0; 8], "offset_of_count"),
    ] {
        let mut plan = plan();
        plan.nodes[0].objects[0]
            .globals
            .insert(name.to_owned(), value);
        let error = refuse(&plan);
        assert!(matches!(error, Error::Load { .. }), "{error}");
        assert!(error.to_string().contains(expected), "{error}");
    }
}

#[test]
fn what_is_no_object_is_refused() {
    needs_kernel!();
    for bytes in [
        &b""[..],
        b"nonsense",
        &OBJECT[..200],
        &OBJECT[..OBJECT.len() / 2],
    ] {
        let mut plan = plan();
        plan.nodes[0].objects = vec![object(bytes)];
        let error = refuse(&plan);
        assert!(
            error.to_string().starts_with("load hooks.bpf.o: "),
            "{error}"
        );
    }
}

#[test]
fn programs_must_fit_their_hooks() {
    needs_kernel!();
    let error = refuse(&plan().attach("entry", "a", TcIngress));
    assert_eq!(
        error.to_string(),
        "attach program `entry` at a tc-ingress: it is of type xdp"
    );
    let mut strange = plan().attach("strange", "a", Xdp);
    strange.nodes[0].objects = vec![object(PLAIN)];
    let error = refuse(&strange);
    assert!(
        error.to_string().contains("section `no_such_type`"),
        "{error}"
    );
}

#[test]
fn devices_must_be_possible() {
    needs_kernel!();
    let mut loopback = plan();
    loopback.nodes[0].devices[0].ifindex = Ifindex::new(1).unwrap();
    let text = refuse(&loopback).to_string();
    assert!(
        text.starts_with("give device `a` the interface index 1"),
        "{text}"
    );
    let mut twice = plan();
    twice.nodes[0].devices[1].ifindex = Ifindex::new(5).unwrap();
    let text = refuse(&twice).to_string();
    assert_eq!(text, "give device `b` the interface index 5: `a` has it");
    let mut large = plan().attach("entry", "a", Xdp);
    large.nodes[0].devices[0].mtu = 9000;
    let text = refuse(&large).to_string();
    assert!(
        text.starts_with("attach program `entry` at a xdp: "),
        "{text}"
    );
}
