//! Names of the programs in `datapath/objects/twinpath.o`.

/// XDP: deny list and services.
pub const XDP_ENTRY: &str = "xdp_entry";
/// tc ingress on an endpoint's device: what the endpoint sends.
pub const FROM_CONTAINER: &str = "from_container";
/// By tail call: what an endpoint sends, once it is known to be its own.
pub const POLICY_EGRESS: &str = "policy_egress";
/// By tail call: what comes to an endpoint of the node.
pub const POLICY_INGRESS: &str = "policy_ingress";
