//! Why a map cannot be made.

use super::MapType;
use crate::errno::Errno;
use crate::memory::OutOfMemory;

/// Why a map cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum MapError {
    /// The kernel refuses the definition.
    #[error("create {kind} map {name:?}: {reason} ({errno})")]
    Invalid {
        /// The map's name.
        name: String,
        /// Its type.
        kind: MapType,
        /// What is wrong with the definition.
        reason: String,
        /// The kernel's error.
        errno: Errno,
    },
    /// The emulator does not have this type or flag.
    #[error("create map {name:?}: {what} is not supported by the emulator")]
    Unsupported {
        /// The map's name.
        name: String,
        /// What is missing.
        what: String,
    },
    /// Guest memory is too small for the map.
    #[error("create map {name:?}")]
    Memory {
        /// The map's name.
        name: String,
        /// How much is missing.
        #[source]
        source: OutOfMemory,
    },
}
