//! Tail calls between the programs.

/// Index of a program in [`map::CALLS`](crate::map::CALLS). The array is filled by the object itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u32)]
pub enum TailCall {
    /// An endpoint's policy for what comes to it, and the delivery (Cilium's `cil_lxc_policy`).
    ToEndpoint = 0,
    /// What an endpoint sends, once its sender is known.
    FromEndpoint = 1,
    /// Masquerading of what leaves (Cilium's `CILIUM_CALL_IPV4_NODEPORT_SNAT_FWD`).
    Masquerade = 2,
    /// The way back (Cilium's `CILIUM_CALL_IPV4_NODEPORT_NAT_INGRESS`).
    Unmasquerade = 3,
    /// The node's own policy.
    HostPolicy = 4,
}

impl TailCall {
    /// How many slots there are.
    pub const COUNT: usize = 5;
}
