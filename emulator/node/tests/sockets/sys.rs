//! Privileges of the running thread.
#![allow(unsafe_code)] // System calls.

/// Takes `CAP_NET_BIND_SERVICE`, `CAP_NET_ADMIN` and `CAP_NET_RAW` from the current thread for as long as something runs.
pub fn without_privileges<T>(act: impl FnOnce() -> T) -> T {
    #[repr(C)]
    struct Header {
        version: u32,
        pid: i32,
    }
    const VERSION: u32 = 0x2008_0522;
    const TAKEN: u32 = 1 << 10 | 1 << 12 | 1 << 13;
    let mut header = Header {
        version: VERSION,
        pid: 0,
    };
    let mut sets = [[0u32; 3]; 2];
    // SAFETY: both structures have the layout that the version stands for.
    let result = unsafe { libc::syscall(libc::SYS_capget, &raw mut header, sets.as_mut_ptr()) };
    assert_eq!(result, 0);
    let mut less = sets;
    less[0][0] &= !TAKEN;
    let set = |sets: &[[u32; 3]; 2], header: &mut Header| {
        // SAFETY: as above; only this thread is concerned.
        let result = unsafe { libc::syscall(libc::SYS_capset, &raw mut *header, sets.as_ptr()) };
        assert_eq!(result, 0);
    };
    set(&less, &mut header);
    let result = act();
    set(&sets, &mut header);
    result
}
