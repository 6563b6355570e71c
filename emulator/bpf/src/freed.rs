//! Keeps the kernel from more freed programs than it copes with.
#![allow(unsafe_code, reason = "a system call without a wrapper")]

use std::sync::atomic::{AtomicU32, Ordering};

/// After so many freed programs their memory is waited for.
const AT_A_TIME: u32 = 128;

static FREED: AtomicU32 = AtomicU32::new(0);

/// Counts a program that the kernel frees: drop it when the program's descriptor is closed.
///
/// Linux 6.18 frees a program by way of a callback of RCU and of `bpf_prog_free_deferred` on the workqueue `events`,
/// of which a CPU runs 1,024 works at once. Each of them takes the mutex of `bpf_prog_pack_free`. Whoever loads a
/// program holds that mutex in `bpf_prog_pack_alloc`, and may wait there for another work on the same queue
/// (`__purge_vmap_area_lazy`, `flush_work`). When all 1,024 places are taken by works that wait for the mutex, nothing
/// moves any more, and no program can be loaded until the machine boots anew. So whoever frees programs in numbers
/// waits for a grace period, `synchronize_rcu` in the kernel, now and then: it costs 0.1 ms a program, and leaves a few
/// hundred freed programs at most under way.
#[derive(Debug)]
pub struct Freed;

impl Drop for Freed {
    fn drop(&mut self) {
        let freed = FREED.fetch_add(1, Ordering::Relaxed) + 1;
        if freed.is_multiple_of(AT_A_TIME) {
            wait_for_grace_period();
        }
    }
}

fn wait_for_grace_period() {
    // SAFETY: no pointers. A kernel that has no such call (one without membarrier, or with CPUs that have no tick) is not
    // slowed down.
    unsafe { libc::syscall(libc::SYS_membarrier, libc::MEMBARRIER_CMD_GLOBAL, 0, 0) };
}
