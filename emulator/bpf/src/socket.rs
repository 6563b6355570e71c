//! TCP and UDP sockets whose calls return just what the kernel returns, which programs of cgroups can choose: `std`
//! takes each number that is not negative for success.
#![allow(unsafe_code, reason = "system calls")]

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// A positive error number.
type Result<T> = std::result::Result<T, i32>;

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

fn address(bytes: &[u8; 28]) -> SocketAddr {
    let family = i32::from(u16::from_ne_bytes([bytes[0], bytes[1]]));
    let port = u16::from_be_bytes([bytes[2], bytes[3]]);
    if family == libc::AF_INET {
        let ip = Ipv4Addr::new(bytes[4], bytes[5], bytes[6], bytes[7]);
        SocketAddr::V4(SocketAddrV4::new(ip, port))
    } else {
        let mut ip = [0; 16];
        ip.copy_from_slice(&bytes[8..24]);
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
    /// Opens one of a family (`AF_*`) and a type (`SOCK_*`), in this thread's network namespace and cgroup.
    ///
    /// # Errors
    /// The kernel's, or that of a program.
    pub fn open(family: u32, kind: u32) -> Result<Self> {
        // SAFETY: no pointers are passed; the descriptor is new and ours.
        let fd =
            check(unsafe { libc::socket(family as i32, kind as i32 | libc::SOCK_CLOEXEC, 0) })?;
        // SAFETY: as above.
        let socket = Self(unsafe { OwnedFd::from_raw_fd(fd) });
        socket.set(libc::SOL_SOCKET, libc::SO_SNDTIMEO, &PATIENCE)?;
        if kind as i32 == libc::SOCK_STREAM {
            // The emulator's default, whatever this machine has made its own.
            socket.set(libc::IPPROTO_TCP, libc::TCP_CONGESTION, b"cubic")?;
        }
        Ok(socket)
    }

    /// `setsockopt()`
    ///
    /// # Errors
    /// The kernel's.
    pub fn set(&self, level: i32, name: i32, value: &[u8]) -> Result<()> {
        // SAFETY: the value is as long as stated.
        let result = unsafe {
            libc::setsockopt(
                self.0.as_raw_fd(),
                level,
                name,
                value.as_ptr().cast(),
                value.len() as u32,
            )
        };
        check(result).map(|_| ())
    }

    /// `bind()`: what it returns, which a program may have chosen.
    ///
    /// # Errors
    /// The kernel's, or that of a program.
    pub fn bind(&self, address: SocketAddr) -> Result<i32> {
        let bytes = sockaddr(address);
        // SAFETY: the address is as long as stated.
        check(unsafe {
            libc::bind(
                self.0.as_raw_fd(),
                bytes.as_ptr().cast(),
                bytes.len() as u32,
            )
        })
    }

    /// `listen()`
    ///
    /// # Errors
    /// The kernel's.
    pub fn listen(&self, backlog: i32) -> Result<()> {
        // SAFETY: no pointers are passed.
        check(unsafe { libc::listen(self.0.as_raw_fd(), backlog) }).map(|_| ())
    }

    /// `connect()`, which waits for the connection when `wait` says so: what it returns, which a program may have
    /// chosen.
    ///
    /// # Errors
    /// The kernel's, or that of a program.
    pub fn connect(&self, address: SocketAddr, wait: bool) -> Result<i32> {
        let bytes = sockaddr(address);
        self.set_blocking(wait)?;
        // SAFETY: the address is as long as stated.
        check(unsafe {
            libc::connect(
                self.0.as_raw_fd(),
                bytes.as_ptr().cast(),
                bytes.len() as u32,
            )
        })
    }

    /// `connect()` to nothing (`AF_UNSPEC`).
    ///
    /// # Errors
    /// The kernel's.
    pub fn disconnect(&self) -> Result<()> {
        let bytes = [0u8; 16];
        // SAFETY: the address is as long as stated.
        check(unsafe { libc::connect(self.0.as_raw_fd(), bytes.as_ptr().cast(), 16) }).map(|_| ())
    }

    fn set_blocking(&self, blocking: bool) -> Result<()> {
        let flags = if blocking { 0 } else { libc::O_NONBLOCK };
        // SAFETY: no pointers are passed.
        check(unsafe { libc::fcntl(self.0.as_raw_fd(), libc::F_SETFL, flags) }).map(|_| ())
    }

    /// `accept()`, which does not wait.
    ///
    /// # Errors
    /// The kernel's.
    pub fn accept(&self) -> Result<Self> {
        self.set_blocking(false)?;
        // SAFETY: no address is asked for; the descriptor is new and ours.
        let fd = check(unsafe {
            libc::accept(
                self.0.as_raw_fd(),
                std::ptr::null_mut(),
                std::ptr::null_mut(),
            )
        })?;
        // SAFETY: as above.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    /// `sendto()`, which does not wait: how many bytes, or what a program has chosen.
    ///
    /// # Errors
    /// The kernel's, or that of a program.
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
                self.0.as_raw_fd(),
                bytes.as_ptr().cast(),
                bytes.len(),
                libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL,
                pointer,
                to.len() as u32,
            )
        };
        check(sent as i32)
    }

    /// `recvfrom()`, which does not wait; no address with the bytes of a connection.
    ///
    /// # Errors
    /// The kernel's, or that of a program.
    pub fn receive(&self) -> Result<(Option<SocketAddr>, Vec<u8>)> {
        let mut bytes = vec![0u8; 2048];
        let mut from = [0u8; 28];
        let mut len = from.len() as u32;
        // SAFETY: both buffers are as long as stated.
        let received = unsafe {
            libc::recvfrom(
                self.0.as_raw_fd(),
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

    /// `shutdown()` of a direction (`SHUT_*`).
    ///
    /// # Errors
    /// The kernel's.
    pub fn shutdown(&self, how: i32) -> Result<()> {
        // SAFETY: no pointers are passed.
        check(unsafe { libc::shutdown(self.0.as_raw_fd(), how) }).map(|_| ())
    }

    /// Waits until the other end has acknowledged that this one sends no more, which it puts off for up to 40 ms
    /// (`tcp_send_delayed_ack`); a second at most. The socket is in `TCP_FIN_WAIT1` until then.
    pub fn wait_for_end(&self) {
        const FIN_WAIT1: u8 = 4;
        let start = std::time::Instant::now();
        while self.tcp_state() == Some(FIN_WAIT1) && start.elapsed().as_secs() == 0 {
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
    }

    /// The state of a TCP socket, the first byte of `struct tcp_info`.
    fn tcp_state(&self) -> Option<u8> {
        let (mut state, mut len) = (0u8, 1);
        // SAFETY: `len` is the size of `state`, and both outlive the call.
        let done = check(unsafe {
            libc::getsockopt(
                self.0.as_raw_fd(),
                libc::IPPROTO_TCP,
                libc::TCP_INFO,
                (&raw mut state).cast(),
                &raw mut len,
            )
        });
        done.is_ok().then_some(state)
    }

    /// `getsockname()`
    ///
    /// # Errors
    /// The kernel's, or that of a program.
    pub fn local_name(&self) -> Result<SocketAddr> {
        self.name(libc::getsockname)
    }

    /// `getpeername()`
    ///
    /// # Errors
    /// The kernel's, or that of a program.
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
        check(unsafe { call(self.0.as_raw_fd(), bytes.as_mut_ptr().cast(), &raw mut len) })?;
        Ok(address(&bytes))
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
