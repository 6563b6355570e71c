//! Packet sockets.
#![allow(
    unsafe_code,
    reason = "no crate in use has packet sockets with filters"
)]

use std::ffi::c_int;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use crate::plan::Joined;

/// A raw `AF_PACKET` socket of the namespace in which it was opened. Never blocks.
#[derive(Debug)]
pub struct PacketSocket(OwnedFd);
/// All protocols.
pub const ALL: u16 = libc::ETH_P_ALL as u16;

impl PacketSocket {
    /// Opens a socket that sends only.
    ///
    /// # Errors
    /// Without `CAP_NET_RAW`.
    pub fn open() -> io::Result<Self> {
        let kind = libc::SOCK_RAW | libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
        // SAFETY: the call takes integers only.
        let fd = unsafe { libc::socket(libc::AF_PACKET, kind, 0) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the call returned a new descriptor, which nobody else owns.
        let socket = Self(unsafe { OwnedFd::from_raw_fd(fd as RawFd) });
        socket.set(libc::SOL_PACKET, libc::PACKET_QDISC_BYPASS, 1)?;
        Ok(socket)
    }

    /// Opens a socket that sends segments that are joined, and nothing else.
    ///
    /// # Errors
    /// Without `CAP_NET_RAW`.
    pub fn offloading() -> io::Result<Self> {
        let socket = Self::open()?;
        socket.set(libc::SOL_PACKET, libc::PACKET_VNET_HDR, 1)?;
        // What bypasses queues may not become several packets (`__dev_direct_xmit`).
        socket.set(libc::SOL_PACKET, libc::PACKET_QDISC_BYPASS, 0)?;
        Ok(socket)
    }

    /// Opens a socket that is handed each frame of the protocol that a device receives, or any device where
    /// none is named. What devices send is not seen.
    ///
    /// # Errors
    /// Without `CAP_NET_RAW` and `CAP_NET_ADMIN`.
    pub fn listen(protocol: u16, ifindex: Option<u32>) -> io::Result<Self> {
        let socket = Self::open()?;
        socket.set(libc::SOL_PACKET, libc::PACKET_IGNORE_OUTGOING, 1)?;
        socket.bind(protocol, ifindex.unwrap_or(0))?;
        Ok(socket)
    }

    /// Opens a socket that shows a socket filter each frame that a device receives. What devices send is not seen.
    ///
    /// # Errors
    /// Without `CAP_NET_RAW`, and when the program is no socket filter.
    pub fn filtered(filter: BorrowedFd<'_>) -> io::Result<Self> {
        let socket = Self::open()?;
        socket.set(libc::SOL_PACKET, libc::PACKET_IGNORE_OUTGOING, 1)?;
        socket.set(libc::SOL_SOCKET, libc::SO_ATTACH_BPF, filter.as_raw_fd())?;
        socket.bind(ALL, 0)?;
        Ok(socket)
    }

    fn bind(&self, protocol: u16, ifindex: u32) -> io::Result<()> {
        let address = address(protocol, ifindex);
        // SAFETY: the address is a `sockaddr_ll` and its size is passed along.
        let result = unsafe {
            libc::bind(
                self.0.as_raw_fd(),
                std::ptr::from_ref(&address).cast(),
                size_of::<libc::sockaddr_ll>() as libc::socklen_t,
            )
        };
        if result < 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(())
    }

    fn set(&self, level: c_int, option: c_int, value: c_int) -> io::Result<()> {
        // SAFETY: the option's value is an `int` and its size is passed along.
        let result = unsafe {
            libc::setsockopt(
                self.0.as_raw_fd(),
                level,
                option,
                std::ptr::from_ref(&value).cast(),
                size_of::<c_int>() as libc::socklen_t,
            )
        };
        if result < 0 {
            Err(io::Error::last_os_error())
        } else {
            Ok(())
        }
    }

    /// Sends a frame out of a device.
    ///
    /// # Errors
    /// The kernel's, `EMSGSIZE` for a frame that is longer than the device's MTU allows.
    pub fn send(&self, ifindex: u32, frame: &[u8]) -> io::Result<()> {
        let address = address(0, ifindex);
        // SAFETY: the frame is read up to its length, the address is a `sockaddr_ll` and its size is passed.
        let sent = unsafe {
            libc::sendto(
                self.0.as_raw_fd(),
                frame.as_ptr().cast(),
                frame.len(),
                0,
                std::ptr::from_ref(&address).cast(),
                size_of::<libc::sockaddr_ll>() as libc::socklen_t,
            )
        };
        match sent {
            sent if sent < 0 => Err(io::Error::last_os_error()),
            sent if sent as usize != frame.len() => Err(io::ErrorKind::WriteZero.into()),
            _ => Ok(()),
        }
    }

    /// Sends segments that are joined out of a device, by a socket that is [`offloading`](Self::offloading). Their checksum is
    /// left to the device.
    ///
    /// # Errors
    /// The kernel's.
    pub fn send_joined(&self, ifindex: u32, frame: &[u8], joined: &Joined) -> io::Result<()> {
        /// Where the checksum is in a TCP header.
        const CHECK: u16 = 16;
        // VIRTIO_NET_HDR_F_NEEDS_CSUM, VIRTIO_NET_HDR_GSO_TCPV4 and _TCPV6 of linux/virtio_net.h
        let kind = if joined.ipv6 { 4 } else { 1 };
        let words = [
            joined.headers as u16,
            joined.size,
            joined.transport as u16,
            CHECK,
        ];
        let header = [&[1, kind][..], &words.map(u16::to_ne_bytes).concat()].concat();
        self.send(ifindex, &[&header, frame].concat())
    }

    /// Takes the next frame that the socket was handed, if there is one, or as much of it as the buffer has room for.
    /// Tells its length there.
    ///
    /// # Errors
    /// The kernel's.
    pub fn receive(&self, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        // SAFETY: the buffer is writable for the length that is passed along.
        let length = unsafe {
            libc::recv(
                self.0.as_raw_fd(),
                buffer.as_mut_ptr().cast(),
                buffer.len(),
                0,
            )
        };
        match usize::try_from(length) {
            Ok(length) => Ok(Some(length)),
            Err(_) => match io::Error::last_os_error() {
                error if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
                error => Err(error),
            },
        }
    }
}

impl AsFd for PacketSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl AsRawFd for PacketSocket {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

fn address(protocol: u16, ifindex: u32) -> libc::sockaddr_ll {
    // SAFETY: the structure is made of integers, for which zeroes are valid.
    let mut address: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
    address.sll_family = libc::AF_PACKET as u16;
    address.sll_protocol = protocol.to_be();
    address.sll_ifindex = ifindex as i32;
    address
}
