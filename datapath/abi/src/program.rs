//! Names of the programs in `datapath/objects/twinpath.o`.

/// XDP: deny list and services.
pub const XDP_ENTRY: &str = "xdp_entry";
/// tc ingress on an endpoint's device: what the endpoint sends.
pub const FROM_CONTAINER: &str = "from_container";
