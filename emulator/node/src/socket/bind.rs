//! `bind()` and `listen()` (`inet_bind`, `inet6_bind`, `inet_listen`).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use twinpath_machine::{AttachType, Errno, SocketId};

use super::callback::Callback;
use super::calls::SocketCalls;
use super::namespace::AddressType;
use super::ports::FIRST_UNPRIVILEGED;
use super::socket::{Phase, Socket};
use super::types::{Family, Host, Protocol, SocketError, State};
use crate::context::SockAddr;
use crate::types::Ifindex;

/// How a socket is bound (`BIND_*`).
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct BindFlags {
    /// A program allows a privileged port to everybody.
    pub(crate) any_port: bool,
    /// A program binds, so that no programs are asked afterwards.
    pub(crate) from_program: bool,
    /// No port is taken if none is chosen.
    pub(crate) leave_port: bool,
}

impl SockAddr {
    /// An address as a caller gives it.
    pub(super) fn new(address: SocketAddr) -> Self {
        let unspecified = Self {
            family: Family::of(address.ip()),
            ip4: Ipv4Addr::UNSPECIFIED,
            ip6: Ipv6Addr::UNSPECIFIED,
            port: address.port(),
            source4: Ipv4Addr::UNSPECIFIED,
            source6: Ipv6Addr::UNSPECIFIED,
        };
        match address.ip() {
            IpAddr::V4(ip4) => Self { ip4, ..unspecified },
            IpAddr::V6(ip6) => Self { ip6, ..unspecified },
        }
    }

    /// The address as programs left it; what they cannot change is as it was in `before`.
    pub(super) fn address(&self, before: SocketAddr) -> SocketAddr {
        let mut address = before;
        match &mut address {
            SocketAddr::V4(v4) => v4.set_ip(self.ip4),
            SocketAddr::V6(v6) => v6.set_ip(self.ip6),
        }
        address.set_port(self.port);
        address
    }
}

