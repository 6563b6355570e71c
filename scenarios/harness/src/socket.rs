//! Calls of a node's tasks on sockets, and what they give.

use std::fmt;
use std::net::SocketAddr;

use twinpath_machine::Errno;
pub use twinpath_node::{Family, Protocol, Shutdown};

use crate::decode::hex;
use crate::plan::SocketName;
use crate::recording::ProgramFault;

/// A call on a socket, which does not wait.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SocketCall {
    /// `socket()`. A socket that has the name already is closed first.
    Open(Family, Protocol),
    /// `setsockopt()`
    Set(SocketSetting),
    /// `bind()`
    Bind(SocketAddr),
    /// `listen()`, with room for eight connections.
    Listen,
    /// `connect()`, and what has come of it when all is quiet. A connection that nobody has answered by then is given up
    /// as by [`Self::Disconnect`], for Linux would ask again after a second.
    Connect(SocketAddr),
    /// `connect()` with `AF_UNSPEC`.
    Disconnect,
    /// `accept()`; the name is for the socket that it gives.
    Accept(SocketName),
    /// `sendto()`, or `send()` without an address.
    Send {
        /// Where to.
        to: Option<SocketAddr>,
        /// The payload.
        bytes: Vec<u8>,
    },
    /// `recvfrom()` of at most 2048 bytes.
    Receive,
    /// `shutdown()`
    Shutdown(Shutdown),
    /// `getsockname()`
    LocalName,
    /// `getpeername()`
    PeerName,
    /// `bpf()`: puts the socket into a map of sockets of its node.
    Put {
        /// The map's name.
        map: String,
        /// The key.
        key: Vec<u8>,
    },
    /// `close()`
    Close,
}

/// What is set on a socket before it is bound or connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SocketSetting {
    /// `SO_REUSEADDR`
    ReuseAddress,
    /// `SO_REUSEPORT`
    ReusePort,
    /// `IPV6_V6ONLY`
    V6Only,
    /// `SO_BROADCAST`
    Broadcast,
    /// `SO_MARK`
    Mark(u32),
}

/// What a call gave, and what the socket's addresses are after it: of an accepted connection, those of the new socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Called {
    /// Whether it succeeded.
    pub result: CallResult,
    /// The address that the call told: a name, or where a datagram came from.
    pub address: Option<SocketAddr>,
    /// What was received.
    pub received: Option<Vec<u8>>,
    /// Where the socket receives: none if it has no port, and of TCP none if it neither listens nor is connected.
    pub local: Option<SocketAddr>,
    /// What the socket is connected to.
    pub peer: Option<SocketAddr>,
}

/// How a call ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CallResult {
    /// As it should.
    Done,
    /// It did nothing, and returned this positive number, because a program said so.
    Returned(i32),
    /// With an error.
    Failed(Errno),
    /// A program did what no verified program does. Only the emulator finds that.
    Fault(ProgramFault),
}

/// The ports that a node chooses from (`net.ipv4.ip_local_port_range`).
const CHOSEN: std::ops::RangeInclusive<u16> = 32768..=60999;

impl Called {
    /// A call that gave nothing but a result, on a socket that has no addresses.
    pub const fn just(result: CallResult) -> Self {
        Self {
            result,
            address: None,
            received: None,
            local: None,
            peer: None,
        }
    }

    /// Whether it began a connection of which is not known yet what becomes.
    pub(crate) fn is_under_way(&self) -> bool {
        self.result == CallResult::Failed(Errno::EINPROGRESS)
    }

    /// What it gave by name, what there is of it; addresses as `show` has them.
    pub fn fields(&self, show: impl Fn(SocketAddr) -> String) -> Vec<(&'static str, String)> {
        let received = self.received.as_deref();
        let fields = [
            ("result", Some(self.result.to_string())),
            ("address", self.address.map(&show)),
            (
                "received",
                received.map(|bytes| bytes.escape_ascii().to_string()),
            ),
            ("local", self.local.map(&show)),
            ("peer", self.peer.map(&show)),
        ];
        let there = fields.into_iter();
        there
            .filter_map(|(name, value)| Some((name, value?)))
            .collect()
    }
}

/// Whether a port is one that a node chooses.
pub(crate) fn is_chosen_port(port: u16) -> bool {
    CHOSEN.contains(&port)
}

/// An address without its port, where that is one that a node chooses.
pub(crate) fn without_chosen_port(address: SocketAddr) -> String {
    if !is_chosen_port(address.port()) {
        return address.to_string();
    }
    match address {
        SocketAddr::V4(v4) => format!("{}:<chosen>", v4.ip()),
        SocketAddr::V6(v6) => format!("[{}]:<chosen>", v6.ip()),
    }
}

impl fmt::Display for CallResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Done => f.pad("done"),
            Self::Returned(number) => write!(f, "returned {number}"),
            Self::Failed(errno) => write!(f, "{errno:?}"),
            Self::Fault(ProgramFault(fault)) => write!(f, "fault: {fault}"),
        }
    }
}

impl fmt::Display for Called {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fields = self.fields(|address| address.to_string());
        let parts = fields.into_iter().map(|(name, value)| match name {
            "result" => value,
            name => format!("{name} {value}"),
        });
        f.write_str(&parts.collect::<Vec<_>>().join(", "))
    }
}

impl fmt::Display for SocketSetting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ReuseAddress => f.write_str("reuse-address"),
            Self::ReusePort => f.write_str("reuse-port"),
            Self::V6Only => f.write_str("v6-only"),
            Self::Broadcast => f.write_str("broadcast"),
            Self::Mark(mark) => write!(f, "mark {mark:#x}"),
        }
    }
}

impl SocketCall {
    /// The call on a socket, as a scenario says it.
    pub fn line(&self, socket: &SocketName) -> String {
        match self {
            Self::Open(family, protocol) => {
                let transport = if *protocol == Protocol::Tcp {
                    "tcp"
                } else {
                    "udp"
                };
                let six = if *family == Family::V6 { "6" } else { "" };
                format!("socket {socket} {transport}{six}")
            }
            Self::Set(setting) => format!("set {socket} {setting}"),
            Self::Bind(address) => format!("bind {socket} {address}"),
            Self::Listen => format!("listen {socket}"),
            Self::Connect(address) => format!("connect {socket} {address}"),
            Self::Disconnect => format!("disconnect {socket}"),
            Self::Accept(new) => format!("accept {socket} as {new}"),
            Self::Send { to, bytes } => {
                let to = to.map(|to| format!(" to {to}")).unwrap_or_default();
                format!("send {socket} {}{to}", bytes.escape_ascii())
            }
            Self::Receive => format!("receive {socket}"),
            Self::Shutdown(how) => {
                let how = match how {
                    Shutdown::Receive => "receive",
                    Shutdown::Send => "send",
                    Shutdown::Both => "both",
                };
                format!("shutdown {socket} {how}")
            }
            Self::LocalName => format!("getsockname {socket}"),
            Self::PeerName => format!("getpeername {socket}"),
            Self::Put { map, key } => format!("put {socket} in {map} {}", hex(key)),
            Self::Close => format!("close {socket}"),
        }
    }
}
