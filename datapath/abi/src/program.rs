//! Names of the programs in `datapath/objects/twinpath.o`.

/// XDP: deny list and services.
pub const XDP_ENTRY: &str = "xdp_entry";
/// tc ingress on an endpoint's device: what the endpoint sends.
pub const FROM_CONTAINER: &str = "from_container";
/// By tail call: what an endpoint sends, once it is known to be its own.
pub const POLICY_EGRESS: &str = "policy_egress";
/// By tail call: what comes to an endpoint of the node.
pub const POLICY_INGRESS: &str = "policy_ingress";
/// By tail call: what is for no endpoint of the node.
pub const FORWARD: &str = "forward";
/// tc egress of an endpoint's device: what the stack sends to the endpoint.
pub const TO_CONTAINER: &str = "to_container";
/// tc ingress of the uplink.
pub const FROM_NETDEV: &str = "from_netdev";
/// tc egress of the uplink.
pub const TO_NETDEV: &str = "to_netdev";
/// tc egress of the device between the stack and the endpoints.
pub const FROM_HOST: &str = "from_host";
/// tc ingress of the far end of that device.
pub const TO_HOST: &str = "to_host";
/// tc ingress of the overlay's device.
pub const FROM_OVERLAY: &str = "from_overlay";
/// tc egress of the overlay's device.
pub const TO_OVERLAY: &str = "to_overlay";
