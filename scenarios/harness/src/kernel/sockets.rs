//! Socket calls of a plan, made in the kernel.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use twinpath_bpf::{Map, Socket, attach_to_cgroup, link};
use twinpath_machine::{AttachType, Errno};

use super::cgroup::Cgroup;
use super::error::Error;
use super::namespace::Namespace;
use super::patience::wait_long;
use super::sys::remover::while_nobody_forks;
use crate::plan::{SocketName, SocketProgram};
use crate::socket::{CallResult, Called, Family, Protocol, SocketCall, SocketSetting};

/// How many connections may wait for `accept()`.
const BACKLOG: i32 = 8;

/// The sockets of a node, which the programs of a cgroup and of the node answer for.
#[derive(Debug)]
pub struct Sockets {
    open: BTreeMap<SocketName, Opened>,
    /// Hold the programs of the node.
    links: Vec<OwnedFd>,
    cgroup: Cgroup,
}

#[derive(Debug)]
struct Opened {
    socket: Socket,
    /// Where the kernel lists it. Of connections that takes a while: it looks into each slot of a large table.
    table: &'static str,
}

impl Sockets {
    /// No sockets yet, in a cgroup of their own.
    ///
    /// # Errors
    /// When there can be no cgroup.
    pub fn create() -> Result<Self, Error> {
        let cgroup = Cgroup::create().map_err(Error::system("make a cgroup"))?;
        wait_long(&cgroup).map_err(Error::system("delay what is sent again"))?;
        Ok(Self {
            open: BTreeMap::new(),
            links: Vec::new(),
            cgroup,
        })
    }

    /// Attaches a program of the node in the namespace, behind those that are attached there already.
    ///
    /// # Errors
    /// The kernel's.
    pub fn attach(
        &mut self,
        program: &twinpath_bpf::Program,
        attached: &SocketProgram,
        namespace: &Namespace,
    ) -> Result<(), Error> {
        let hook = attached.hook as u32;
        let done = match attached.hook {
            AttachType::SkLookup => {
                let namespace = namespace.as_fd().as_raw_fd() as u32;
                link(program.as_fd(), namespace, hook, 0).map(|link| self.links.push(link))
            }
            _ => attach_to_cgroup(program.as_fd(), self.cgroup.as_fd(), hook),
        };
        let what = format!("attach program `{}` to {}", attached.program, attached.hook);
        done.map_err(Error::system(what))
    }

    /// Makes a call, in the namespace that this thread is in.
    ///
    /// # Errors
    /// When the call cannot be made, or not be looked at.
    pub fn call(&mut self, name: &SocketName, call: &SocketCall) -> Result<Called, Error> {
        while_nobody_forks(|| self.make_call(name, call))
    }

    fn make_call(&mut self, name: &SocketName, call: &SocketCall) -> Result<Called, Error> {
        let moved = Error::system("move to the cgroup of the sockets");
        let called = match call {
            SocketCall::Open(family, protocol) => {
                self.open.remove(name);
                let open = || {
                    let socket = Socket::open(family.number(), protocol.socket_type())?;
                    if *protocol == Protocol::Tcp {
                        // On loopback an acknowledgement may take its time, for which a short segment would wait.
                        let yes = 1_i32.to_ne_bytes();
                        socket.set(libc::IPPROTO_TCP, libc::TCP_NODELAY, &yes)?;
                    }
                    Ok(socket)
                };
                let opened = self.cgroup.inside(open).map_err(moved)?;
                opened.map(|socket| {
                    let table = table(*family, *protocol);
                    self.open.insert(name.clone(), Opened { socket, table });
                    Called::just(CallResult::Done)
                })
            }
            call => self.make(name, call),
        };
        let called = called.unwrap_or_else(|errno| Called::just(failed(errno)));
        let subject = match call {
            SocketCall::Accept(new) if called.result == CallResult::Done => new,
            _ => name,
        };
        self.with_addresses(subject, called)
    }

