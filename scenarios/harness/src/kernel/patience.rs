//! Connections that wait long for the answer to their first segment.
//!
//! Linux sends a first segment again when a second has passed (`TCP_TIMEOUT_INIT`), which on a slow machine may be
//! within a scenario. No route's metric says otherwise, but a program of the cgroup does.

use std::io;
use std::os::fd::AsFd;

use twinpath_bpf::{Program, ProgramSource, attach_to_cgroup};
use twinpath_machine::{AttachType, ProgramType};

use super::cgroup::Cgroup;
use super::tap::asm::{Assembler, Condition, R0, R1, R2, Width};

/// Has the cgroup's sockets send their first segments again some seconds later at the earliest.
///
/// # Errors
/// The kernel's.
pub fn wait_long(cgroup: &Cgroup) -> io::Result<()> {
    let kind = ProgramType::SockOps as u32;
    let hook = AttachType::CgroupSockOps as u32;
    let code = first_timeout();
    let source = ProgramSource::new("twinpath_patient", kind, &code).for_hook(hook);
    let program = Program::load(&source).map_err(|refusal| refusal.error)?;
    attach_to_cgroup(program.as_fd(), cgroup.as_fd(), hook)
}

/// A program for `struct bpf_sock_ops` that replies to `BPF_SOCK_OPS_TIMEOUT_INIT`, and to nothing else. Not about what
/// listeners have been asked for (`is_fullsock`): that would outlive them for as long.
fn first_timeout() -> Vec<u8> {
    const OP: i16 = 0;
    const REPLY: i16 = 4;
    const IS_FULL: i16 = 72;
    const TIMEOUT_INIT: i32 = 1;
    /// Three seconds where there are the most jiffies in one, twelve with the usual 250: no longer than a route's least, for
    /// a socket that is closed may stay as long.
    const JIFFIES: i32 = 3_000;
    let mut code = Assembler::default();
    code.load(Width::W, R2, R1, OP);
    let asked = code.jump_if(R2, Condition::Equal, TIMEOUT_INIT);
    code.set(R0, 1);
    code.exit();
    code.land(asked);
    code.load(Width::W, R2, R1, IS_FULL);
    let request = code.jump_if(R2, Condition::Equal, 0);
    code.set(R2, JIFFIES);
    code.store(Width::W, R1, REPLY, R2);
    code.land(request);
    code.set(R0, 1);
    code.exit();
    code.finish()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::net::{Ipv4Addr, SocketAddr};

    use twinpath_bpf::Socket;

    use super::*;
    use crate::kernel::missing;

    /// In the ticks of `/proc/net/tcp`, a hundredth of a second each, until it sends its first segment again.
    fn ticks_left(port: u16) -> Option<u32> {
        let text = fs::read_to_string("/proc/net/tcp").expect("it is there");
        let sent = |line: &&str| {
            let mut fields = line.split_ascii_whitespace();
            let address = fields.nth(1).unwrap_or_default();
            address.ends_with(&format!(":{port:04X}")) && fields.nth(1) == Some("02")
        };
        let line = text.lines().find(sent)?;
        let timer = line.split_ascii_whitespace().nth(5)?;
        let (_, ticks) = timer.split_once(':')?;
        u32::from_str_radix(ticks, 16).ok()
    }

    /// A connection to who takes no more of them, which is not answered.
    fn unanswered(open: impl Fn() -> Socket) -> u32 {
        let listener = open();
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        listener.bind(any).expect("a free port");
        listener.listen(0).expect("it listens");
        let at = listener.local_name().expect("it has a name");
        // The first one fills the queue.
        let waiting = [open(), open()];
        for socket in &waiting {
            let begun = socket.connect(at, false);
            assert!(matches!(begun, Ok(0) | Err(libc::EINPROGRESS)), "{begun:?}");
        }
        let port = waiting[1].local_name().expect("it has a name").port();
        ticks_left(port).expect("its first segment is under way")
    }

    #[test]
    fn a_first_segment_is_sent_again_some_seconds_later() {
        if !missing().is_empty() {
            return;
        }
        const SECOND: u32 = 100;
        const TCP: (u32, u32) = (libc::AF_INET as u32, libc::SOCK_STREAM as u32);
        let open = || Socket::open(TCP.0, TCP.1).expect("a socket");
        let cgroup = Cgroup::create().expect("a cgroup");
        wait_long(&cgroup).expect("it is attached");
        let inside = || {
            cgroup
                .inside(open)
                .expect("this process goes there and back")
        };
        assert!(unanswered(open) <= SECOND, "as Linux does");
        assert!(unanswered(inside) > 2 * SECOND, "as the program says");
    }
}
