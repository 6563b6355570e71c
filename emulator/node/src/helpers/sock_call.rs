//! Helpers of programs at socket calls: what the call returns, options, binding.

use std::net::{IpAddr, SocketAddr, SocketAddrV6};

use twinpath_machine::{Access, Call, Checked, Errno, FaultKind, SocketId};

use super::size;
use crate::net::Net;
use crate::socket::{
    BindFlags, Family, Protocol, SocketCalls, SocketError, SocketSubject, get_option, set_option,
};

/// `bpf_get_retval`
pub(super) fn get_returned(
    subject: &mut SocketSubject,
    _net: &mut Net,
    _call: &mut Call<'_>,
) -> Checked<u64> {
    Ok(i64::from(subject.returned) as u64)
}

/// `bpf_set_retval`
pub(super) fn set_returned(
    subject: &mut SocketSubject,
    _net: &mut Net,
    call: &mut Call<'_>,
) -> Checked<u64> {
    subject.returned = call.arg(1) as i32;
    Ok(0)
}

/// `bpf_setsockopt` of a `cgroup/sock_addr` program.
pub(super) fn set(subject: &mut SocketSubject, net: &mut Net, call: &mut Call<'_>) -> Checked<u64> {
    call.context(1)?;
    let len = size(call, 5)?;
    let at = call.range(4, len, Access::Read)?;
    let (level, name) = (call.arg(2) as i32, call.arg(3) as i32);
    let Some(id) = subject.socket else {
        return Ok(Errno::EINVAL.into());
    };
    let (node, devices) = (subject.node, &net.devices);
    let device = |wanted: &[u8]| {
        let mut own = devices.iter().filter(|device| device.node() == node);
        let found = own.find(|device| device.name().as_bytes() == wanted);
        found.map(|device| device.ifindex())
    };
    let bytes = call.machine.memory.raw(at, len);
    let Some(socket) = net.sockets.get_mut(id) else {
        return Ok(Errno::EINVAL.into());
    };
    let before = socket.options.bound_device;
    let done = set_option(socket, level, name, bytes, &device);
    if socket.protocol == Protocol::Udp && socket.options.bound_device != before {
        net.sockets.rehash_datagram(id, false);
    }
    net.sockets.refresh(&mut call.machine.memory, id);
    Ok(done.map_or_else(u64::from, |()| 0))
}

/// `bpf_getsockopt` of a `cgroup/sock_addr` program.
pub(super) fn get(subject: &mut SocketSubject, net: &mut Net, call: &mut Call<'_>) -> Checked<u64> {
    call.context(1)?;
    let len = size(call, 5)?;
    let (level, name) = (call.arg(2) as i32, call.arg(3) as i32);
    let into = call.bytes_mut(4, len)?;
    let Some(socket) = subject.socket.and_then(|id| net.sockets.get(id)) else {
        return Ok(Errno::EINVAL.into());
    };
    let done = get_option(socket, level, name, into);
    Ok(done.map_or_else(u64::from, |()| 0))
}

/// `bpf_bind`: binds the socket of a `connect()` before it connects.
pub(super) fn bind(
    subject: &mut SocketSubject,
    net: &mut Net,
    call: &mut Call<'_>,
) -> Checked<u64> {
    call.context(1)?;
    let len = size(call, 3)?;
    let at = call.range(2, len, Access::Read)?;
    let bytes = call.machine.memory.raw(at, len);
    let address = match (address(bytes), subject.socket) {
        (Ok(address), Some(id)) => family_fits(net, id, address).map(|()| (id, address)),
        (Err(errno), _) => Err(errno),
        (_, None) => Err(Errno::EINVAL),
    };
    let (id, address) = match address {
        Ok(found) => found,
        Err(errno) => return Ok(errno.into()),
    };
    let flags = BindFlags {
        any_port: false,
        from_program: true,
        leave_port: address.port() == 0,
    };
    let done = SocketCalls::new(net, call.machine).bind_to(id, address, flags);
    net.sockets.refresh(&mut call.machine.memory, id);
    match done {
        Ok(()) => Ok(0),
        Err(SocketError::Errno(errno)) => Ok(errno.into()),
        Err(SocketError::Returned(returned)) => Ok(returned as u64),
        Err(SocketError::Fault(fault)) => Err(Box::new(fault.kind)),
        Err(SocketError::Unsupported(what)) => {
            Err(Box::new(FaultKind::Unsupported(what.to_owned())))
        }
    }
}

/// Reads `struct sockaddr_in` or `struct sockaddr_in6`, which may lack its scope.
fn address(bytes: &[u8]) -> Result<SocketAddr, Errno> {
    const AF_INET: u16 = 2;
    const AF_INET6: u16 = 10;
    let family = bytes.first_chunk().ok_or(Errno::EINVAL)?;
    let port = |bytes: &[u8]| u16::from_be_bytes([bytes[2], bytes[3]]);
    match u16::from_le_bytes(*family) {
        AF_INET => {
            let bytes: &[u8; 16] = bytes.first_chunk().ok_or(Errno::EINVAL)?;
            let ip = [bytes[4], bytes[5], bytes[6], bytes[7]];
            Ok(SocketAddr::new(IpAddr::from(ip), port(bytes)))
        }
        AF_INET6 => {
            let head: &[u8; 24] = bytes.first_chunk().ok_or(Errno::EINVAL)?;
            let ip: [u8; 16] = std::array::from_fn(|byte| head[8 + byte]);
            let scope = bytes.get(24..28).and_then(|scope| scope.first_chunk());
            let scope = scope.map_or(0, |scope| u32::from_le_bytes(*scope));
            Ok(SocketAddrV6::new(ip.into(), port(head), 0, scope).into())
        }
        _ => Err(Errno::EAFNOSUPPORT),
    }
}

/// An IPv6 address is nothing that an IPv4 socket could be bound to.
fn family_fits(net: &Net, id: SocketId, address: SocketAddr) -> Result<(), Errno> {
    let socket = net.sockets.get(id).ok_or(Errno::EINVAL)?;
    match (socket.family, address) {
        (Family::V4, SocketAddr::V6(_)) => Err(Errno::EAFNOSUPPORT),
        _ => Ok(()),
    }
}
