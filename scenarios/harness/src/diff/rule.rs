//! What two honest runs may differ in. Anything that is not listed here is a difference.

use std::fmt;

use super::chosen::Chosen;
use crate::plan::Plan;

/// A way in which recordings are made comparable before they are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rule {
    /// Which CPU's slot holds a value of a per-CPU map is not compared, nor how many empty slots there are.
    PerCpuSlot,
    /// The ends of a packet and its copies are compared device by device and kind by kind, not in one order.
    OrderOfEnds,
    /// The identification of IPv4 packets and of IPv6 fragments from a node's own addresses is not compared.
    Identification,
    /// The source port of a node's own tunnel packets is not compared.
    TunnelPort,
    /// The port of a socket is not compared where it is one that nodes choose.
    SocketPort,
}

/// The rules by which the recordings of a plan are compared, or that there are none.
#[derive(Debug, Clone, Default)]
pub struct Leeway {
    chosen: Chosen,
    strict: bool,
}

impl Leeway {
    /// All rules, for recordings of the plan.
    pub fn of(plan: &Plan) -> Self {
        Self {
            chosen: Chosen::of(plan),
            strict: false,
        }
    }

    /// None: whatever differs is a difference.
    pub fn none() -> Self {
        Self {
            strict: true,
            ..Self::default()
        }
    }

    /// Both sides as they are compared: as they are where they are alike or there are no rules, else as `canonical` makes
    /// each.
    pub(super) fn apply<T: Clone + PartialEq>(
        &self,
        (left, right): (T, T),
        canonical: impl FnOnce(&Chosen, T, T) -> (T, T),
    ) -> (T, T) {
        if self.strict || left == right {
            (left, right)
        } else {
            canonical(&self.chosen, left, right)
        }
    }
}

impl Rule {
    /// The rule's name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::PerCpuSlot => "per-cpu-slot",
            Self::OrderOfEnds => "order-of-ends",
            Self::Identification => "ip-id",
            Self::TunnelPort => "tunnel-port",
            Self::SocketPort => "socket-port",
        }
    }

    /// What the rule leaves out, and why two honest runs may differ in it.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::PerCpuSlot => {
                "which CPU's slot holds a per-CPU value depends on where the packet was handled"
            }
            Self::OrderOfEnds => "copies that end in different places have no common order",
            Self::Identification => {
                "network stacks choose the identification of their packets at random"
            }
            Self::TunnelPort => {
                "the source port of a tunnel's packets is a hash with a key that is drawn at random"
            }
            Self::SocketPort => "nodes choose the ports of sockets that have none at random",
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
