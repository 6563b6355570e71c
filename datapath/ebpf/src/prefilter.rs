//! The CIDR deny list.

use crate::drops::{Drop, drop_packet};
use crate::maps;
use crate::parse::L3;

/// Refuses a packet whose source address a denied prefix covers.
#[inline(always)]
pub fn check(l3: &L3) -> Result<(), Drop> {
    match maps::denied(l3.saddr, l3.family) {
        Some(_) => Err(drop_packet!(Prefilter, PolicyDeny)),
        None => Ok(()),
    }
}
