//! What a loader sets before the kernel verifies the programs.

/// Names of the global constants which a loader may override, in `.rodata`. The verifier knows their
/// values, so it removes the code that they switch off.
///
/// Each is a `u32` unless its text says otherwise; all are 0 in an object that no loader changed, unless
/// a default stands here.
pub mod global {
    /// Not 0: `now()` reads [`map::SEAMS`](crate::map::SEAMS) instead of the kernel's clock.
    pub const SEAM_NOW: &str = "SEAM_NOW";
    /// Not 0: `random()` continues the sequence whose state is in [`map::SEAMS`](crate::map::SEAMS).
    pub const SEAM_RANDOM: &str = "SEAM_RANDOM";
    /// The seed of the flow hash, which picks a service's backend and is shown in events.
    pub const HASH_SEED: &str = "HASH_SEED";
    /// Not 0: debug events are written.
    pub const DEBUG: &str = "DEBUG";
    /// Not 0: trace events are written.
    pub const TRACE_NOTIFY: &str = "TRACE_NOTIFY";
    /// Not 0: policy verdicts are written.
    pub const POLICY_VERDICT_NOTIFY: &str = "POLICY_VERDICT_NOTIFY";
    /// Which trace events are left out: an [`Aggregation`](crate::Aggregation).
    pub const AGGREGATION: &str = "AGGREGATION";
    /// Not 0: policies of all endpoints are in audit mode: what they deny is reported and goes on.
    pub const AUDIT: &str = "AUDIT";
    /// Not 0: the node's own policy is enforced, that of [`EndpointId::HOST`](crate::EndpointId::HOST).
    pub const HOST_FIREWALL: &str = "HOST_FIREWALL";
    /// Address of the gateway of the node's endpoints: its four bytes as in a packet; 0 for none.
    pub const GATEWAY_IPV4: &str = "GATEWAY_IPV4";
    /// The same of IPv6: an [`Address`](crate::Address) of 16 bytes.
    pub const GATEWAY_IPV6: &str = "GATEWAY_IPV6";
    /// The node's own address, which masqueraded packets get: four bytes as in a packet; 0 for none.
    pub const NODE_IPV4: &str = "NODE_IPV4";
    /// The same of IPv6: an [`Address`](crate::Address) of 16 bytes.
    pub const NODE_IPV6: &str = "NODE_IPV6";
    /// The device between the stack and the endpoints (`cilium_host`); 0 for none.
    pub const HOST_IFINDEX: &str = "HOST_IFINDEX";
    /// Its Ethernet address: the six bytes, then two of 0.
    pub const HOST_MAC: &str = "HOST_MAC";
    /// The device of the overlay, in external mode; 0: endpoints of other nodes are routed.
    pub const TUNNEL_IFINDEX: &str = "TUNNEL_IFINDEX";
    /// Not 0: what endpoints send to other nodes and the world goes by the node's routes without its stack,
    /// which gets what has no way there.
    pub const HOST_ROUTING: &str = "HOST_ROUTING";
    /// Not 0: what is for an endpoint goes to the endpoint's end of its device at once.
    pub const REDIRECT_PEER: &str = "REDIRECT_PEER";
    /// Not 0: what leaves for the world by IPv4 is masqueraded.
    pub const MASQUERADE_IPV4: &str = "MASQUERADE_IPV4";
    /// The same of IPv6.
    pub const MASQUERADE_IPV6: &str = "MASQUERADE_IPV6";
    /// The lowest port that masquerading uses; that of [`SNAT_PORTS`](crate::SNAT_PORTS).
    pub const SNAT_PORT_MIN: &str = "SNAT_PORT_MIN";
    /// The highest one.
    pub const SNAT_PORT_MAX: &str = "SNAT_PORT_MAX";
    /// Seconds that TCP connections live; [`lifetime::TCP`](crate::lifetime::TCP).
    pub const CT_LIFETIME_TCP: &str = "CT_LIFETIME_TCP";
    /// Seconds that others live; [`lifetime::ANY`](crate::lifetime::ANY).
    pub const CT_LIFETIME_ANY: &str = "CT_LIFETIME_ANY";

    /// The value of [`HASH_SEED`] in an object that no loader changed (Cilium's
    /// `HASH_INIT4_SEED`).
    pub const HASH_SEED_DEFAULT: u32 = 0xcafe;
}

/// Which trace events are left out (Cilium's `TRACE_AGGREGATE_*`). Each level leaves out more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u32)]
pub enum Aggregation {
    /// None is left out.
    None = 0,
    /// Those of packets that arrive.
    Receive = 1,
    /// And of a connection that is known, all but one every
    /// [`lifetime::REPORT_INTERVAL`](crate::lifetime::REPORT_INTERVAL) and those with a new TCP flag.
    ActiveConnections = 3,
}

/// Index of a value in [`map::SEAMS`](crate::map::SEAMS).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u32)]
pub enum Seam {
    /// The time that `now()` returns, in nanoseconds of `CLOCK_MONOTONIC`.
    Now = 0,
    /// The state of the sequence that `random()` continues (SplitMix64).
    Random = 1,
}

impl Seam {
    /// How many seams there are.
    pub const COUNT: usize = 2;
}
