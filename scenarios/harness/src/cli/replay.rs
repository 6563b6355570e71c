//! `twinpath replay`.

use super::args::ReplayArgs;
use super::error::CliError;

/// Replays.
pub fn replay(args: &ReplayArgs) -> Result<u8, CliError> {
    Err(CliError::Input(format!("{}: no node yet", args.object.display())))
}
