//! Socket calls with programs in their way, in the kernel and in the emulator.

use super::place::{Cgroup, in_namespace, skip};
use super::sides::{difference, in_emulator, in_kernel};
use super::{callbacks, cases};

#[test]
fn calls_do_what_they_do_in_the_kernel() {
    if skip("calls") {
        return;
    }
    let cgroup = Cgroup::enter();
    let mut failures = String::new();
    let only = std::env::var("TWINPATH_ONLY").unwrap_or_default();
    let mut cases = cases::all();
    cases.extend(callbacks::all());
    cases.extend(callbacks::filters());
    cases.retain(|(name, _)| name.contains(&only));
    for (name, script) in &cases {
        let kernel = in_namespace(|| in_kernel(cgroup.fd(), script));
        let emulator = in_emulator(script);
        if let Err(text) = difference(&kernel, &emulator) {
            failures += &format!("== {name}\n{text}");
        }
    }
    assert!(failures.is_empty(), "{failures}");
    eprintln!("{} scripts agree", cases.len());
}
