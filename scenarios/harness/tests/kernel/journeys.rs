//! Where frames go, and what is recorded of their way.

use twinpath::plan::HookKind::{TcEgress, TcIngress, Xdp, XdpGeneric};

use crate::needs_kernel;
use crate::support::*;

#[test]
fn without_programs_the_stack_has_it() {
    needs_kernel!();
    let frame = Order::just(0).frame(60);
    let recording = run(&plan().frame("a", frame.clone()));
    assert_eq!(recording.journeys[0].ends, [stack("a", &frame)]);
    assert!(recording.journeys[0].hops.is_empty());
    assert!(recording.notices.is_empty(), "{:?}", recording.notices);
}

#[test]
fn xdp_verdicts() {
    needs_kernel!();
    for kind in [Xdp, XdpGeneric] {
        let orders = [0, 1, 2, 3, 9].map(|verdict| Order::just(verdict).frame(60));
        let plan = orders
            .iter()
            .fold(plan().attach("entry", "a", kind), |plan, frame| {
                plan.frame("a", frame.clone())
            });
        let recording = run(&plan);
        let expected = [
            ("XDP_ABORTED", dropped("a", kind)),
            ("XDP_DROP", dropped("a", kind)),
            ("XDP_PASS", stack("a", &orders[2])),
            ("XDP_TX", left("a", &orders[3])),
            ("9", dropped("a", kind)),
        ];
        for ((journey, (verdict, end)), frame) in
            recording.journeys.iter().zip(expected).zip(&orders)
        {
            assert_eq!(hops(journey), [format!("a {kind} entry {verdict}")]);
            assert_eq!(journey.hops[0].bytes, *frame);
            assert_eq!(journey.ends, [end]);
        }
    }
}

#[test]
fn tc_ingress_verdicts() {
    needs_kernel!();
    let codes = [0u8, 1, 2, 3, 4, 5, 8, 255, 42];
    let plan = codes.iter().fold(
        plan().attach("from_device", "a", TcIngress),
        |plan, code| plan.frame("a", Order::just(*code).frame(60)),
    );
    let recording = run(&plan);
    for (journey, code) in recording.journeys.iter().zip(codes) {
        let frame = Order::just(code).frame(60);
        let end = match code {
            2 | 4 | 8 => dropped("a", TcIngress),
            _ => stack("a", &frame),
        };
        assert_eq!(journey.ends, [end], "code {code}");
        assert_eq!(journey.hops.len(), 1);
        assert_eq!(journey.hops[0].bytes, frame);
    }
}
