//! The running kernel, asked with the machine's types.

pub mod map;
pub mod program;

/// CPUs that the kernel may have.
pub fn possible_cpus() -> u32 {
    twinpath_bpf::possible_cpus().expect("the kernel's CPUs")
}

/// Has the calling thread, and the programs that it tests, run on this CPU.
pub fn run_on(cpu: u32) {
    twinpath_bpf::run_on(cpu).expect("the CPU is there");
}
