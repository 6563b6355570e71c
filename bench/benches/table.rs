//! The table of README.md: all ways of running a program in turn, many times, and the medians.
//!
//! A ratio is the median of the ratios of neighbouring measurements, so that what else the machine does
//! meanwhile touches both sides alike. `cargo bench --bench table -- [ROUNDS] [NAME...]`
#![allow(clippy::print_stdout)] // It is a command.

use std::hint::black_box;

use twinpath_bench::arms::{self, Arm, CHECKED, WORLD};
use twinpath_bench::{kernel, programs};

/// Nanoseconds that a measurement takes.
const SLICE: f64 = 3e6;

fn main() {
    let args: Vec<String> = std::env::args()
        .skip(1)
        .filter(|arg| !arg.starts_with("--"))
        .collect();
    let rounds = args.iter().find_map(|arg| arg.parse().ok()).unwrap_or(50);
    let names: Vec<&String> = args
        .iter()
        .filter(|arg| arg.parse::<u32>().is_err())
        .collect();
    let kernel = arms::has_kernel();
    println!("| program | run by | ns | of checked | of the whole way |");
    println!("|---|---|---:|---:|---:|");
    for (name, make) in programs::all() {
        if names.is_empty() || names.iter().any(|wanted| wanted.as_str() == name) {
            rows(name, &mut make(kernel), rounds);
        }
    }
}

fn rows(program: &str, arms: &mut [Arm], rounds: usize) {
    let expected = (arms[0].run)();
    let counts: Vec<u32> = arms
        .iter_mut()
        .map(|arm| {
            assert_eq!(
                (arm.run)(),
                expected,
                "{program}: {} has another result",
                arm.name
            );
            (SLICE / measure(arm, 100)).max(1.0) as u32
        })
        .collect();
    let mut times = vec![Vec::new(); arms.len()];
    for _ in 0..rounds {
        for ((arm, times), count) in arms.iter_mut().zip(&mut times).zip(&counts) {
            times.push(measure(arm, *count));
        }
    }
    let base = |name: &str| arms.iter().position(|arm| arm.name == name);
    let (checked, world) = (base(CHECKED), base(WORLD));
    let ratio = |own: usize, base: Option<usize>| {
        base.map_or(String::new(), |base| {
            let pairs = times[own].iter().zip(&times[base]);
            format!(
                "{:.2}",
                median(pairs.map(|(own, base)| own / base).collect())
            )
        })
    };
    for (at, arm) in arms.iter().enumerate() {
        let time = median(times[at].clone());
        let (checked, world) = (ratio(at, checked), ratio(at, world));
        println!(
            "| {program} | {} | {time:.1} | {checked} | {world} |",
            arm.name
        );
    }
    for inside in arms.iter_mut().filter_map(|arm| arm.inside.as_mut()) {
        let time = median((0..5).map(|_| f64::from(inside())).collect());
        println!("| {program} | kernel, in the program | {time:.0} | | |");
    }
}

/// Nanoseconds of the processor that one run takes, in the kernel or not.
fn measure(arm: &mut Arm, count: u32) -> f64 {
    let start = kernel::cpu_time();
    for _ in 0..count {
        black_box((arm.run)());
    }
    (kernel::cpu_time() - start).as_nanos() as f64 / f64::from(count)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
