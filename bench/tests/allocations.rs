//! What a packet allocates on the host: nothing, once everything it meets has been met before. rbpf's
//! interpreter allocates its stack for each run.
#![allow(unsafe_code)] // An allocator that counts.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use twinpath_bench::datapath::{Datapath, Way, engine};
use twinpath_bench::programs::{self, Bench};
use twinpath_bench::rig::Rig;
use twinpath_machine::Placement;
use twinpath_machine::engine::{Engine, MAX_TAIL_CALLS};

struct Counting;

thread_local! {
    static COUNT: Cell<u64> = const { Cell::new(0) };
}

fn count() {
    // A thread that ends allocates no more of what is counted.
    let _ = COUNT.try_with(|count| count.set(count.get() + 1));
}

// SAFETY: everything is the system's, which is only counted.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's promise.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, start: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: the caller's promise.
        unsafe { System.realloc(start, layout, size) }
    }

    unsafe fn dealloc(&self, start: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(start, layout) };
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// How many allocations 100 runs make, after as many that do not count and whose events were read.
fn allocations<T>(of: &mut T, run: impl Fn(&mut T), read_events: impl Fn(&mut T)) -> u64 {
    (0..100).for_each(|_| run(of));
    read_events(of);
    let before = COUNT.get();
    (0..100).for_each(|_| run(of));
    COUNT.get() - before
}

/// What 100 runs may allocate; those of rbpf have a stack each.
const LIMITS: [(bool, u64); 2] = [(false, 0), (true, 100)];

#[test]
fn a_packet_through_hooks_allocates_nothing() {
    // With the number of programs on the way.
    let ways = [
        ("xdp_entry", "service/tcp4.toml", 0, 1),
        ("xdp_entry", "service/tcp4.toml", 1, 1),
        ("xdp_entry", "service/udp6.toml", 0, 1),
        ("xdp_entry", "prefilter/deny4.toml", 0, 1),
        ("from_container", "endpoint/delivery4.toml", 0, 3),
        ("from_container", "endpoint/delivery6.toml", 0, 3),
        ("from_container", "endpoint/spoofing4.toml", 0, 1),
    ];
    for (program, scenario, step, programs) in ways {
        let datapath = Datapath::new(program, scenario, step);
        for (rbpf, limit) in LIMITS {
            let mut way = datapath.world(rbpf);
            let run = |way: &mut Way| _ = way.run(&datapath.packet);
            let allocated = allocations(&mut way, run, Way::read_events);
            assert_eq!(
                allocated,
                limit * programs,
                "{program}, {scenario}, step {step}, rbpf {rbpf}"
            );
        }
    }
}

#[test]
fn a_run_of_a_program_allocates_nothing() {
    let benches = [
        programs::alu(),
        programs::parse(),
        programs::update(),
        programs::ring_buffer(),
        programs::calls(),
        programs::tail_call(),
    ];
    for bench in &benches {
        for (rbpf, limit) in LIMITS {
            check(bench, rbpf, limit);
        }
    }
}

fn check(bench: &Bench, rbpf: bool, limit: u64) {
    let placement = match rbpf {
        true => Placement::Identity,
        false => Placement::Anywhere,
    };
    let mut both = (Rig::new(bench, placement), engine(rbpf));
    let run = |(rig, engine): &mut (Rig, Box<dyn Engine>)| _ = rig.run(engine.as_mut());
    let allocated = allocations(&mut both, run, |(rig, _)| rig.read_events());
    // A tail call is another run of rbpf's.
    let tail_calls = if bench.name == "tail_call" {
        u64::from(MAX_TAIL_CALLS)
    } else {
        0
    };
    let runs = 1 + tail_calls;
    assert_eq!(allocated, limit * runs, "{}, rbpf {rbpf}", bench.name);
}
