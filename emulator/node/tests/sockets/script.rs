//! Socket calls in a row, with programs in their way.

use std::net::SocketAddr;

use twinpath_node::{Family, Protocol, Shutdown};

use super::recorder::Recorder;

/// A socket of a script.
pub type Slot = usize;

/// What is set on a socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Setting {
    ReuseAddress,
    ReusePort,
    V6Only,
    AnyAddress,
    AddressWithoutPort,
    Broadcast,
    Mark(u32),
    /// By the device's index.
    Device(u32),
}

/// One call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    Open(Slot, Family, Protocol),
    Set(Slot, Setting),
    Bind(Slot, SocketAddr),
    /// Without the privilege for low ports.
    BindPoor(Slot, SocketAddr),
    Listen(Slot),
    /// Waits for the connection.
    Connect(Slot, SocketAddr),
    /// Does not wait for the connection.
    Start(Slot, SocketAddr),
    Disconnect(Slot),
    Accept(Slot, Slot),
    Send(Slot, Option<SocketAddr>),
    Receive(Slot),
    Shutdown(Slot, Shutdown),
    LocalName(Slot),
    PeerName(Slot),
    Close(Slot),
}

/// Programs and calls.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Script {
    pub programs: Vec<Recorder>,
    pub steps: Vec<Step>,
}

impl Script {
    pub fn new(programs: Vec<Recorder>, steps: Vec<Step>) -> Self {
        Self { programs, steps }
    }
}
