//! Tail calls between the programs.

/// Index of a program in [`map::CALLS`](crate::map::CALLS). The array is filled by the object itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u32)]
pub enum TailCall {
    /// An endpoint's policy for what it sends, and where that goes.
    PolicyEgress = 0,
    /// An endpoint's policy for what comes to it, and the delivery (Cilium's `cil_lxc_policy`).
    PolicyIngress = 1,
    /// The way of what is for no endpoint of the node: the overlay, or the node's routes.
    Forward = 2,
}

impl TailCall {
    /// How many there are.
    pub const COUNT: usize = 3;
}
