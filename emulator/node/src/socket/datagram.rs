//! Datagrams: `sendto()` and `recvfrom()` (`udp_sendmsg`, `udpv6_sendmsg`, `udp_recvmsg`).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

use twinpath_machine::{AttachType, Errno, SocketId};

use super::arrive::Report;
use super::calls::SocketCalls;
use super::filter::Passage;
use super::lookup::Query;
use super::namespace::AddressType;
use super::socket::{Datagram, Socket};
use super::transmit::Marks;
use super::types::{Family, Flow, Protocol, SocketError, State};
use crate::context::SockAddr;
use crate::network::Route;
use crate::types::Ifindex;

/// A datagram that was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sent {
    /// What it is sent from.
    pub from: SocketAddr,
    /// Where it is sent to.
    pub to: SocketAddr,
    /// How far it came.
    pub reach: Reach,
    /// The socket that got it, of a node without a network stack.
    pub received_by: Option<SocketId>,
}

/// How far a datagram came in the course of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// Its destination is the node itself, which has no network stack.
    Local,
    /// It left its socket as a packet, which went as far as the networks of the world carried it: on the node itself by its
    /// loopback device.
    Carried,
    /// It leaves the node as a packet that nobody carries: the node has no network stack, or it is for several.
    Beyond,
}

/// A datagram with its way.
#[derive(Debug, Clone, Copy)]
struct Way {
    from: IpAddr,
    to: SocketAddr,
    kind: AddressType,
    route: Option<Route>,
}

