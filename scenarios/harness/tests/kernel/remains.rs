//! Runs do not disturb each other, give the same each time, and nothing is left of them, however they end.
//!
//! What a run has made is found by the numbers that the kernel gave its programs and maps: a program that is
//! attached to a device lives for as long as the device's namespace does, so when its number is gone, so are they.

use std::collections::BTreeSet;
use std::fs;
use std::panic::{self, AssertUnwindSafe};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::prctl;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use twinpath::backend::Backend;
use twinpath::kernel::{KernelBackend, clean};
use twinpath::plan::HookKind::{TcEgress, TcIngress, Xdp, XdpGeneric};
use twinpath::plan::Plan;
use twinpath::recording::Recording;
use twinpath::socket::{Family, Protocol, SocketCall};
use twinpath_bpf::Mount;

use crate::machine::*;
use crate::needs_kernel;
use crate::support::*;

/// Set for the tests that are run alone in a process, by another.
pub const CHILD: &str = "TWINPATH_TEST_CHILD";

/// Something of everything.
fn varied() -> Plan {
    let plan = plan()
        .call(SocketCall::Open(Family::V4, Protocol::Udp))
        .attach("entry", "a", Xdp)
        .attach("from_device", "a", TcIngress)
        .attach("entry", "b", XdpGeneric)
        .attach("to_device", "b", TcEgress);
    let orders = [
        Order::just(0),
        Order::just(1),
        Order::just(2),
        Order::just(3),
        Order::with(2, WRITE, 0),
        Order::with(3, GROW, 0),
        Order::with(0, REDIRECT, 7),
        Order::with(0, REDIRECT, 99),
    ];
    orders.iter().fold(plan, |plan, order| {
        plan.frame("a", order.frame(60))
            .frame("b", order.frame(100))
    })
}

/// A frame that never comes to rest.
fn storm() -> Plan {
    plan()
        .call(SocketCall::Open(Family::V4, Protocol::Udp))
        .attach("from_device", "a", TcIngress)
        .frame("a", Order::with(0, REDIRECT_INGRESS, 5).frame(60))
}

/// All of a recording but how long it took to load the programs.
fn text(recording: &Recording) -> String {
    let mut recording = recording.clone();
    for load in &mut recording.loads {
        load.time = Duration::ZERO;
    }
    format!("{recording:#?}")
}

pub fn child(test: &str) -> Child {
    Command::new(std::env::current_exe().expect("this program"))
        .args(["--exact", test, "--ignored", "--nocapture"])
        .env(CHILD, "")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("a child")
}

#[test]
fn runs_are_alike() {
    needs_kernel!();
    let first = text(&run(&varied()));
    for _ in 0..5 {
        assert_eq!(text(&run(&varied())), first);
    }
}

#[test]
fn runs_at_once_are_alike() {
    needs_kernel!();
    let first = text(&run(&varied()));
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..2 {
                    assert_eq!(text(&run(&varied())), first);
                }
            });
        }
    });
}

#[test]
fn success_and_failure_leave_nothing() {
    needs_kernel!();
    let output = child("remains::child_that_runs")
        .wait_with_output()
        .expect("output");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
#[ignore = "is run by another test, alone in a process"]
fn child_that_runs() {
    if std::env::var_os(CHILD).is_none() {
        return;
    }
    // The first run finds out what the kernel can do, and keeps that.
    run(&varied());
    let (before, around) = (own(), things());
    for _ in 0..2 {
        run(&varied());
        refuse(&plan().attach("unchecked", "a", Xdp));
        refuse(&varied().frame("c", Vec::new()));
        let storm = KernelBackend::default()
            .quiet_limit(Duration::from_millis(50))
            .run(&storm());
        storm.expect_err("it never ends");
    }
    assert_eq!(own(), before);
    assert_gone_since(&around);
}

#[test]
fn a_panic_leaves_nothing() {
    needs_kernel!();
    let output = child("remains::child_that_panics")
        .wait_with_output()
        .expect("output");
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}");
    assert!(text.contains("in the middle of it"), "{text}");
}

