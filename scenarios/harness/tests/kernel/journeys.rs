//! What is recorded of a frame's way, apart from what hooks make of it.

use twinpath::plan::HookKind::{TcIngress, Xdp};
use twinpath::plan::StimulusKind;

use crate::needs_kernel;
use crate::support::*;

#[test]
fn without_programs_the_stack_has_it() {
    needs_kernel!();
    let frame = Order::just(0).frame(60);
    let recording = run(&plan().frame("a", frame.clone()));
    assert_eq!(recording.journeys[0].ends, [stack("a", &frame)]);
    assert!(recording.journeys[0].hops.is_empty());
}

#[test]
fn frames_of_all_lengths_are_whole() {
    needs_kernel!();
    for (mtu, kind, lengths) in [
        (1500, Xdp, &[18, 59, 60, 64, 1000, 1514][..]),
        (9000, TcIngress, &[18, 1514, 4096, 9014]),
        (65535, TcIngress, &[9014, 65000]),
    ] {
        let program = if kind == Xdp { "entry" } else { "from_device" };
        let verdict = if kind == Xdp { 3 } else { 0 };
        let mut plan = plan().attach(program, "a", kind);
        plan.nodes[0].devices[0].mtu = mtu;
        let frames: Vec<_> = lengths
            .iter()
            .map(|length| Order::just(verdict).frame(*length))
            .collect();
        let plan = frames
            .iter()
            .fold(plan, |plan, frame| plan.frame("a", frame.clone()));
        for (journey, frame) in run(&plan).journeys.iter().zip(&frames) {
            assert_eq!(journey.hops[0].bytes, *frame);
            let end = if kind == Xdp {
                left("a", frame)
            } else {
                stack("a", frame)
            };
            assert_eq!(journey.ends, [end]);
        }
    }
}

#[test]
fn a_header_alone_is_a_frame() {
    needs_kernel!();
    let frame = Order::just(0).frame(0)[..14].to_vec();
    let recording = run(&plan().attach("entry", "a", Xdp).frame("a", frame.clone()));
    assert_eq!(hops(&recording.journeys[0]), ["a xdp entry XDP_PASS"]);
    assert_eq!(recording.journeys[0].ends, [stack("a", &frame)]);
}

#[test]
fn nodes_are_apart() {
    needs_kernel!();
    let mut plan = plan().attach("entry", "a", Xdp);
    let mut other = plan.nodes[0].clone();
    other.name = twinpath::plan::NodeName::new("other");
    other.attachments.clear();
    plan.nodes.push(other.clone());
    let frame = Order::just(1).frame(60);
    let mut plan = plan.frame("a", frame.clone()).frame("a", frame);
    let StimulusKind::Frame { node, .. } = &mut plan.stimuli[1].kind else {
        panic!("a frame");
    };
    *node = other.name.clone();
    let recording = run(&plan);
    assert_eq!(recording.journeys[0].ends, [dropped("a", Xdp)]);
    assert!(recording.journeys[1].hops.is_empty());
    assert_eq!(recording.journeys[1].ends[0].place().0, &other.name);
}

#[test]
fn a_program_without_btf_is_recorded() {
    needs_kernel!();
    let mut plan = plan().attach("plain", "a", Xdp);
    plan.nodes[0].objects = vec![object(PLAIN)];
    let plan = plan
        .frame("a", Order::just(0).frame(60))
        .frame("a", Order::just(0).frame(61));
    let recording = run(&plan);
    assert_eq!(hops(&recording.journeys[0]), ["a xdp plain XDP_PASS"]);
    assert_eq!(hops(&recording.journeys[1]), ["a xdp plain XDP_DROP"]);
}

#[test]
fn a_program_with_functions_is_recorded() {
    needs_kernel!();
    let plan = plan().attach("outer", "a", Xdp);
    let plan = plan
        .frame("a", Order::just(0).frame(60))
        .frame("a", Order::just(0).frame(61));
    let recording = run(&plan);
    assert_eq!(hops(&recording.journeys[0]), ["a xdp outer XDP_PASS"]);
    assert_eq!(hops(&recording.journeys[1]), ["a xdp outer XDP_DROP"]);
}

#[test]
fn a_program_that_leaves_no_frame_for_a_tap_is_named() {
    needs_kernel!();
    let frame = Order::just(0).frame(60);
    let recording = run_with_notices(&plan().attach("deep", "a", Xdp).frame("a", frame.clone()));
    let [notice] = &recording.notices[..] else {
        panic!("{:?}", recording.notices);
    };
    let begin = "what program `deep` of object `hooks` does at a xdp of node `node` is not recorded: the verifier refused the tap";
    assert!(notice.starts_with(begin), "{notice}");
    assert!(notice.contains("call stack of 9 frames"), "{notice}");
    assert!(recording.journeys[0].hops.is_empty());
    assert_eq!(recording.journeys[0].ends, [stack("a", &frame)]);
}

#[test]
fn the_clock_is_set_before_each_stimulus() {
    needs_kernel!();
    let mut plan = plan().attach("timed", "a", Xdp);
    plan.nodes[0].clock = Some(twinpath::plan::ClockCell {
        object: twinpath::plan::ObjectName::new("hooks"),
        map: "clock".to_owned(),
        key: vec![0; 4],
    });
    for nanoseconds in [2, 3, 6_000_000_000_001] {
        plan = plan.frame("a", Order::just(0).frame(60));
        let stimulus = plan.stimuli.last_mut().expect("there is one");
        stimulus.at = std::time::Duration::from_nanos(nanoseconds);
    }
    let recording = run(&plan);
    let verdicts: Vec<_> = recording
        .journeys
        .iter()
        .map(|journey| verdict(&journey.hops[0]))
        .collect();
    assert_eq!(verdicts, ["XDP_PASS", "XDP_DROP", "XDP_DROP"]);
}
