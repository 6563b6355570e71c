//! Socket calls of the running kernel.
#![allow(unsafe_code)] // System calls.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use twinpath_node::{Family, Protocol, Shutdown};

/// An error number.
pub type Result<T> = std::result::Result<T, i32>;

fn check(result: libc::c_int) -> Result<libc::c_int> {
    if result < 0 {
        Err(std::io::Error::last_os_error().raw_os_error().unwrap_or(0))
    } else {
        Ok(result)
    }
}

/// `struct sockaddr_in` or `struct sockaddr_in6`.
pub fn sockaddr(address: SocketAddr) -> Vec<u8> {
    let mut bytes = Vec::new();
    match address {
        SocketAddr::V4(v4) => {
            bytes.extend_from_slice(&(libc::AF_INET as u16).to_ne_bytes());
            bytes.extend_from_slice(&v4.port().to_be_bytes());
            bytes.extend_from_slice(&v4.ip().octets());
            bytes.extend_from_slice(&[0; 8]);
        }
        SocketAddr::V6(v6) => {
            bytes.extend_from_slice(&(libc::AF_INET6 as u16).to_ne_bytes());
            bytes.extend_from_slice(&v6.port().to_be_bytes());
            bytes.extend_from_slice(&v6.flowinfo().to_be_bytes());
            bytes.extend_from_slice(&v6.ip().octets());
            bytes.extend_from_slice(&v6.scope_id().to_ne_bytes());
        }
    }
    bytes
}

fn address(bytes: &[u8]) -> SocketAddr {
    let family = i32::from(u16::from_ne_bytes([bytes[0], bytes[1]]));
    let port = u16::from_be_bytes([bytes[2], bytes[3]]);
    if family == libc::AF_INET {
        let ip = Ipv4Addr::new(bytes[4], bytes[5], bytes[6], bytes[7]);
        SocketAddr::V4(SocketAddrV4::new(ip, port))
    } else {
        let ip: [u8; 16] = bytes[8..24].try_into().unwrap();
        SocketAddr::V6(SocketAddrV6::new(Ipv6Addr::from(ip), port, 0, 0))
    }
}

/// How long a `connect()` waits for an answer (`struct timeval`: no seconds, a tenth of one).
const PATIENCE: [u8; 16] = {
    let mut value = [0; 16];
    let [a, b, c, _] = 100_000u32.to_le_bytes();
    (value[8], value[9], value[10]) = (a, b, c);
    value
};

/// A socket, which does not block but when it connects.
#[derive(Debug)]
pub struct Socket(OwnedFd);

impl Socket {
    pub fn open(family: Family, protocol: Protocol) -> Result<Self> {
        // SAFETY: no pointers are passed; the descriptor is new and ours.
        let fd = check(unsafe {
            libc::socket(
                family.number() as i32,
                protocol.socket_type() as i32 | libc::SOCK_CLOEXEC,
                0,
            )
        })?;
        // SAFETY: as above.
        let socket = Self(unsafe { OwnedFd::from_raw_fd(fd) });
        socket.set(libc::SOL_SOCKET, libc::SO_SNDTIMEO, &PATIENCE)?;
        if protocol == Protocol::Tcp {
            // The emulator's default, whatever this machine has made its own.
            socket.set(libc::IPPROTO_TCP, libc::TCP_CONGESTION, b"cubic")?;
        }
        Ok(socket)
    }

    pub fn fd(&self) -> i32 {
        self.0.as_raw_fd()
    }

    pub fn set(&self, level: i32, name: i32, value: &[u8]) -> Result<()> {
        // SAFETY: the value is as long as stated.
        let result = unsafe {
            libc::setsockopt(
                self.fd(),
                level,
                name,
                value.as_ptr().cast(),
                value.len() as u32,
            )
        };
        check(result).map(|_| ())
    }

    pub fn get(&self, level: i32, name: i32, len: usize) -> Result<Vec<u8>> {
        let mut value = vec![0u8; len];
        let mut len = len as u32;
        // SAFETY: the value is as long as stated.
        let result = unsafe {
            libc::getsockopt(
                self.fd(),
                level,
                name,
                value.as_mut_ptr().cast(),
                &raw mut len,
            )
        };
        check(result)?;
        value.truncate(len as usize);
        Ok(value)
    }

    /// `bind()`: what it returns, which a program may have chosen.
    pub fn bind(&self, address: SocketAddr) -> Result<i32> {
        let bytes = sockaddr(address);
        // SAFETY: the address is as long as stated.
        check(unsafe { libc::bind(self.fd(), bytes.as_ptr().cast(), bytes.len() as u32) })
    }

    pub fn listen(&self, backlog: i32) -> Result<()> {
        // SAFETY: no pointers are passed.
        check(unsafe { libc::listen(self.fd(), backlog) }).map(|_| ())
    }

    /// `connect()`, which blocks when `wait` says so.
    pub fn connect(&self, address: SocketAddr, wait: bool) -> Result<i32> {
        let bytes = sockaddr(address);
        self.set_blocking(wait);
        // SAFETY: the address is as long as stated.
        check(unsafe { libc::connect(self.fd(), bytes.as_ptr().cast(), bytes.len() as u32) })
    }