#[test]
#[ignore = "is run by another test, alone in a process"]
fn child_that_panics() {
    if std::env::var_os(CHILD).is_none() {
        return;
    }
    run(&varied());
    let (before, known) = (own(), loaded());
    for last in [1, 5] {
        let mut held = BTreeSet::new();
        let mut journeys = 0;
        let run = panic::catch_unwind(AssertUnwindSafe(|| {
            KernelBackend::default().run_and_show(&varied(), &mut |_| {
                journeys += 1;
                if journeys == last {
                    held = loaded().difference(&known).cloned().collect();
                    panic!("in the middle of it");
                }
            })
        }));
        assert!(run.is_err(), "it panicked");
        assert!(held.len() > 10, "everything was there: {held:?}");
        assert_eq!(own(), before);
        assert_gone(&held);
    }
}

/// Whether this process, and so a child, ignores a signal: a shell has what it starts in the background ignore SIGINT.
fn is_ignored(signal: Signal) -> bool {
    let status = fs::read_to_string("/proc/self/status").expect("a status");
    let mask = status
        .lines()
        .find_map(|line| line.strip_prefix("SigIgn:"))
        .expect("ignored signals");
    let mask = u64::from_str_radix(mask.trim(), 16).expect("a mask");
    mask >> (signal as u32 - 1) & 1 != 0
}

/// What even the process is gone that would have removed it.
#[test]
fn cgroups_that_nobody_holds_are_removed() {
    needs_kernel!();
    let hierarchy = Mount::cgroups().expect("cgroups");
    let cgroup = |name: &str| hierarchy.path().join(name);
    let stale = cgroup("twinpath-run-0-0");
    fs::create_dir(&stale).expect("a cgroup");
    let held = cgroup("twinpath-run-0-1");
    fs::create_dir(&held).expect("a cgroup");
    let lock = fs::File::open(&held).expect("a cgroup");
    lock.lock().expect("nobody else has it");
    assert!(clean().expect("cgroups") >= 1);
    assert!(!stale.exists() && held.exists());
    drop(lock);
    run(&varied());
    assert!(!held.exists(), "a run removes it too");
}

#[test]
fn a_killed_process_leaves_nothing() {
    needs_kernel!();
    let signals = [Signal::SIGKILL, Signal::SIGINT, Signal::SIGTERM];
    for signal in signals.into_iter().filter(|signal| !is_ignored(*signal)) {
        let mut child = child("remains::child_that_storms");
        let start = Instant::now();
        let cgroup = format!("/twinpath-run-{}-", child.id());
        // A storm blows once there are the object's program, the far end's and the tap, and the cgroup of its socket.
        let held = loop {
            let mut held = held_by(child.id());
            let programs = held.iter().filter(|held| held.starts_with(PROGRAM));
            let attached = programs.count() >= 3;
            let cgroups: Vec<_> = things()
                .into_iter()
                .filter(|thing| thing.contains(&cgroup))
                .collect();
            if attached && !cgroups.is_empty() {
                held.extend(cgroups);
                break held;
            }
            assert!(
                start.elapsed() < PATIENCE,
                "{signal}: the child has {held:?} and {cgroups:?}"
            );
            thread::sleep(Duration::from_millis(5));
        };
        thread::sleep(Duration::from_millis(100));
        kill(Pid::from_raw(child.id() as i32), signal).expect("it is alive");
        let status = child.wait().expect("a status");
        assert!(!status.success());
        assert_gone(&held);
        assert!(!Path::new(&format!("/proc/{}", child.id())).exists());
    }
}

#[test]
#[ignore = "is run by another test, alone in a process"]
fn child_that_storms() {
    if std::env::var_os(CHILD).is_none() {
        return;
    }
    // A test that fails does not end its child.
    prctl::set_pdeathsig(Signal::SIGKILL).expect("a signal");
    loop {
        let backend = KernelBackend::default().quiet_limit(Duration::from_secs(30));
        backend.clone().run(&storm()).expect_err("it never ends");
    }
}
