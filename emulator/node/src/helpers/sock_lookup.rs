//! Helpers that find sockets, give them back, and give packets to them (`bpf_sk_lookup_*`,
//! `bpf_sk_release`, `bpf_sk_assign`).

use std::net::{IpAddr, SocketAddr};

use twinpath_machine::{Access, Call, Checked, Errno, Pointer, SocketId};

use super::{Answer, answer};
use crate::net::{Net, NodeId, Placed};
use crate::packet::{Owner, Skb};
use crate::socket::{
    Choice, Family, Flow, Protocol, Query, SocketCalls, SocketSubject, State, View,
};

/// Who asks for a socket.
pub(super) trait Asks {
    /// The namespace, and the interface index of the device that the packet is on, 0 for none.
    fn place(&self, net: &Net) -> (NodeId, u32);

    /// Whether the number of the namespace is taken as 32 bits.
    const SHORT_NUMBER: bool;
}

impl Asks for Skb {
    fn place(&self, net: &Net) -> (NodeId, u32) {
        (self.node(net), net.ifindex(self.device()).get())
    }

    const SHORT_NUMBER: bool = false;
}

impl Asks for crate::packet::Xdp {
    fn place(&self, net: &Net) -> (NodeId, u32) {
        (self.node(net), net.ifindex(self.device()).get())
    }

    const SHORT_NUMBER: bool = true;
}

impl Asks for SocketSubject {
    fn place(&self, _net: &Net) -> (NodeId, u32) {
        (self.node, 0)
    }

    const SHORT_NUMBER: bool = false;
}

pub(super) fn tcp(asks: &mut impl Asks, net: &mut Net, call: &mut Call<'_>) -> Checked<u64> {
    full(asks, net, call, Protocol::Tcp)
}

pub(super) fn udp(asks: &mut impl Asks, net: &mut Net, call: &mut Call<'_>) -> Checked<u64> {
    full(asks, net, call, Protocol::Udp)
}

/// A full socket, or nothing: of a request, the listener.
fn full(asks: &impl Asks, net: &mut Net, call: &mut Call<'_>, protocol: Protocol) -> Checked<u64> {
    let found = find(asks, net, call, protocol)?;
    let found = found.and_then(|id| full_socket(net, id));
    Ok(hold(net, call, found, View::Full))
}

/// `bpf_skc_lookup_tcp`
pub(super) fn common(asks: &mut impl Asks, net: &mut Net, call: &mut Call<'_>) -> Checked<u64> {
    let found = find(asks, net, call, Protocol::Tcp)?;
    Ok(hold(net, call, found, View::Common))
}

fn hold(net: &mut Net, call: &mut Call<'_>, found: Option<SocketId>, view: View) -> u64 {
    match found {
        Some(id) => net.sockets.hold(call, id, view),
        None => {
            call.machine.memory.note_null(call.helper, call.at);
            0
        }
    }
}

/// `sk_to_full_sk`, and none for what is no full socket even then.
pub(super) fn full_socket(net: &Net, id: SocketId) -> Option<SocketId> {
    let socket = net.sockets.get(id)?;
    match socket.state {
        State::Request => socket.listener,
        State::TimeWait => None,
        _ => Some(id),
    }
}

/// `__bpf_skc_lookup`
fn find(
    asks: &impl Asks,
    net: &mut Net,
    call: &mut Call<'_>,
    protocol: Protocol,
) -> Checked<Option<SocketId>> {
    const IPV4: u32 = 12;
    const IPV6: u32 = 36;
    call.context(1)?;
    let len = call.size(3)?;
    let at = call.range(2, len, Access::Read)?;
    let tuple = call.machine.memory.raw(at, len);
    let flow = match len {
        IPV4 => Flow::new(protocol, end::<4>(tuple, 4, 10), end::<4>(tuple, 0, 8)),
        IPV6 => Flow::new(protocol, end::<16>(tuple, 16, 34), end::<16>(tuple, 0, 32)),
        _ => return Ok(None),
    };
    let (node, device) = asks.place(net);
    let number = match call.arg(4) {
        number if asks_short(asks) => u64::from(number as u32),
        number => number,
    };
    let Some(node) = namespace(net, node, number).filter(|_| call.arg(5) == 0) else {
        return Ok(None);
    };
    let query = Query { node, flow, device };
    Ok(SocketCalls::new(net, call.machine).find_socket(&query))
}

fn asks_short<A: Asks>(_asks: &A) -> bool {
    A::SHORT_NUMBER
}

