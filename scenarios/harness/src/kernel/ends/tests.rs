//! Small accounts of what was observed, and the ends that are told from them.

use super::*;
use crate::recording::Metadata;
use HookKind::{TcEgress, TcIngress, Xdp};
use twinpath_node::{EtherType, Vlan};

fn node() -> NodeName {
    NodeName::new("n")
}

/// A node with the devices `a`, `b` and `c`, whose far ends are the harness.
fn plan() -> Plan {
    let device = |(name, index)| {
        let index = crate::plan::Ifindex::new(index).expect("not zero");
        crate::plan::DevicePlan::veth(DeviceName::new(name), index, crate::plan::Mac([0; 6]))
    };
    Plan {
        name: "ends".to_owned(),
        nodes: vec![crate::plan::NodePlan {
            devices: [("a", 10), ("b", 11), ("c", 12)].map(device).into(),
            ..crate::plan::NodePlan::bare(node())
        }],
        wires: Vec::new(),
        segments: Vec::new(),
        responders: BTreeMap::new(),
        stimuli: Vec::new(),
        seed: 0,
    }
}

fn hook(device: &str, kind: HookKind) -> Hook {
    Hook {
        device: DeviceName::new(device),
        kind,
    }
}

fn frame(device: &str, bytes: &[u8]) -> Frame {
    Frame {
        node: node(),
        device: DeviceName::new(device),
        bytes: bytes.to_vec(),
        tagged: false,
    }
}

/// A program's return; the digits of `filter` tell the programs of one hook apart.
fn returned(device: &str, kind: HookKind, filter: usize, code: i32, packet: &[u8]) -> Seen {
    Seen::Returned(Returned {
        node: node(),
        hook: hook(device, kind),
        program: format!("p{filter}"),
        filter,
        runs: 0..0,
        code,
        found: packet.to_vec(),
        packet: packet.to_vec(),
        metadata: Metadata::default(),
    })
}

fn arrived(device: &str, bytes: &[u8]) -> Seen {
    Seen::Arrived(frame(device, bytes))
}

fn show(end: &End) -> String {
    match end {
        End::Left { device, bytes, .. } => format!("left {device} {bytes:?}"),
        End::Stack { device, bytes, .. } => format!("stack {device} {bytes:?}"),
        End::Dropped { hook, .. } => format!("dropped {hook}"),
    }
}

fn ends_of(seen: Vec<Seen>, taken_in: Vec<Frame>, untapped: &[Hook]) -> Vec<String> {
    let mut seen = seen;
    let mut number = 0;
    for seen in &mut seen {
        if let Seen::Returned(returned) = seen {
            returned.runs = number..number + 1;
            number += 1;
        }
    }
    let observations = Observations {
        seen,
        taken_in,
        ..Observations::default()
    };
    let blind = untapped.iter().map(|hook| (node(), hook.clone())).collect();
    let plan = plan();
    let Ends { mut ends, intakes } = ends(&plan, &observations, Some(&frame("a", b"1")), &blind);
    crate::stack::add_ends(&plan, intakes, &mut ends);
    ends.iter().map(show).collect()
}

#[test]
fn a_frame_that_two_redirects_could_have_sent_accounts_for_one() {
    let redirect = |device| returned(device, Xdp, 0, 4, b"1");
    let seen = vec![redirect("a"), redirect("c"), arrived("b", b"1")];
    assert_eq!(ends_of(seen, vec![], &[]), ["left b [49]", "dropped a xdp"]);
}

#[test]
fn what_a_program_passes_and_the_kernel_drops_is_dropped() {
    let passed = returned("a", Xdp, 0, 2, b"1");
    assert_eq!(ends_of(vec![passed], vec![], &[]), ["dropped a xdp"]);
    let sent = returned("b", TcEgress, 0, 0, b"1");
    assert_eq!(ends_of(vec![sent], vec![], &[]), ["dropped b tc-egress"]);
    let sent_back = returned("a", Xdp, 0, 3, b"1");
    let elsewhere = arrived("b", b"1");
    let ends = ends_of(vec![sent_back, elsewhere], vec![], &[]);
    assert_eq!(ends, ["left b [49]", "dropped a xdp"]);
}

#[test]
fn a_second_round_through_a_hook_is_a_second_passage() {
    // In by `a`, redirected to the receiving side of `a`, where the second filter ends it.
    let seen = vec![
        returned("a", TcIngress, 0, -1, b"1"),
        returned("a", TcIngress, 1, 7, b"1"),
        returned("a", TcIngress, 0, -1, b"1"),
        returned("a", TcIngress, 1, 0, b"1"),
    ];
    let ends = ends_of(seen, vec![frame("a", b"1"), frame("a", b"1")], &[]);
    assert_eq!(ends, ["stack a [49]"]);
}

#[test]
fn a_copy_that_an_egress_hook_changed_still_accounts_for_its_redirect() {
    let Seen::Returned(mut changed) = returned("b", TcEgress, 1, 0, b"22") else {
        unreachable!();
    };
    changed.found = b"1".to_vec();
    let seen = vec![
        returned("a", TcIngress, 0, 7, b"1"),
        Seen::Returned(changed),
        arrived("b", b"22"),
    ];
    assert_eq!(
        ends_of(seen, vec![frame("a", b"1")], &[]),
        ["left b [50, 50]"]
    );
}

#[test]
fn where_nobody_looks_nothing_is_claimed() {
    let taken_in = || vec![frame("a", b"1")];
    let ingress = [hook("a", TcIngress)];
    assert!(ends_of(vec![], taken_in(), &ingress).is_empty());
    assert_eq!(
        ends_of(vec![arrived("b", b"1")], taken_in(), &ingress),
        ["left b [49]"]
    );
    assert_eq!(
        ends_of(vec![], taken_in(), &[hook("a", Xdp)]),
        ["stack a [49]"]
    );
    assert_eq!(
        ends_of(vec![], vec![], &[hook("a", Xdp)]),
        ["dropped a xdp"]
    );
    assert!(ends_of(vec![], vec![], &[]).is_empty());
}

#[test]
fn tags_count() {
    let Seen::Returned(mut tagged) = returned("a", Xdp, 0, 2, b"aaaaaabbbbbbcc") else {
        unreachable!();
    };
    tagged.metadata.vlan = Some(Vlan {
        protocol: EtherType::VLAN,
        tci: 1,
    });
    let wire = b"aaaaaabbbbbb\x81\0\0\x01cc";
    let ends = ends_of(vec![Seen::Returned(tagged)], vec![frame("a", wire)], &[]);
    assert_eq!(
        ends,
        [show(
            &intake(&node(), &DeviceName::new("a"), wire.to_vec()).into()
        )]
    );
}