impl SocketCalls<'_> {
    /// `bind()` (`inet_bind_sk`, `inet6_bind_sk`).
    ///
    /// # Errors
    /// The kernel's.
    pub fn bind(&mut self, id: SocketId, address: SocketAddr) -> Result<(), SocketError> {
        let socket = self.net.sockets.get(id).ok_or(Errno::EBADF)?;
        let hook = match (socket.family, address) {
            (Family::V6, SocketAddr::V6(_)) => AttachType::CgroupInet6Bind,
            // An IPv4 address is shorter than what an IPv6 socket wants.
            (Family::V6, SocketAddr::V4(_)) => return Err(Errno::EINVAL.into()),
            _ => AttachType::CgroupInet4Bind,
        };
        let fits = (socket.family == Family::V6) == address.is_ipv6();
        let mut seen = SockAddr::new(address);
        let verdict = self.run_cgroup(id, hook, Some(&mut seen))?;
        if !fits {
            return Err(Errno::EAFNOSUPPORT.into());
        }
        let flags = BindFlags {
            any_port: verdict.flags & 1 != 0,
            ..BindFlags::default()
        };
        self.bind_to(id, seen.address(address), flags)
    }

    /// `__inet_bind`, `__inet6_bind`
    pub(crate) fn bind_to(
        &mut self,
        id: SocketId,
        address: SocketAddr,
        flags: BindFlags,
    ) -> Result<(), SocketError> {
        let before = self.net.sockets.get(id).ok_or(Errno::EBADF)?;
        let v6_only = before.options.v6_only;
        self.take_address(id, address, flags)?;
        let socket = self.net.sockets.get(id).ok_or(Errno::EBADF)?;
        let leave = socket.options.address_without_port || flags.leave_port;
        let port = address.port();
        if port != 0 || !leave {
            let taken = self.take_port(id, port, flags);
            if let Err(error) = taken {
                if let Some(socket) = self.net.sockets.get_mut(id) {
                    socket.options.v6_only = v6_only;
                    socket.reset_addresses();
                }
                return Err(error);
            }
        }
        if let Some(socket) = self.net.sockets.get_mut(id) {
            socket.address_chosen |= !socket.is_local_any();
            socket.port_chosen |= port != 0;
            socket.source_port = socket.local_port;
            socket.remote_port = 0;
            socket.remote.v4 = Ipv4Addr::UNSPECIFIED;
        }
        Ok(())
    }

    /// Checks an address and makes it the socket's.
    fn take_address(
        &mut self,
        id: SocketId,
        address: SocketAddr,
        flags: BindFlags,
    ) -> Result<(), Errno> {
        let socket = self.net.sockets.get(id).ok_or(Errno::EBADF)?;
        // What an IPv6 socket is bound to counts on its device alone.
        let device = match socket.family {
            Family::V6 => socket.options.bound_device,
            _ => None,
        };
        let device_exists = || match device {
            Some(device) if self.net.find(socket.node(), device.get()).is_none() => {
                Err(Errno::ENODEV)
            }
            _ => Ok(()),
        };
        let kind = |ip| self.address_type(socket.node(), ip, device);
        let check_v4 = |v4: Ipv4Addr| {
            let any = socket.options.any_address || v4.is_unspecified();
            let fits = any || kind(v4.into()) != AddressType::Unicast;
            if fits {
                Ok(kind(v4.into()))
            } else {
                Err(Errno::EADDRNOTAVAIL)
            }
        };
        let privileged = flags.any_port || socket.owner.privileged;
        let refused = (1..FIRST_UNPRIVILEGED).contains(&address.port()) && !privileged;
        let refuse_port = || if refused { Err(Errno::EACCES) } else { Ok(()) };
        let is_free = || match socket.state {
            State::Closed if socket.local_port == 0 => Ok(()),
            _ => Err(Errno::EINVAL),
        };
        let (local, source, bound, v6_only) = match address.ip() {
            IpAddr::V4(v4) => {
                let kind = check_v4(v4)?;
                refuse_port()?;
                is_free()?;
                let source = match kind {
                    AddressType::Multicast | AddressType::Broadcast => Ipv4Addr::UNSPECIFIED,
                    _ => v4,
                };
                let local = Host { v4, ..socket.local };
                (
                    local,
                    Host {
                        v4: source,
                        ..socket.source
                    },
                    None,
                    None,
                )
            }
            IpAddr::V6(v6) => {
                if v6.is_multicast() && socket.protocol == Protocol::Tcp {
                    return Err(Errno::EINVAL);
                }
                refuse_port()?;
                is_free()?;
                if !v6.is_unspecified() {
                    device_exists()?;
                }
                let bound = match address {
                    SocketAddr::V6(address) if needs_scope(v6) => Ifindex::new(address.scope_id()),
                    _ => None,
                };
                let v4 = bindable_v6(socket, v6, bound, &kind, &check_v4)?;
                let source = if v6.is_multicast() {
                    socket.source.v6
                } else {
                    v6
                };
                let only = v6.to_ipv4_mapped().is_none() && !v6.is_unspecified();
                (
                    Host { v4, v6 },
                    Host { v4, v6: source },
                    bound,
                    only.then_some(true),
                )
            }
        };
        let socket = self.net.sockets.get_mut(id).ok_or(Errno::EBADF)?;
        (socket.local, socket.source) = (local, source);
        socket.options.bound_device = bound.or(socket.options.bound_device);
        socket.options.v6_only = v6_only.unwrap_or(socket.options.v6_only);
        Ok(())
    }

    /// Takes the port, and asks the programs after that.
    fn take_port(&mut self, id: SocketId, port: u16, flags: BindFlags) -> Result<(), SocketError> {
        let socket = self.net.sockets.get(id).ok_or(Errno::EBADF)?;
        let (protocol, family) = (socket.protocol, socket.family);
        self.net.sockets.expire(self.machine);
        match protocol {
            Protocol::Udp => self.net.sockets.take_udp_port(id, port)?,
            _ => self.net.sockets.take_tcp_port(id, port)?,
        }
        if flags.from_program {
            return Ok(());
        }
        let hook = match family {
            Family::V6 => AttachType::CgroupInet6PostBind,
            _ => AttachType::CgroupInet4PostBind,
        };
        let allowed = self.run_cgroup(id, hook, None);
        if let Err(error) = allowed {
            self.net.sockets.give_port_back(id);
            return Err(error);
        }
        Ok(())
    }

    /// A port for a socket that needs one and has none (`inet_autobind`).
    pub(super) fn autobind(&mut self, id: SocketId) -> Result<(), Errno> {
        let socket = self.net.sockets.get(id).ok_or(Errno::EBADF)?;
        if socket.local_port != 0 {
            return Ok(());
        }
        let taken = match socket.protocol {
            Protocol::Udp => self.net.sockets.take_udp_port(id, 0),
            _ => self.net.sockets.take_tcp_port(id, 0),
        };
        taken.map_err(|_| Errno::EAGAIN)?;
        if let Some(socket) = self.net.sockets.get_mut(id) {
            socket.source_port = socket.local_port;
        }
        Ok(())
    }

    /// `listen()` (`inet_listen`).
    ///
    /// # Errors
    /// The kernel's.
    pub fn listen(&mut self, id: SocketId, backlog: u32) -> Result<(), SocketError> {
        /// `net.core.somaxconn`
        const MAX_BACKLOG: u32 = 4096;
        self.net.sockets.expire(self.machine);
        let socket = self.net.sockets.get_mut(id).ok_or(Errno::EBADF)?;
        if socket.protocol != Protocol::Tcp {
            return Err(Errno::EOPNOTSUPP.into());
        }
        if socket.phase != Phase::Unconnected {
            return Err(Errno::EINVAL.into());
        }
        match socket.state {
            State::Listen => {
                socket.backlog = backlog.min(MAX_BACKLOG);
                return Ok(());
            }
            State::Closed => {}
            _ => return Err(Errno::EINVAL.into()),
        }
        socket.backlog = backlog.min(MAX_BACKLOG);
        // Announced before it is known whether the port can be had, which decides about that.
        socket.state = State::Listen;
        let port = socket.local_port;
        let taken = self.net.sockets.take_tcp_port(id, port);
        if let Err(errno) = taken {
            if let Some(socket) = self.net.sockets.get_mut(id) {
                socket.state = State::Closed;
            }
            return Err(errno.into());
        }
        if let Some(socket) = self.net.sockets.get_mut(id) {
            socket.source_port = socket.local_port;
        }
        self.net.sockets.hash_listener(id);
        let told = self.call_back(id, id, &[Callback::Listen]);
        told.map_err(SocketError::Fault)
    }
}

