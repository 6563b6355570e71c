//! tc hooks.

use std::time::Duration;

use twinpath::backend::Backend;
use twinpath::kernel::{Error, KernelBackend};
use twinpath::plan::HookKind::{TcEgress, TcIngress};
use twinpath::scenario::Scenario;

use crate::needs_kernel;
use crate::support::*;

#[test]
fn ingress_verdicts() {
    needs_kernel!();
    let codes = [0u8, 1, 2, 3, 4, 5, 6, 8, 255, 42];
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

#[test]
fn changes_of_the_packet_are_recorded() {
    needs_kernel!();
    let written = Order::with(0, WRITE, 0).frame(60);
    let longer = Order::with(0, GROW, 0).frame(60);
    let plan = plan().attach("from_device", "a", TcIngress);
    let recording = run(&plan.frame("a", written.clone()).frame("a", longer.clone()));
    assert_eq!(
        recording.journeys[0].ends,
        [stack("a", &changed(written, 16, 0x77))]
    );
    let longer = [longer, vec![0; 4]].concat();
    assert_eq!(recording.journeys[1].hops[0].bytes, longer);
    assert_eq!(recording.journeys[1].ends, [stack("a", &longer)]);
}

#[test]
fn filters_run_in_the_plans_order_until_one_decides() {
    needs_kernel!();
    let plan = plan()
        .attach("from_device", "a", TcIngress)
        .attach("second", "a", TcIngress);
    let undecided = Order::just(255).frame(60);
    let decided = Order::just(0).frame(60);
    let recording = run(&plan.frame("a", undecided).frame("a", decided.clone()));
    let first = "a tc-ingress from_device TC_ACT_UNSPEC";
    assert_eq!(
        hops(&recording.journeys[0]),
        [first, "a tc-ingress second TC_ACT_SHOT"]
    );
    assert_eq!(recording.journeys[0].ends, [dropped("a", TcIngress)]);
    assert_eq!(
        hops(&recording.journeys[1]),
        ["a tc-ingress from_device TC_ACT_OK"]
    );
    assert_eq!(recording.journeys[1].ends, [stack("a", &decided)]);
}

#[test]
fn a_redirect_leaves_by_the_other_device() {
    needs_kernel!();
    let frame = Order::with(0, REDIRECT, 7).frame(60);
    let recording = run(&plan()
        .attach("from_device", "a", TcIngress)
        .frame("a", frame.clone()));
    assert_eq!(
        hops(&recording.journeys[0]),
        ["a tc-ingress from_device TC_ACT_REDIRECT"]
    );
    assert_eq!(recording.journeys[0].ends, [left("b", &frame)]);
}

#[test]
fn a_redirect_meets_the_other_devices_egress_hook() {
    needs_kernel!();
    let plan = plan()
        .attach("from_device", "a", TcIngress)
        .attach("to_device", "b", TcEgress);
    let passes = Order::with(0, REDIRECT, 7).frame(60);
    let falls = Order::with(0, REDIRECT, 7).frame(99);
    let recording = run(&plan.frame("a", passes.clone()).frame("a", falls));
    let first = "a tc-ingress from_device TC_ACT_REDIRECT";
    assert_eq!(
        hops(&recording.journeys[0]),
        [first, "b tc-egress to_device TC_ACT_OK"]
    );
    assert_eq!(recording.journeys[0].ends, [left("b", &passes)]);
    assert_eq!(
        hops(&recording.journeys[1]),
        [first, "b tc-egress to_device TC_ACT_SHOT"]
    );
    assert_eq!(recording.journeys[1].ends, [dropped("b", TcEgress)]);
}

#[test]
fn a_redirect_to_nowhere_is_dropped() {
    needs_kernel!();
    let frame = Order::with(0, REDIRECT, 99).frame(60);
    let recording = run(&plan()
        .attach("from_device", "a", TcIngress)
        .frame("a", frame));
    assert_eq!(recording.journeys[0].ends, [dropped("a", TcIngress)]);
}

#[test]
fn a_redirect_of_what_the_other_device_cannot_carry_is_dropped() {
    needs_kernel!();
    let mut plan = plan().attach("from_device", "a", TcIngress);
    plan.nodes[0].devices[1].mtu = 500;
    let frame = Order::with(0, REDIRECT, 7).frame(600);
    let recording = run(&plan.frame("a", frame));
    assert_eq!(recording.journeys[0].ends, [dropped("a", TcIngress)]);
}

#[test]
fn a_redirect_to_the_receiving_side_is_taken_in_there() {
    needs_kernel!();
    let frame = Order::with(0, REDIRECT_INGRESS, 7).frame(60);
    let recording = run(&plan()
        .attach("from_device", "a", TcIngress)
        .frame("a", frame.clone()));
    assert_eq!(
        hops(&recording.journeys[0]),
        ["a tc-ingress from_device TC_ACT_REDIRECT"]
    );
    assert_eq!(recording.journeys[0].ends, [stack("b", &frame)]);
}

#[test]
fn a_copy_goes_its_own_way() {
    needs_kernel!();
    let frame = Order::with(0, CLONE, 7).frame(60);
    let plan = plan()
        .attach("from_device", "a", TcIngress)
        .attach("to_device", "b", TcEgress);
    let recording = run(&plan.frame("a", frame.clone()));
    assert_eq!(recording.journeys[0].hops.len(), 2);
    assert_eq!(
        recording.journeys[0].ends,
        [left("b", &frame), stack("a", &frame)]
    );
}

#[test]
fn tags_are_beside_the_packet_and_in_the_frame() {
    needs_kernel!();
    let pushed = Order::with(0, VLAN, 9).frame(60);
    let arrived = with_tag(Order::just(0).frame(60), 5);
    let through = with_tag(Order::with(0, REDIRECT, 7).frame(60), 5);
    let plan = plan().attach("from_device", "a", TcIngress);
    let plan = plan
        .frame("a", pushed.clone())
        .frame("a", arrived.clone())
        .frame("a", through.clone());
    let recording = run(&plan);
    assert_eq!(
        recording.journeys[0].ends,
        [stack("a", &with_tag(pushed, 9))]
    );
    assert_eq!(recording.journeys[1].hops[0].bytes, arrived);
    assert_eq!(recording.journeys[1].ends, [stack("a", &arrived)]);
    assert_eq!(recording.journeys[2].ends, [left("b", &through)]);
}

#[test]
fn a_storm_is_an_error() {
    needs_kernel!();
    let plan = plan().attach("from_device", "a", TcIngress);
    let plan = plan.frame("a", Order::with(0, REDIRECT_INGRESS, 5).frame(60));
    let error = KernelBackend::default()
        .quiet_limit(Duration::from_millis(300))
        .run(&plan);
    let error = error.expect_err("it never ends");
    assert!(
        matches!(
            error,
            Error::NotQuiet { number: 0, .. } | Error::Lost { number: 0, .. }
        ),
        "{error}"
    );
}

#[test]
fn a_ring_of_bridges_is_a_storm() {
    needs_kernel!();
    let ring = r#"description = "Two bridges, and two wires between them"
wires = [["a/one", "b/one"], ["a/two", "b/two"]]

[[node]]
name = "a"
device = [{ name = "in" }, { name = "one" }, { name = "two" }, { name = "bridge", bridge = ["in", "one", "two"] }]

[[node]]
name = "b"
device = [{ name = "one" }, { name = "two" }, { name = "bridge", bridge = ["one", "two"] }]

[[step]]
on = "a/in"
send = "udp 10.0.0.1:53 > 10.0.0.2:999 eth 02:00:00:00:00:aa > 02:00:00:00:00:bb"
"#;
    let scenario = Scenario::parse("ring.toml".as_ref(), ring.to_owned()).unwrap();
    let error = KernelBackend::default()
        .quiet_limit(Duration::from_millis(300))
        .run(&scenario.case().unwrap().plan);
    let error = error.expect_err("it never ends");
    assert!(
        matches!(
            error,
            Error::NotQuiet { number: 0, .. } | Error::Lost { number: 0, .. }
        ),
        "{error}"
    );
}