/// The namespace of a number, of which each negative one stands for the program's own.
fn namespace(net: &Net, own: NodeId, number: u64) -> Option<NodeId> {
    if (number as i32) < 0 {
        return Some(own);
    }
    net.sockets.namespace_of(own, i32::try_from(number).ok()?)
}

/// One end of a tuple: its address, then where its port is.
fn end<const N: usize>(tuple: &[u8], address: usize, port: usize) -> SocketAddr
where
    IpAddr: From<[u8; N]>,
{
    let ip: [u8; N] = std::array::from_fn(|byte| tuple[address + byte]);
    let port = u16::from_be_bytes([tuple[port], tuple[port + 1]]);
    SocketAddr::new(IpAddr::from(ip), port)
}

/// `bpf_sk_release`
pub(super) fn release<S>(_subject: &mut S, net: &mut Net, call: &mut Call<'_>) -> Checked<u64> {
    let (_, _, pointer) = net.socket_argument(call, 1)?;
    net.sockets.release(call, pointer)?;
    Ok(0)
}

/// `bpf_sk_assign` of a tc program: the packet is for this socket, whatever its addresses say.
pub(super) fn assign_packet(skb: &mut Skb, net: &mut Net, call: &mut Call<'_>) -> Checked<u64> {
    call.context(1)?;
    let (id, ..) = net.socket_argument(call, 2)?;
    let checked = may_take(skb, net, id, call.arg(3));
    if checked.is_ok() {
        let memory = &mut call.machine.memory;
        let object = net.sockets.object(memory, id, View::Common);
        memory.bind(object);
        if let Some(socket) = net.sockets.get(id) {
            (skb.socket, skb.assigned) = (Some(id), true);
            skb.owner = Owner::of(socket, object);
        }
    }
    Ok(answer(checked))
}

fn may_take(skb: &Skb, net: &Net, id: SocketId, flags: u64) -> Answer {
    let socket = net.sockets.get(id).filter(|_| flags == 0);
    let socket = socket.ok_or(Errno::EINVAL)?;
    if !skb.at_ingress {
        return Err(Errno::EOPNOTSUPP);
    }
    if skb.node(net) != socket.node() {
        return Err(Errno::ENETUNREACH);
    }
    if !socket.hashed {
        return Err(Errno::EOPNOTSUPP);
    }
    Ok(0)
}

/// `bpf_sk_assign` of a `sk_lookup` program.
pub(super) fn assign_lookup(
    subject: &mut SocketSubject,
    net: &mut Net,
    call: &mut Call<'_>,
) -> Checked<u64> {
    const REPLACE: u64 = 1;
    const NO_REUSEPORT: u64 = 2;
    call.context(1)?;
    let flags = call.arg(3);
    let socket = match Pointer(call.arg(2)).is_null() {
        true => None,
        false => {
            let (id, view, _) = net.socket_argument(call, 2)?;
            if view != View::Full {
                return Err(call.refuse(2, "a socket that is not known to be a full one"));
            }
            Some(id)
        }
    };
    let allowed = if flags & !(REPLACE | NO_REUSEPORT) != 0 {
        Err(Errno::EINVAL)
    } else {
        let fits = socket.map_or(Ok(()), |id| fits(subject, net, id));
        let taken = subject.choice.socket.is_some() && flags & REPLACE == 0;
        fits.and(if taken { Err(Errno::EEXIST) } else { Ok(()) })
    };
    if let Err(errno) = allowed {
        return Ok(errno.into());
    }
    subject.choice = Choice {
        socket,
        alone: flags & NO_REUSEPORT != 0,
    };
    let memory = &mut call.machine.memory;
    let at = memory.context().address();
    if let Some(object) = net.sockets.write_choice(memory, at, subject.choice) {
        memory.bind(object);
    }
    Ok(0)
}

/// Whether a socket can get packets of the flow that is asked about.
fn fits(subject: &SocketSubject, net: &Net, id: SocketId) -> Result<(), Errno> {
    let (Some(socket), Some(flow)) = (net.sockets.get(id), subject.flow) else {
        return Err(Errno::EINVAL);
    };
    let waits = match socket.protocol {
        Protocol::Tcp => socket.state == State::Listen,
        Protocol::Udp => socket.state == State::Closed && socket.hashed,
        Protocol::None => false,
    };
    if !waits {
        return Err(Errno::ESOCKTNOSUPPORT);
    }
    if socket.protocol != flow.protocol {
        return Err(Errno::EPROTOTYPE);
    }
    let other = socket.family != Family::of(flow.local.ip());
    if other && (socket.family == Family::V4 || socket.is_v6_only()) {
        return Err(Errno::EAFNOSUPPORT);
    }
    Ok(())
}
