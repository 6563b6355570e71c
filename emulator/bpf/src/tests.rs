//! What tests that hold something against the kernel agree on.

use std::fs::File;
use std::sync::OnceLock;

use super::map::{Map, MapShape};

/// Why the kernel cannot be asked; none when it can.
///
/// # Panics
/// When it cannot and `TWINPATH_KERNEL=require` says that it must.
pub fn missing() -> Option<String> {
    missing_with(|| None)
}

/// The same where a test needs more than `bpf()`, and says why it cannot have that.
///
/// # Panics
/// As [`missing`].
pub fn missing_with(further: impl FnOnce() -> Option<String>) -> Option<String> {
    let reason = match Map::create("probe", MapShape::array(8, 1)) {
        Ok(_) => further(),
        Err(error) => Some(format!("bpf() is not available: {error}")),
    };
    let required = std::env::var_os("TWINPATH_KERNEL").is_some_and(|value| value == "require");
    match &reason {
        Some(reason) if required => panic!("TWINPATH_KERNEL=require, and {reason}"),
        _ => reason,
    }
}

/// Waits until no other process runs tests that load programs in numbers, and keeps others waiting until this process
/// ends: what [`Program`](crate::Program) does against the kernel's deadlock is done for each process. `cargo test` has
/// one binary run after the other anyway, nextest has not.
///
/// # Panics
/// When the file of the lock cannot be made.
pub fn one_process_at_a_time() {
    static LOCK: OnceLock<File> = OnceLock::new();
    LOCK.get_or_init(|| {
        let path = std::env::temp_dir().join("twinpath-kernel-tests.lock");
        // Who finds the file takes it as it is: another user's may be read, and not be opened to be made.
        let file = File::open(&path).or_else(|_| File::create(&path));
        let file = file.and_then(|file| file.lock().map(|()| file));
        file.unwrap_or_else(|error| panic!("failed to lock {}: {error}", path.display()))
    });
}
