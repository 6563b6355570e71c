//! The CIDR deny list.

use twinpath_abi::FlowTuple;

use crate::drops::{Drop, drop_packet};
use crate::maps;

/// Refuses a packet whose source address a denied prefix covers.
#[inline(always)]
pub fn check(flow: &FlowTuple) -> Result<(), Drop> {
    match maps::denied(flow.saddr, flow.family) {
        Some(_) => Err(drop_packet!(Prefilter, PolicyDeny)),
        None => Ok(()),
    }
}
