//! Each program in each way. Kernel arms only where programs can be loaded.

use criterion::{Criterion, criterion_group, criterion_main};
use twinpath_bench::arms::{self, Arm};
use twinpath_bench::programs;

fn engines(c: &mut Criterion) {
    let kernel = arms::has_kernel();
    for (name, make) in programs::all() {
        let mut group = c.benchmark_group(name);
        for Arm { name, mut run, .. } in make(kernel) {
            group.bench_function(name, |b| b.iter(&mut run));
        }
    }
}

criterion_group!(benches, engines);
criterion_main!(benches);
