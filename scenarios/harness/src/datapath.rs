//! The built-in datapath: its object, and how to recognise it.

use std::sync::Arc;

use twinpath_control::abi::map;

use crate::object::Contents;

/// The compiled programs, so that the command needs no file beside it.
const OBJECT: &[u8] = include_bytes!("../../../datapath/objects/twinpath.o");

/// The name that the object goes by.
pub const NAME: &str = "twinpath";

/// The maps that make an object the datapath, whoever compiled it.
const MAPS: [&str; 14] = [
    map::LXC,
    map::LXC_DEVICE,
    map::IPCACHE,
    map::POLICY,
    map::CT,
    map::FRAGMENTS,
    map::CALLS,
    map::PREFILTER,
    map::LB_SERVICES,
    map::LB_BACKENDS,
    map::LB_MAGLEV,
    map::METRICS,
    map::EVENTS,
    map::SEAMS,
];

/// The compiled programs.
pub fn object() -> Arc<[u8]> {
    Arc::from(OBJECT)
}

/// Whether an object is the datapath, or a build of it that somebody else made.
pub fn is_datapath(contents: &Contents) -> bool {
    MAPS.iter().all(|map| contents.maps.contains_key(*map))
}
