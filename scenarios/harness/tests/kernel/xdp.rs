//! XDP hooks.

use twinpath::plan::HookKind::{TcIngress, Xdp, XdpGeneric};

use crate::needs_kernel;
use crate::support::*;

#[test]
fn verdicts() {
    needs_kernel!();
    for kind in [Xdp, XdpGeneric] {
        let frames = [0, 1, 2, 3, 9].map(|verdict| Order::just(verdict).frame(60));
        let plan = frames
            .iter()
            .fold(plan().attach("entry", "a", kind), |plan, frame| {
                plan.frame("a", frame.clone())
            });
        let expected = [
            ("XDP_ABORTED", dropped("a", kind)),
            ("XDP_DROP", dropped("a", kind)),
            ("XDP_PASS", stack("a", &frames[2])),
            ("XDP_TX", left("a", &frames[3])),
            ("9", dropped("a", kind)),
        ];
        let recording = run(&plan);
        for ((journey, (verdict, end)), frame) in
            recording.journeys.iter().zip(expected).zip(&frames)
        {
            assert_eq!(hops(journey), [format!("a {kind} entry {verdict}")]);
            assert_eq!(journey.hops[0].bytes, *frame);
            assert_eq!(journey.ends, [end]);
        }
    }
}

#[test]
fn changes_of_the_packet_are_recorded() {
    needs_kernel!();
    for kind in [Xdp, XdpGeneric] {
        let written = Order::with(2, WRITE, 0).frame(60);
        let tagged = Order::with(3, GROW, 0).frame(60);
        let plan = plan().attach("entry", "a", kind);
        let recording = run(&plan.frame("a", written.clone()).frame("a", tagged.clone()));
        let written = changed(written, 16, 0x77);
        assert_eq!(recording.journeys[0].hops[0].bytes, written);
        assert_eq!(recording.journeys[0].ends, [stack("a", &written)]);
        let tagged = with_tag(tagged, 7);
        assert_eq!(recording.journeys[1].hops[0].bytes, tagged);
        assert_eq!(recording.journeys[1].ends, [left("a", &tagged)]);
    }
}

#[test]
fn what_is_passed_with_a_tag_reaches_the_stack_with_it() {
    needs_kernel!();
    let frame = Order::with(2, GROW, 0).frame(60);
    let recording = run(&plan().attach("entry", "a", Xdp).frame("a", frame.clone()));
    assert_eq!(
        recording.journeys[0].ends,
        [stack("a", &with_tag(frame, 7))]
    );
}

#[test]
fn a_redirect_leaves_by_the_other_device() {
    needs_kernel!();
    for kind in [Xdp, XdpGeneric] {
        let frame = Order::with(0, REDIRECT, 7).frame(60);
        let recording = run(&plan().attach("entry", "a", kind).frame("a", frame.clone()));
        assert_eq!(
            hops(&recording.journeys[0]),
            [format!("a {kind} entry XDP_REDIRECT")]
        );
        assert_eq!(recording.journeys[0].ends, [left("b", &frame)]);
    }
}

#[test]
fn a_redirect_to_nowhere_is_dropped() {
    needs_kernel!();
    for kind in [Xdp, XdpGeneric] {
        let frame = Order::with(0, REDIRECT, 99).frame(60);
        let recording = run(&plan().attach("entry", "a", kind).frame("a", frame));
        assert_eq!(
            hops(&recording.journeys[0]),
            [format!("a {kind} entry XDP_REDIRECT")]
        );
        assert_eq!(recording.journeys[0].ends, [dropped("a", kind)]);
    }
}

#[test]
fn what_it_passes_meets_tc() {
    needs_kernel!();
    for kind in [Xdp, XdpGeneric] {
        let plan = plan()
            .attach("entry", "a", kind)
            .attach("from_device", "a", TcIngress);
        let frame = Order::just(2).frame(60);
        let recording = run(&plan.frame("a", frame));
        let expected = [
            format!("a {kind} entry XDP_PASS"),
            "a tc-ingress from_device TC_ACT_SHOT".to_owned(),
        ];
        assert_eq!(hops(&recording.journeys[0]), expected);
        assert_eq!(recording.journeys[0].ends, [dropped("a", TcIngress)]);
    }
}