    /// Asks what has come of a connection that was begun, in the namespace that this thread is in. One that nobody has
    /// answered is given up; its addresses are those that it would have had.
    ///
    /// # Errors
    /// When its addresses cannot be looked at.
    pub fn connected(&mut self, name: &SocketName, to: SocketAddr) -> Result<Called, Error> {
        const NO_ANSWER: i32 = Errno::EALREADY.get();
        let Some(Opened { socket, .. }) = self.open.get(name) else {
            return Ok(Called::just(failed(Errno::EBADF.get())));
        };
        let result = match socket.connect(to, false) {
            Ok(_) => CallResult::Done,
            Err(NO_ANSWER) => CallResult::Failed(Errno::EINPROGRESS),
            Err(errno) => failed(errno),
        };
        let called = self.with_addresses(name, Called::just(result))?;
        match called.is_under_way().then(|| socket.disconnect()) {
            Some(Err(errno)) => Ok(Called::just(failed(errno))),
            _ => Ok(called),
        }
    }

    fn with_addresses(&self, name: &SocketName, called: Called) -> Result<Called, Error> {
        let listed = self.listed(name).map_err(Error::system("list sockets"))?;
        let (local, peer) = listed.unwrap_or_default();
        Ok(Called {
            local,
            peer,
            ..called
        })
    }

    fn make(&mut self, name: &SocketName, call: &SocketCall) -> Result<Called, i32> {
        const EBADF: i32 = Errno::EBADF.get();
        let Opened { socket, table } = self.open.get(name).ok_or(EBADF)?;
        let done = |()| Called::just(CallResult::Done);
        let returned = |number| {
            Called::just(match number {
                0 => CallResult::Done,
                number => CallResult::Returned(number),
            })
        };
        let told = |address| Called {
            address: Some(address),
            ..Called::just(CallResult::Done)
        };
        match call {
            SocketCall::Open(..) | SocketCall::Put { .. } => Err(EBADF),
            SocketCall::Set(setting) => set(socket, *setting).map(done),
            SocketCall::Bind(address) => socket.bind(*address).map(returned),
            SocketCall::Listen => socket.listen(BACKLOG).map(done),
            SocketCall::Connect(address) => socket.connect(*address, false).map(returned),
            SocketCall::Disconnect => socket.disconnect().map(done),
            SocketCall::Accept(new) => {
                let (socket, table) = (socket.accept()?, *table);
                self.open.insert(new.clone(), Opened { socket, table });
                Ok(done(()))
            }
            SocketCall::Send { to, bytes } => socket.send(*to, bytes).map(|sent| {
                let all = usize::try_from(sent) == Ok(bytes.len());
                returned(if all { 0 } else { sent })
            }),
            SocketCall::Receive => socket.receive().map(|(from, bytes)| Called {
                address: from,
                received: Some(bytes),
                ..done(())
            }),
            SocketCall::Shutdown(how) => {
                let shut = socket.shutdown(*how as i32);
                socket.wait_for_end();
                shut.map(done)
            }
            SocketCall::LocalName => socket.local_name().map(told),
            SocketCall::PeerName => socket.peer_name().map(told),
            SocketCall::Close => {
                self.open.remove(name);
                Ok(done(()))
            }
        }
    }

    /// Puts a socket into a map of sockets.
    pub fn put(&mut self, name: &SocketName, map: &Map, key: &[u8]) -> Result<Called, Error> {
        let put = match self.open.get(name) {
            None => Err(Errno::EBADF.get()),
            Some(_) if key.len() != map.shape().key_size as usize => Err(Errno::EINVAL.get()),
            Some(Opened { socket, .. }) => {
                // A value of eight bytes has the descriptor as a number, too.
                let number = u64::from(socket.as_fd().as_raw_fd().cast_unsigned());
                let value = &number.to_le_bytes()[..map.stored_size()];
                let put = map.update(key, value, 0);
                put.map_err(|error| error.raw_os_error().unwrap_or(libc::EIO))
            }
        };
        let result = put.map_or_else(failed, |()| CallResult::Done);
        self.with_addresses(name, Called::just(result))
    }

