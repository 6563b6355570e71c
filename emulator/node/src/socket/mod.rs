//! Sockets: a table of them for each world, lookups as the kernel makes them, and socket calls that
//! meet the programs of cgroups in the kernel's order (`net/ipv4/af_inet.c`, `net/ipv6/af_inet6.c`).
//!
//! A socket is opened by a [`Task`], whose namespace and cgroup decide what it meets. Calls between sockets of one node
//! run to their end: the three segments of a TCP connection, a datagram into the receiver's queue. A datagram that
//! leaves the node is a packet of its network stack (`transmit.rs`), and packets that arrive find their sockets
//! (`arrive.rs`). Connections over wires are segments from beginning to end (`handshake.rs`, `connection.rs`).

mod api;
mod arrive;
mod bind;
mod callback;
mod calls;
mod cgroup;
mod close;
mod connect;
mod connect_tcp;
mod connect_udp;
mod connection;
mod cookie;
mod datagram;
mod demux;
mod filter;
mod handshake;
mod hook;
mod incoming;
mod lookup;
mod namespace;
mod options;
mod outgoing;
mod packet;
mod pointer;
mod ports;
mod reuseport;
mod route;
mod segment;
mod sending;
#[expect(clippy::module_inception, reason = "it is about one socket")]
mod socket;
mod stream;
mod table;
mod transmit;
mod types;

pub use api::AttachError;
pub use calls::SocketCalls;
pub use cgroup::{AttachMode, CgroupId};
pub use connect::Connected;
pub use datagram::{Reach, Sent};
pub use hook::SocketRun;
pub use options::SocketOptions;
pub use socket::{Datagram, Socket, Task};
pub use stream::Shutdown;
pub use types::{Family, Flow, Protocol, SocketError, State};

pub(crate) use arrive::Report;
pub(crate) use bind::BindFlags;
pub(crate) use callback::Callback;
pub(crate) use cookie::Segment;
pub(crate) use handshake::Arrival;
pub(crate) use hook::{Choice, SocketSubject};
pub(crate) use lookup::Query;
pub(crate) use options::{get as get_option, set as set_option};
pub(crate) use pointer::View;
pub(crate) use table::Sockets;
pub(crate) use types::Host;
