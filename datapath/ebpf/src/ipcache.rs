//! Who an address is.

use twinpath_abi::{Address, Family, Identity};

use crate::maps;

/// The identity of an address: the world's, as long as nobody has told another.
#[inline(always)]
pub fn identity(ip: Address, family: Family) -> Identity {
    match (maps::remote(ip, family), family) {
        (Some(remote), _) => remote.sec_identity,
        (None, Family::V6) => Identity::WORLD_IPV6,
        (None, _) => Identity::WORLD_IPV4,
    }
}