    /// Both addresses of a socket as the kernel lists them, which no program answers.
    fn listed(&self, name: &SocketName) -> io::Result<Option<Ends>> {
        let Some(Opened { socket, table }) = self.open.get(name) else {
            return Ok(None);
        };
        let inode = inode(socket)?;
        let text = fs::read_to_string(format!("/proc/thread-self/net/{table}"))?;
        Ok(text.lines().find_map(|line| ends(line, inode)))
    }
}

fn table(family: Family, protocol: Protocol) -> &'static str {
    match (family, protocol) {
        (Family::V6, Protocol::Tcp) => "tcp6",
        (_, Protocol::Tcp) => "tcp",
        (Family::V6, _) => "udp6",
        (..) => "udp",
    }
}

/// Where a socket receives, and what it is connected to.
type Ends = (Option<SocketAddr>, Option<SocketAddr>);

fn inode(socket: &Socket) -> io::Result<u64> {
    Ok(nix::sys::stat::fstat(socket.as_fd())?.st_ino)
}

/// The addresses in a line of `/proc/net/tcp` and its like, if it is about the inode.
fn ends(line: &str, inode: u64) -> Option<Ends> {
    let columns: Vec<&str> = line.split_whitespace().collect();
    let [_, local, remote, _, _, _, _, _, _, number, ..] = columns[..] else {
        return None;
    };
    if number.parse() != Ok(inode) {
        return None;
    }
    let end = |text| address(text).filter(|address| address.port() != 0);
    Some((end(local), end(remote)))
}

/// `0100007F:1F90`: words in the order of this machine, the port as a number.
fn address(text: &str) -> Option<SocketAddr> {
    let (ip, port) = text.split_once(':')?;
    let word = |at: usize| u32::from_str_radix(ip.get(at..at + 8)?, 16).ok();
    let ip: IpAddr = match ip.len() {
        8 => Ipv4Addr::from(word(0)?.to_ne_bytes()).into(),
        32 => {
            let words = [word(0)?, word(8)?, word(16)?, word(24)?];
            let bytes = words.map(u32::to_ne_bytes).concat();
            Ipv6Addr::from(<[u8; 16]>::try_from(bytes).ok()?).into()
        }
        _ => return None,
    };
    Some(SocketAddr::new(ip, u16::from_str_radix(port, 16).ok()?))
}

fn set(socket: &Socket, setting: SocketSetting) -> Result<(), i32> {
    let on = 1i32.to_ne_bytes();
    match setting {
        SocketSetting::ReuseAddress => socket.set(libc::SOL_SOCKET, libc::SO_REUSEADDR, &on),
        SocketSetting::ReusePort => socket.set(libc::SOL_SOCKET, libc::SO_REUSEPORT, &on),
        SocketSetting::V6Only => socket.set(libc::IPPROTO_IPV6, libc::IPV6_V6ONLY, &on),
        SocketSetting::Broadcast => socket.set(libc::SOL_SOCKET, libc::SO_BROADCAST, &on),
        SocketSetting::Mark(mark) => {
            socket.set(libc::SOL_SOCKET, libc::SO_MARK, &mark.to_ne_bytes())
        }
    }
}

fn failed(errno: i32) -> CallResult {
    Errno::from_raw(errno).map_or(CallResult::Returned(errno), CallResult::Failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_the_kernel_lists_them() {
        let line = "   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4242 1 0";
        let local = "127.0.0.1:8080".parse().ok();
        assert_eq!(ends(line, 4242), Some((local, None)));
        assert_eq!(ends(line, 4243), None);
        let six = "00000000000000000000000001000000:0035";
        assert_eq!(address(six), "[::1]:53".parse().ok());
        assert_eq!(address("sl"), None);
    }
}
