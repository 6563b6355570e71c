//! What two honest runs may differ in. Anything that is not listed here is a difference.

use std::fmt;

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
