//! The little of rtnetlink that a namespace for sockets needs: devices up, a veth pair, addresses.
#![allow(unsafe_code)] // System calls.

use std::io;
use std::net::IpAddr;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

/// A socket to the kernel, in the thread's namespace.
pub struct Netlink(OwnedFd);

const NLM_F_REQUEST: u16 = 1;
const NLM_F_ACK: u16 = 4;
const NLM_F_EXCL: u16 = 0x200;
const NLM_F_CREATE: u16 = 0x400;

/// A message: the body, and attributes behind it.
struct Message(Vec<u8>);

impl Message {
    fn new(body: &[u8]) -> Self {
        Self(body.to_vec())
    }

    fn attribute(mut self, kind: u16, value: &[u8]) -> Self {
        let len = 4 + value.len() as u16;
        self.0.extend_from_slice(&len.to_ne_bytes());
        self.0.extend_from_slice(&kind.to_ne_bytes());
        self.0.extend_from_slice(value);
        self.0.resize(self.0.len().next_multiple_of(4), 0);
        self
    }
}

/// `struct ifinfomsg`
fn device(index: u32, up: bool) -> [u8; 16] {
    let flags = u32::from(up);
    let mut body = [0; 16];
    body[4..8].copy_from_slice(&index.to_ne_bytes());
    body[8..12].copy_from_slice(&flags.to_ne_bytes());
    body[12..16].copy_from_slice(&flags.to_ne_bytes());
    body
}

fn name(text: &str) -> Vec<u8> {
    [text.as_bytes(), &[0]].concat()
}

impl Netlink {
    pub fn open() -> io::Result<Self> {
        // SAFETY: no pointers are passed; the descriptor is new and ours.
        let fd = unsafe {
            libc::socket(
                libc::AF_NETLINK,
                libc::SOCK_RAW | libc::SOCK_CLOEXEC,
                libc::NETLINK_ROUTE,
            )
        };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: as above.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    fn ask(&self, kind: u16, flags: u16, message: &Message) -> io::Result<()> {
        let mut request = Vec::new();
        let len = 16 + message.0.len() as u32;
        request.extend_from_slice(&len.to_ne_bytes());
        request.extend_from_slice(&kind.to_ne_bytes());
        request.extend_from_slice(&(NLM_F_REQUEST | NLM_F_ACK | flags).to_ne_bytes());
        request.extend_from_slice(&[0; 8]);
        request.extend_from_slice(&message.0);
        let mut answer = [0u8; 4096];
        // SAFETY: both buffers are as long as stated.
        let received = unsafe {
            let sent = libc::send(
                self.0.as_raw_fd(),
                request.as_ptr().cast(),
                request.len(),
                0,
            );
            if sent < 0 {
                return Err(io::Error::last_os_error());
            }
            libc::recv(
                self.0.as_raw_fd(),
                answer.as_mut_ptr().cast(),
                answer.len(),
                0,
            )
        };
        if received < 20 {
            return Err(io::Error::last_os_error());
        }
        match i32::from_ne_bytes(answer[16..20].try_into().unwrap()) {
            0 => Ok(()),
            error => Err(io::Error::from_raw_os_error(-error)),
        }
    }

    /// Sets a device up.
    pub fn up(&self, index: u32) -> io::Result<()> {
        const RTM_NEWLINK: u16 = 16;
        self.ask(RTM_NEWLINK, 0, &Message::new(&device(index, true)))
    }

    /// Adds a veth pair, both ends in this namespace.
    pub fn add_veth(&self, one: (&str, u32), other: (&str, u32)) -> io::Result<()> {
        const RTM_NEWLINK: u16 = 16;
        const IFLA_IFNAME: u16 = 3;
        const IFLA_LINKINFO: u16 = 18;
        const KIND: u16 = 1;
        const DATA: u16 = 2;
        const PEER: u16 = 1;
        let peer = Message::new(&device(other.1, false)).attribute(IFLA_IFNAME, &name(other.0));
        let data = Message::new(&[]).attribute(PEER, &peer.0);
        let info = Message::new(&[])
            .attribute(KIND, &name("veth"))
            .attribute(DATA, &data.0);
        let message = Message::new(&device(one.1, false))
            .attribute(IFLA_IFNAME, &name(one.0))
            .attribute(IFLA_LINKINFO, &info.0);
        self.ask(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, &message)
    }

    /// Gives a device an address, without waiting whether somebody else has it.
    pub fn add_address(&self, index: u32, address: IpAddr, prefix: u8) -> io::Result<()> {
        const RTM_NEWADDR: u16 = 20;
        const IFA_ADDRESS: u16 = 1;
        const IFA_LOCAL: u16 = 2;
        const IFA_F_NODAD: u8 = 2;
        let (family, bytes) = match address {
            IpAddr::V4(v4) => (libc::AF_INET as u8, v4.octets().to_vec()),
            IpAddr::V6(v6) => (libc::AF_INET6 as u8, v6.octets().to_vec()),
        };
        let mut body = [family, prefix, IFA_F_NODAD, 0, 0, 0, 0, 0];
        body[4..].copy_from_slice(&index.to_ne_bytes());
        let message = Message::new(&body)
            .attribute(IFA_LOCAL, &bytes)
            .attribute(IFA_ADDRESS, &bytes);
        self.ask(RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, &message)
    }
}
