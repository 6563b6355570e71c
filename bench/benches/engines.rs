//! Both engines on the same programs.

use criterion::{Criterion, criterion_group, criterion_main};
use twinpath_bench::arms::Rig;
use twinpath_bench::programs;
use twinpath_machine::Placement;
use twinpath_machine::engine::{Checked, Engine, Rbpf};

fn engines(c: &mut Criterion) {
    for bench in [
        programs::alu,
        programs::parse,
        programs::hash_million,
        programs::lpm_million,
    ] {
        let bench = bench();
        let mut group = c.benchmark_group(bench.name);
        let arms: [(Placement, Box<dyn Engine>); 2] = [
            (Placement::Anywhere, Box::new(Checked::default())),
            (Placement::Identity, Box::new(Rbpf::default())),
        ];
        for (placement, mut engine) in arms {
            let mut rig = Rig::new(&bench, placement);
            group.bench_function(engine.name(), |b| b.iter(|| rig.run(engine.as_mut())));
        }
    }
}

criterion_group!(benches, engines);
criterion_main!(benches);