    /// `connect()` to nothing.
    pub fn disconnect(&self) -> Result<()> {
        let bytes = [0u8; 16];
        // SAFETY: the address is as long as stated.
        check(unsafe { libc::connect(self.fd(), bytes.as_ptr().cast(), 16) }).map(|_| ())
    }

    fn set_blocking(&self, blocking: bool) {
        let flags = if blocking { 0 } else { libc::O_NONBLOCK };
        // SAFETY: no pointers are passed.
        let result = unsafe { libc::fcntl(self.fd(), libc::F_SETFL, flags) };
        assert_eq!(result, 0);
    }

    pub fn accept(&self) -> Result<Self> {
        self.set_blocking(false);
        // SAFETY: no address is asked for; the descriptor is new and ours.
        let fd =
            check(unsafe { libc::accept(self.fd(), std::ptr::null_mut(), std::ptr::null_mut()) })?;
        // SAFETY: as above.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    /// `sendto()`: what it returns, which a program may have chosen.
    pub fn send(&self, to: Option<SocketAddr>, bytes: &[u8]) -> Result<i32> {
        let to = to.map(sockaddr).unwrap_or_default();
        let pointer = if to.is_empty() {
            std::ptr::null()
        } else {
            to.as_ptr().cast()
        };
        // SAFETY: the payload and the address are as long as stated.
        let sent = unsafe {
            libc::sendto(
                self.fd(),
                bytes.as_ptr().cast(),
                bytes.len(),
                libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL,
                pointer,
                to.len() as u32,
            )
        };
        check(sent as i32)
    }

    /// `recvfrom()`; no address with the bytes of a connection.
    pub fn receive(&self) -> Result<(Option<SocketAddr>, Vec<u8>)> {
        let mut bytes = vec![0u8; 2048];
        let mut from = [0u8; 28];
        let mut len = from.len() as u32;
        // SAFETY: both buffers are as long as stated.
        let received = unsafe {
            libc::recvfrom(
                self.fd(),
                bytes.as_mut_ptr().cast(),
                bytes.len(),
                libc::MSG_DONTWAIT,
                from.as_mut_ptr().cast(),
                &raw mut len,
            )
        };
        bytes.truncate(check(received as i32)? as usize);
        Ok(((len != 0).then(|| address(&from)), bytes))
    }

    pub fn shutdown(&self, how: Shutdown) -> Result<()> {
        let how = match how {
            Shutdown::Receive => libc::SHUT_RD,
            Shutdown::Send => libc::SHUT_WR,
            Shutdown::Both => libc::SHUT_RDWR,
        };
        // SAFETY: no pointers are passed.
        check(unsafe { libc::shutdown(self.fd(), how) }).map(|_| ())
    }

    pub fn local_name(&self) -> Result<SocketAddr> {
        self.name(libc::getsockname)
    }

    pub fn peer_name(&self) -> Result<SocketAddr> {
        self.name(libc::getpeername)
    }

    fn name(
        &self,
        call: unsafe extern "C" fn(i32, *mut libc::sockaddr, *mut u32) -> i32,
    ) -> Result<SocketAddr> {
        let mut bytes = [0u8; 28];
        let mut len = bytes.len() as u32;
        // SAFETY: the buffer is as long as stated.
        check(unsafe { call(self.fd(), bytes.as_mut_ptr().cast(), &raw mut len) })?;
        Ok(address(&bytes))
    }

    pub fn cookie(&self) -> u64 {
        const SO_COOKIE: i32 = 57;
        let bytes = self.get(libc::SOL_SOCKET, SO_COOKIE, 8).unwrap();
        u64::from_ne_bytes(bytes.try_into().unwrap())
    }
}

/// Takes `CAP_NET_BIND_SERVICE` from the current thread for as long as something runs.
pub fn without_port_privilege<T>(act: impl FnOnce() -> T) -> T {
    #[repr(C)]
    struct Header {
        version: u32,
        pid: i32,
    }
    const VERSION: u32 = 0x2008_0522;
    const NET_BIND_SERVICE: u32 = 10;
    let mut header = Header {
        version: VERSION,
        pid: 0,
    };
    let mut sets = [[0u32; 3]; 2];
    // SAFETY: both structures have the layout that the version stands for.
    let result = unsafe { libc::syscall(libc::SYS_capget, &raw mut header, sets.as_mut_ptr()) };
    assert_eq!(result, 0);
    let mut less = sets;
    less[0][0] &= !(1 << NET_BIND_SERVICE);
    let set = |sets: &[[u32; 3]; 2], header: &mut Header| {
        // SAFETY: as above; only this thread is concerned.
        let result = unsafe { libc::syscall(libc::SYS_capset, &raw mut *header, sets.as_ptr()) };
        assert_eq!(result, 0);
    };
    set(&less, &mut header);
    let result = act();
    set(&sets, &mut header);
    result
}

/// The address that stands for any.
pub fn is_ephemeral(address: &SocketAddr) -> bool {
    (32768..=60999).contains(&address.port())
}

#[allow(dead_code)]
pub fn unspecified(ip: IpAddr) -> bool {
    ip.is_unspecified()
}