impl SocketCalls<'_> {
    /// `sendto()`, or `send()` without an address, of a UDP socket.
    ///
    /// # Errors
    /// The kernel's.
    pub fn send(
        &mut self,
        id: SocketId,
        to: Option<SocketAddr>,
        bytes: &[u8],
    ) -> Result<Sent, SocketError> {
        const MAX_LEN: usize = 0xffff;
        let socket = self.net.sockets.get(id).ok_or(Errno::EBADF)?;
        if socket.protocol != Protocol::Udp {
            return Err(Errno::EOPNOTSUPP.into());
        }
        let marks = Marks::of(socket);
        self.autobind(id)?;
        let way = self.way(id, to, bytes.len() > MAX_LEN)?;
        let socket = self.net.sockets.get_mut(id).ok_or(Errno::EBADF)?;
        if let Some(errno) = socket.error.take() {
            return Err(errno.into());
        }
        if socket.shut.send {
            return Err(Errno::EPIPE.into());
        }
        let from = SocketAddr::new(way.from, socket.source_port);
        let mut sent = Sent {
            from,
            to: way.to,
            reach: match (way.kind, way.route) {
                (AddressType::Local | AddressType::Unicast, Some(_)) => Reach::Carried,
                (AddressType::Local, None) => Reach::Local,
                _ => Reach::Beyond,
            },
            received_by: None,
        };
        if let (Reach::Carried, Some(route)) = (sent.reach, &way.route) {
            self.transmit(marks, route, (sent.from, sent.to), bytes)?;
            return Ok(sent);
        }
        if sent.reach == Reach::Local {
            let hook = AttachType::CgroupInetEgress;
            match self.filter(id, hook, (sent.from, sent.to), marks, bytes)? {
                Passage::Goes => sent.received_by = self.deliver(id, &sent, marks, bytes)?,
                Passage::Lost(Some(errno)) => return Err(errno.into()),
                Passage::Lost(None) => {}
            }
            return Ok(sent);
        }
        self.refuse_filters(
            id,
            "a datagram that nobody carries or that is for everybody",
        )?;
        if way.kind == AddressType::Broadcast {
            self.deliver_to_all(id, &sent, bytes);
        }
        Ok(sent)
    }

    /// Where a datagram goes, programs asked.
    fn way(
        &mut self,
        id: SocketId,
        to: Option<SocketAddr>,
        too_long: bool,
    ) -> Result<Way, SocketError> {
        let socket = self.net.sockets.get(id).ok_or(Errno::EBADF)?;
        let connected = socket.state == State::Established;
        let v6_only = socket.is_v6_only();
        let target = match (socket.family, to) {
            (_, None) if !connected => return Err(Errno::EDESTADDRREQ.into()),
            (_, None) => socket.remote(),
            (Family::V6, Some(to)) => to,
            (_, Some(to @ SocketAddr::V4(_))) => to,
            (_, Some(SocketAddr::V6(_))) => return Err(Errno::EAFNOSUPPORT.into()),
        };
        let named = to.is_some();
        match target {
            SocketAddr::V4(v4) if v6_only && socket.family == Family::V6 => {
                let _ = v4;
                Err(Errno::ENETUNREACH.into())
            }
            SocketAddr::V4(v4) => self.way4(id, v4, named, too_long),
            SocketAddr::V6(v6) => {
                let mapped_source = socket.source.v6.to_ipv4_mapped().is_some();
                let ip = if named && v6.ip().is_unspecified() && mapped_source {
                    Ipv4Addr::LOCALHOST.to_ipv6_mapped()
                } else {
                    *v6.ip()
                };
                match ip.to_ipv4_mapped() {
                    Some(_) if v6_only => Err(Errno::ENETUNREACH.into()),
                    Some(v4) => {
                        // Programs are asked even about a connected socket.
                        let v4 = SocketAddrV4::new(v4, v6.port());
                        self.way4(id, v4, true, too_long)
                    }
                    None if too_long => Err(Errno::EMSGSIZE.into()),
                    None => {
                        let v6 = SocketAddrV6::new(ip, v6.port(), v6.flowinfo(), v6.scope_id());
                        self.way6(id, v6, named)
                    }
                }
            }
        }
    }

    fn way4(
        &mut self,
        id: SocketId,
        to: SocketAddrV4,
        named: bool,
        too_long: bool,
    ) -> Result<Way, SocketError> {
        if too_long {
            return Err(Errno::EMSGSIZE.into());
        }
        if named && to.port() == 0 {
            return Err(Errno::EINVAL.into());
        }
        let source = self.net.sockets.get(id).ok_or(Errno::EBADF)?.source.v4;
        let mut seen = SockAddr::new(SocketAddr::V4(to));
        seen.source4 = source;
        if named {
            let hook = AttachType::CgroupUdp4Sendmsg;
            self.run_cgroup(id, hook, Some(&mut seen))?;
            if seen.port == 0 {
                return Err(Errno::EINVAL.into());
            }
        }
        let socket = self.net.sockets.get(id).ok_or(Errno::EBADF)?;
        let route = self.route(socket, seen.ip4.into(), seen.source4.into())?;
        if route.kind == AddressType::Broadcast && !socket.options.broadcast {
            return Err(Errno::EACCES.into());
        }
        Ok(Way {
            from: route.source,
            to: SocketAddr::new(route.destination, seen.port),
            kind: route.kind,
            route: route.way,
        })
    }

    fn way6(&mut self, id: SocketId, to: SocketAddrV6, named: bool) -> Result<Way, SocketError> {
        if named && to.port() == 0 {
            return Err(Errno::EINVAL.into());
        }
        let source = self.net.sockets.get(id).ok_or(Errno::EBADF)?.source.v6;
        let mut seen = SockAddr::new(SocketAddr::V6(to));
        seen.source6 = source;
        if named {
            let hook = AttachType::CgroupUdp6Sendmsg;
            self.run_cgroup(id, hook, Some(&mut seen))?;
            if seen.ip6.to_ipv4_mapped().is_some() {
                return Err(Errno::ENOTSUPP.into());
            }
            if seen.port == 0 {
                return Err(Errno::EINVAL.into());
            }
        }
        let ip = Some(seen.ip6).filter(|ip| !ip.is_unspecified());
        let ip = ip.unwrap_or(Ipv6Addr::LOCALHOST);
        let socket = self.net.sockets.get(id).ok_or(Errno::EBADF)?;
        let route = self.route(socket, ip.into(), seen.source6.into())?;
        Ok(Way {
            from: route.source,
            to: SocketAddr::new(ip.into(), seen.port),
            kind: route.kind,
            route: route.way,
        })
    }

    /// Puts a datagram into the queue of the socket that it is for, if there is one.
    fn deliver(
        &mut self,
        sender: SocketId,
        sent: &Sent,
        marks: Marks,
        bytes: &[u8],
    ) -> Result<Option<SocketId>, SocketError> {
        let socket = self.net.sockets.get(sender).ok_or(Errno::EBADF)?;
        let (node, bound) = (socket.node(), socket.options.bound_device);
        let flow = Flow::new(Protocol::Udp, sent.to, sent.from);
        let device = self.net.sockets.arrival(node, flow.local.ip(), bound);
        let query = Query { node, flow, device };
        let Some(found) = self.find_socket(&query) else {
            self.unreachable(&query);
            return Ok(None);
        };
        let hook = AttachType::CgroupInetIngress;
        let passage = self.filter(found, hook, (sent.from, sent.to), marks, bytes)?;
        if passage != Passage::Goes {
            return Ok(None);
        }
        self.queue_datagram(found, sent.from, bytes.to_vec());
        Ok(Some(found))
    }

    /// The answer to a datagram is that its port is unreachable, of which a socket hears that is
    /// connected to just that port (`__udp4_lib_err`).
    fn unreachable(&mut self, query: &Query) {
        let (node, flow) = (query.node, query.flow.reversed());
        // ICMP looks at the device that the error itself came by (`__udp4_lib_err`).
        let device = match flow.local.ip() {
            IpAddr::V4(_) => Ifindex::LOOPBACK.get(),
            to @ IpAddr::V6(_) => self.net.sockets.arrival(node, to, None),
        };
        if self.address_type(node, flow.local.ip(), None) == AddressType::Local {
            self.report(&Query { node, flow, device }, Report::REFUSED);
        }
    }

    /// A broadcast also goes to the node's own sockets, to each that it is for
    /// (`__udp4_lib_mcast_deliver`).
    fn deliver_to_all(&mut self, sender: SocketId, sent: &Sent, bytes: &[u8]) {
        let Some(node) = self.net.sockets.get(sender).map(Socket::node) else {
            return;
        };
        let device = self.net.sockets.device_of(node, sent.from.ip());
        let flow = Flow::new(Protocol::Udp, sent.to, sent.from);
        let receivers = self
            .net
            .sockets
            .datagrams_for(&Query { node, flow, device });
        for id in receivers {
            self.queue_datagram(id, sent.from, bytes.to_vec());
        }
    }

    /// A datagram waits in a socket's queue.
    pub(super) fn queue_datagram(&mut self, id: SocketId, from: SocketAddr, bytes: Vec<u8>) {
        if let Some(socket) = self.net.sockets.get_mut(id) {
            socket.received.push_back(Datagram { from, bytes });
        }
    }

    /// `recvfrom()` of a UDP socket.
    ///
    /// # Errors
    /// The kernel's; `EAGAIN` when no datagram waits.
    pub fn receive(&mut self, id: SocketId) -> Result<Datagram, SocketError> {
        let socket = self.net.sockets.get_mut(id).ok_or(Errno::EBADF)?;
        if socket.protocol != Protocol::Udp {
            return Err(Errno::EOPNOTSUPP.into());
        }
        if let Some(errno) = socket.error.take() {
            return Err(errno.into());
        }
        let family = socket.family;
        let mut datagram = socket.received.pop_front().ok_or(Errno::EAGAIN)?;
        let (hook, from) = match (family, datagram.from.ip()) {
            (Family::V6, ip) => {
                let ip = match ip {
                    IpAddr::V4(v4) => v4.to_ipv6_mapped(),
                    IpAddr::V6(v6) => v6,
                };
                let from = SocketAddr::new(ip.into(), datagram.from.port());
                (AttachType::CgroupUdp6Recvmsg, from)
            }
            _ => (AttachType::CgroupUdp4Recvmsg, datagram.from),
        };
        let mut seen = SockAddr::new(from);
        match self.run_cgroup(id, hook, Some(&mut seen)) {
            Err(error @ SocketError::Fault(_)) => return Err(error),
            // The call succeeds whatever programs say.
            _ => datagram.from = seen.address(from),
        }
        Ok(datagram)
    }
}