impl super::Sockets {
    /// Gives back the port that a socket has just got (`put_port`).
    pub(super) fn give_port_back(&mut self, id: SocketId) {
        self.unhash(id);
        self.release_port(id);
        if let Some(socket) = self.get_mut(id) {
            socket.local_port = 0;
        }
    }
}

/// Whether an address means nothing without a device.
pub(super) fn needs_scope(v6: Ipv6Addr) -> bool {
    v6.is_unicast_link_local() || v6.is_multicast() && matches!(v6.segments()[0] & 0xf, 1 | 2)
}

/// Checks that a socket may be bound to an IPv6 address; its IPv4 equivalent.
fn bindable_v6(
    socket: &Socket,
    v6: Ipv6Addr,
    bound: Option<Ifindex>,
    kind: &dyn Fn(IpAddr) -> AddressType,
    check_v4: &dyn Fn(Ipv4Addr) -> Result<AddressType, Errno>,
) -> Result<Ipv4Addr, Errno> {
    if v6.is_unspecified() {
        return Ok(Ipv4Addr::UNSPECIFIED);
    }
    if let Some(v4) = v6.to_ipv4_mapped() {
        if socket.is_v6_only() {
            return Err(Errno::EINVAL);
        }
        check_v4(v4)?;
        return Ok(v4);
    }
    if needs_scope(v6) && bound.or(socket.options.bound_device).is_none() {
        return Err(Errno::EINVAL);
    }
    let fits =
        v6.is_multicast() || socket.options.any_address || kind(v6.into()) == AddressType::Local;
    if fits {
        Ok(Host::NO_V4)
    } else {
        Err(Errno::EADDRNOTAVAIL)
    }
}
