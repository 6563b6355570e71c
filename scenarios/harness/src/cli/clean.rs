//! `twinpath clean`.

use std::io::Write;

use super::EQUAL;
use super::error::CliError;

/// Removes what runs have left, and says how much.
pub fn clean() -> Result<u8, CliError> {
    let removed = remove().map_err(|error| {
        CliError::Input(format!(
            "failed to look for cgroups of earlier runs: {error}"
        ))
    })?;
    let cgroups = if removed == 1 { "cgroup" } else { "cgroups" };
    writeln!(anstream::stdout(), "{removed} {cgroups} removed")?;
    Ok(EQUAL)
}

#[cfg(target_os = "linux")]
fn remove() -> std::io::Result<usize> {
    crate::kernel::clean()
}

/// Nothing runs in the kernel there.
#[cfg(not(target_os = "linux"))]
fn remove() -> std::io::Result<usize> {
    Ok(0)
}
