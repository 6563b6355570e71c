//! Who an address is.

use twinpath_abi::{Address, Family, Identity};

use crate::apart::{answer, apart};
use crate::maps;

answer!(Identity);

apart! {
    /// The identity of an address: the world's, as long as nobody has told another.
    pub fn identity as ipcache_identity(ip: &Address, family: Family) -> Identity {
        match maps::remote(*ip, family) {
            Some(remote) => remote.sec_identity,
            None => world(family),
        }
    }
}

/// The world's identity.
#[inline(always)]
pub fn world(family: Family) -> Identity {
    match family {
        Family::V6 => Identity::WORLD_IPV6,
        _ => Identity::WORLD_IPV4,
    }
}
