//! Packet sockets that know what the sender left to its device.
#![allow(unsafe_code)] // System calls.

use std::io;
use std::mem::size_of;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

/// A raw packet socket on one device. Never blocks.
pub struct PacketSocket {
    fd: OwnedFd,
    ifindex: u32,
}

/// Bytes of `struct virtio_net_hdr`.
const HEADER: usize = 10;
/// `VIRTIO_NET_HDR_F_NEEDS_CSUM`
const NEEDS_CHECKSUM: u8 = 1;

impl PacketSocket {
    /// Opens a socket in the thread's namespace for the frames of a protocol.
    pub fn open(protocol: u16, ifindex: u32) -> io::Result<Self> {
        let kind = libc::SOCK_RAW | libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
        // SAFETY: the call takes integers only.
        let fd = unsafe { libc::socket(libc::AF_PACKET, kind, 0) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the call returned a new descriptor, which nobody else owns.
        let fd = unsafe { OwnedFd::from_raw_fd(fd) };
        let socket = Self { fd, ifindex };
        socket.set(libc::SOL_PACKET, libc::PACKET_IGNORE_OUTGOING, 1)?;
        socket.set(libc::SOL_PACKET, libc::PACKET_VNET_HDR, 1)?;
        socket.set(libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, 4 << 20)?;
        let address = socket.address(protocol);
        // SAFETY: the address is a `sockaddr_ll` and its size is passed along.
        let result = unsafe {
            libc::bind(
                socket.fd.as_raw_fd(),
                std::ptr::from_ref(&address).cast(),
                size_of::<libc::sockaddr_ll>() as libc::socklen_t,
            )
        };
        check(result as isize).map(|_| socket)
    }

    fn address(&self, protocol: u16) -> libc::sockaddr_ll {
        // SAFETY: the structure is made of integers, for which zeroes are valid.
        let mut address: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
        address.sll_family = libc::AF_PACKET as u16;
        address.sll_protocol = protocol.to_be();
        address.sll_ifindex = self.ifindex as i32;
        address
    }

    fn set(&self, level: i32, option: i32, value: i32) -> io::Result<()> {
        // SAFETY: the option's value is an `int` and its size is passed along.
        let result = unsafe {
            libc::setsockopt(
                self.fd.as_raw_fd(),
                level,
                option,
                std::ptr::from_ref(&value).cast(),
                size_of::<i32>() as libc::socklen_t,
            )
        };
        check(result as isize).map(|_| ())
    }

    /// Sends a frame, whose checksum is left to the device when `offload` says where it starts and
    /// where the field is from there.
    pub fn send(&self, frame: &[u8], offload: Option<(u16, u16)>) -> io::Result<()> {
        let mut bytes = vec![0; HEADER];
        if let Some((start, offset)) = offload {
            bytes[0] = NEEDS_CHECKSUM;
            bytes[6..8].copy_from_slice(&start.to_ne_bytes());
            bytes[8..10].copy_from_slice(&offset.to_ne_bytes());
        }
        bytes.extend_from_slice(frame);
        // SAFETY: the buffer is as long as stated.
        let sent =
            unsafe { libc::send(self.fd.as_raw_fd(), bytes.as_ptr().cast(), bytes.len(), 0) };
        check(sent).map(|_| ())
    }

    /// The next frame, its checksum filled in.
    pub fn receive(&self) -> io::Result<Option<Vec<u8>>> {
        let mut buffer = vec![0; 70_000];
        // SAFETY: the buffer is as long as stated.
        let len = unsafe {
            libc::recv(
                self.fd.as_raw_fd(),
                buffer.as_mut_ptr().cast(),
                buffer.len(),
                0,
            )
        };
        let len = match check(len) {
            Ok(len) => len,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
            Err(error) => return Err(error),
        };
        let number = |at: usize| usize::from(u16::from_ne_bytes([buffer[at], buffer[at + 1]]));
        let (start, offset) = (number(6), number(8));
        let needs = buffer[0] & NEEDS_CHECKSUM != 0;
        let mut frame = buffer[HEADER..len].to_vec();
        if needs {
            super::frames::fill(&mut frame, start, offset);
        }
        Ok(Some(frame))
    }
}

fn check(result: isize) -> io::Result<usize> {
    usize::try_from(result).map_err(|_| io::Error::last_os_error())
}
