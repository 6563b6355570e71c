//! The CIDR deny list.

use twinpath_abi::{Family, PREFIX_STATIC_BITS, PrefixData};

use crate::drops::{Drop, drop_packet};
use crate::maps;
use crate::parse::L3;

/// Refuses a packet whose source address a denied prefix covers.
#[inline(always)]
pub fn check(l3: &L3) -> Result<(), Drop> {
    let bits = match l3.family {
        Family::V6 => 128,
        _ => 32,
    };
    let data = PrefixData::from_parts(l3.saddr, l3.family);
    match maps::denied(data, PREFIX_STATIC_BITS + bits) {
        Some(_) => Err(drop_packet!(Prefilter, PolicyDeny)),
        None => Ok(()),
    }
}
