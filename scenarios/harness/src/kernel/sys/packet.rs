//! Packet sockets.
#![allow(
    unsafe_code,
    reason = "no crate in use reads the auxiliary data of packet sockets, where VLAN tags are"
)]

use std::ffi::c_int;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

/// A raw `AF_PACKET` socket of the namespace in which it was opened. Never blocks.
#[derive(Debug)]
pub struct PacketSocket(OwnedFd);

/// A frame that a packet socket was handed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Received {
    /// The device that received it.
    pub ifindex: u32,
    /// Length of the frame in the caller's buffer.
    pub length: usize,
    /// The VLAN tag that the kernel had taken out of the frame.
    pub tag: Option<VlanTag>,
}

/// The four bytes of a VLAN tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VlanTag {
    /// 0x8100 or 0x88a8.
    pub protocol: u16,
    /// Priority, drop eligibility and VLAN id.
    pub control: u16,
}

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

    /// Opens a socket that is handed each frame of the protocol that a device receives, or any device where
    /// none is named. What devices send is not seen.
    ///
    /// # Errors
    /// Without `CAP_NET_RAW` and `CAP_NET_ADMIN`.
    pub fn listen(protocol: u16, ifindex: Option<u32>) -> io::Result<Self> {
        let socket = Self::open()?;
        socket.set(libc::SOL_PACKET, libc::PACKET_IGNORE_OUTGOING, 1)?;
        socket.set(libc::SOL_PACKET, libc::PACKET_AUXDATA, 1)?;
        socket.set(libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, 64 << 20)?;
        let address = address(protocol, ifindex.unwrap_or(0));
        // SAFETY: the address is a `sockaddr_ll` and its size is passed along.
        let result = unsafe {
            libc::bind(
                socket.0.as_raw_fd(),
                std::ptr::from_ref(&address).cast(),
                size_of::<libc::sockaddr_ll>() as libc::socklen_t,
            )
        };
        if result < 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(socket)
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

    /// Takes the next frame that the socket was handed, if there is one.
    ///
    /// # Errors
    /// The kernel's, and `InvalidData` for a frame that is longer than the buffer.
    pub fn receive(&self, buffer: &mut [u8]) -> io::Result<Option<Received>> {
        let mut control = [0u64; 16];
        // SAFETY: both structures are made of integers and pointers, for which zeroes are valid.
        let (mut from, mut message) = unsafe {
            (
                std::mem::zeroed::<libc::sockaddr_ll>(),
                std::mem::zeroed::<libc::msghdr>(),
            )
        };
        let mut part = libc::iovec {
            iov_base: buffer.as_mut_ptr().cast(),
            iov_len: buffer.len(),
        };
        message.msg_name = std::ptr::from_mut(&mut from).cast();
        message.msg_namelen = size_of::<libc::sockaddr_ll>() as libc::socklen_t;
        message.msg_iov = &mut part;
        message.msg_iovlen = 1;
        message.msg_control = control.as_mut_ptr().cast();
        message.msg_controllen = size_of_val(&control) as _;
        // SAFETY: name, buffer and control data are writable for the lengths in `message`.
        let length = unsafe { libc::recvmsg(self.0.as_raw_fd(), &mut message, libc::MSG_TRUNC) };
        if length < 0 {
            return match io::Error::last_os_error() {
                error if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
                error => Err(error),
            };
        }
        let length = length as usize;
        if length > buffer.len() {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                format!("a frame of {length} bytes does not fit {}", buffer.len()),
            ));
        }
        Ok(Some(Received {
            ifindex: from.sll_ifindex as u32,
            length,
            tag: vlan_tag(&message),
        }))
    }

    /// How many frames the socket had no room for since it was last asked.
    ///
    /// # Errors
    /// The kernel's.
    pub fn drops(&self) -> io::Result<u32> {
        let mut statistics = libc::tpacket_stats {
            tp_packets: 0,
            tp_drops: 0,
        };
        let mut length = size_of_val(&statistics) as libc::socklen_t;
        // SAFETY: the statistics are writable for the length that is passed along.
        let result = unsafe {
            libc::getsockopt(
                self.0.as_raw_fd(),
                libc::SOL_PACKET,
                libc::PACKET_STATISTICS,
                std::ptr::from_mut(&mut statistics).cast(),
                &mut length,
            )
        };
        if result < 0 {
            Err(io::Error::last_os_error())
        } else {
            Ok(statistics.tp_drops)
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

fn vlan_tag(message: &libc::msghdr) -> Option<VlanTag> {
    // SAFETY: the kernel filled the control data of `message`, whose buffer is still borrowed by it.
    let mut header = unsafe { libc::CMSG_FIRSTHDR(message) };
    while !header.is_null() {
        // SAFETY: the header is one that the kernel wrote, aligned within a buffer of `u64`.
        let current = unsafe { &*header };
        if current.cmsg_level == libc::SOL_PACKET && current.cmsg_type == libc::PACKET_AUXDATA {
            // SAFETY: control data of this type is a `tpacket_auxdata`, possibly unaligned.
            let data: libc::tpacket_auxdata = unsafe {
                libc::CMSG_DATA(header)
                    .cast::<libc::tpacket_auxdata>()
                    .read_unaligned()
            };
            let valid = |flag: u32| data.tp_status & flag != 0;
            return valid(libc::TP_STATUS_VLAN_VALID).then(|| VlanTag {
                protocol: if valid(libc::TP_STATUS_VLAN_TPID_VALID) {
                    data.tp_vlan_tpid
                } else {
                    libc::ETH_P_8021Q as u16
                },
                control: data.tp_vlan_tci,
            });
        }
        // SAFETY: as for the first header.
        header = unsafe { libc::CMSG_NXTHDR(message, header) };
    }
    None
}
