//! Options of sockets as `sock_ops` programs see and set them.

use twinpath_machine::{Call, Checked, Errno, FaultKind, HelperId};

use super::sock_call;
use crate::net::Net;
use crate::socket::SocketSubject;

/// `bpf_setsockopt` and `bpf_getsockopt`: of a full socket (`bpf_sock_ops_setsockopt`).
pub(super) fn option(
    subject: &mut SocketSubject,
    net: &mut Net,
    call: &mut Call<'_>,
) -> Checked<u64> {
    const SOL_TCP: i32 = 6;
    /// `TCP_BPF_IW` and those after it, which are about segments and headers.
    const OF_PROGRAMS: std::ops::Range<i32> = 1001..1100;
    let (level, name) = (call.arg(2) as i32, call.arg(3) as i32);
    if level == SOL_TCP && OF_PROGRAMS.contains(&name) {
        let what = format!("option {name} of TCP in bpf_{}", call.helper);
        return Err(Box::new(FaultKind::Unsupported(what)));
    }
    let socket = subject.socket.and_then(|id| net.sockets.get(id));
    if !socket.is_some_and(|socket| socket.state().is_full()) {
        return Ok(Errno::EOPNOTSUPP.into());
    }
    match call.helper {
        HelperId::SETSOCKOPT => sock_call::set(subject, net, call),
        _ => sock_call::get(subject, net, call),
    }
}
