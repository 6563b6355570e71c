//! `connect()` of UDP sockets (`__ip4_datagram_connect`, `__ip6_datagram_connect`).

use std::net::{IpAddr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

use twinpath_machine::{AttachType, Errno, SocketId};

use super::calls::SocketCalls;
use super::connect::{Connected, or_self};
use super::namespace::AddressType;
use super::types::{Family, Host, SocketError, State};

impl SocketCalls<'_> {
    pub(super) fn connect_udp(
        &mut self,
        id: SocketId,
        address: SocketAddr,
    ) -> Result<Connected, SocketError> {
        let socket = self.net.sockets.get(id).ok_or(Errno::EBADF)?;
        match (socket.family, address) {
            (Family::V6, SocketAddr::V4(_)) if socket.is_v6_only() => {
                // Programs would have to be asked first if any were attached, anywhere.
                const HOOKS: [AttachType; 2] = [
                    AttachType::CgroupInet4Connect,
                    AttachType::CgroupInet6Connect,
                ];
                if !HOOKS
                    .iter()
                    .any(|hook| self.net.sockets.cgroups.uses(*hook))
                {
                    self.autobind(id)?;
                }
                return Err(Errno::EAFNOSUPPORT.into());
            }
            _ => {}
        }
        let family = socket.family;
        let address = self.ask_connect(id, address)?;
        self.autobind(id)?;
        match (family, address) {
            (_, SocketAddr::V4(v4)) => self.connect_udp4(id, v4)?,
            (Family::V6, SocketAddr::V6(v6)) => self.connect_udp6(id, v6)?,
            _ => return Err(Errno::EAFNOSUPPORT.into()),
        }
        Ok(Connected::Done)
    }

    /// `__ip4_datagram_connect`
    fn connect_udp4(&mut self, id: SocketId, to: SocketAddrV4) -> Result<(), Errno> {
        let socket = self.net.sockets.get(id).ok_or(Errno::EBADF)?;
        let route = self.route(socket, IpAddr::V4(*to.ip()), socket.source.v4.into())?;
        if route.kind == AddressType::Broadcast && !socket.options.broadcast {
            return Err(Errno::EACCES);
        }
        let (IpAddr::V4(source), IpAddr::V4(destination)) = (route.source, route.destination)
        else {
            return Err(Errno::EINVAL);
        };
        let is_v6 = socket.family == Family::V6;
        let socket = self.net.sockets.get_mut(id).ok_or(Errno::EBADF)?;
        let moved = socket.local.v4.is_unspecified();
        if socket.source.v4.is_unspecified() {
            socket.source.v4 = source;
        }
        if moved {
            socket.local.v4 = source;
        }
        socket.remote.v4 = destination;
        socket.remote_port = to.port();
        if is_v6 {
            let unset = |v6: Ipv6Addr| v6.to_ipv4_mapped().is_some_and(|v4| v4.is_unspecified());
            socket.remote.v6 = destination.to_ipv6_mapped();
            if socket.source.v6.is_unspecified() || unset(socket.source.v6) {
                socket.source.v6 = socket.source.v4.to_ipv6_mapped();
            }
            if socket.local.v6.is_unspecified() || unset(socket.local.v6) {
                socket.local.v6 = socket.local.v4.to_ipv6_mapped();
            }
        }
        self.become_connected(id, moved);
        Ok(())
    }

    /// `__ip6_datagram_connect`
    fn connect_udp6(&mut self, id: SocketId, to: SocketAddrV6) -> Result<(), Errno> {
        let socket = self.net.sockets.get(id).ok_or(Errno::EBADF)?;
        let ip = or_self(socket, *to.ip());
        if let Some(v4) = ip.to_ipv4_mapped() {
            if socket.is_v6_only() {
                return Err(Errno::ENETUNREACH);
            }
            return self.connect_udp4(id, SocketAddrV4::new(v4, to.port()));
        }
        self.take_scope(id, ip, to.scope_id())?;
        let socket = self.net.sockets.get(id).ok_or(Errno::EBADF)?;
        let route = self.route(socket, ip.into(), socket.source.v6.into())?;
        let IpAddr::V6(source) = route.source else {
            return Err(Errno::EINVAL);
        };
        let socket = self.net.sockets.get_mut(id).ok_or(Errno::EBADF)?;
        let moved = socket.local.v6.is_unspecified();
        if socket.source.v6.is_unspecified() {
            socket.source.v6 = source;
        }
        if moved {
            socket.local = Host {
                v4: Host::NO_V4,
                v6: source,
            };
        }
        socket.remote.v6 = ip;
        socket.remote_port = to.port();
        self.become_connected(id, moved);
        Ok(())
    }

    /// A UDP socket has a remote end now.
    fn become_connected(&mut self, id: SocketId, moved: bool) {
        if moved {
            self.net.sockets.rehash_datagram(id, true);
        }
        let Some(socket) = self.net.sockets.get_mut(id) else {
            return;
        };
        socket.state = State::Established;
        let group = socket.group;
        if let Some(group) = group.and_then(|group| self.net.sockets.groups.get_mut(group)) {
            group.has_connections = true;
        }
    }
}
