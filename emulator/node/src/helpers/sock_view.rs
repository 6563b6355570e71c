//! Helpers that look at a socket in another way (`bpf_sk_fullsock`, `bpf_tcp_sock`, `bpf_skc_to_*`).

use twinpath_machine::{Call, Checked, HelperId};

use super::sock_lookup::full_socket;
use crate::net::Net;
use crate::socket::{Family, Protocol, Socket, State, View};

/// `bpf_sk_fullsock`
pub(super) fn full<S>(_subject: &mut S, net: &mut Net, call: &mut Call<'_>) -> Checked<u64> {
    view(net, call, View::Full, |socket| socket.state.is_full())
}

/// `bpf_tcp_sock`
pub(super) fn tcp<S>(_subject: &mut S, net: &mut Net, call: &mut Call<'_>) -> Checked<u64> {
    view(net, call, View::Tcp, is_tcp)
}

/// `bpf_get_listener_sock`: of a request its listener, of a listener itself.
pub(super) fn listener<S>(_subject: &mut S, net: &mut Net, call: &mut Call<'_>) -> Checked<u64> {
    let (id, shown, _) = net.socket_argument(call, 1)?;
    if shown == View::Kernel {
        return Err(call.refuse(1, "the kernel's own structure of a socket"));
    }
    let found = full_socket(net, id).filter(|id| {
        let socket = net.sockets.get(*id);
        socket.is_some_and(|socket| socket.state == State::Listen)
    });
    Ok(match found {
        Some(id) => net.sockets.lend(call, id, View::Full),
        None => null(call),
    })
}

/// `bpf_skc_to_*`: a pointer to the kernel's own structure, of which nothing can be read here.
pub(super) fn kernel<S>(_subject: &mut S, net: &mut Net, call: &mut Call<'_>) -> Checked<u64> {
    let fits: fn(&Socket) -> bool = match call.helper {
        HelperId::SKC_TO_TCP_SOCK => is_tcp,
        HelperId::SKC_TO_TCP6_SOCK => |socket| is_tcp(socket) && socket.family == Family::V6,
        HelperId::SKC_TO_TCP_TIMEWAIT_SOCK => |socket| socket.state == State::TimeWait,
        HelperId::SKC_TO_TCP_REQUEST_SOCK => |socket| socket.state == State::Request,
        HelperId::SKC_TO_UDP6_SOCK => {
            |socket| socket.protocol == Protocol::Udp && socket.family == Family::V6
        }
        // There are no sockets of AF_UNIX, and none of MPTCP.
        _ => |_| false,
    };
    view(net, call, View::Kernel, fits)
}

fn is_tcp(socket: &Socket) -> bool {
    socket.state.is_full() && socket.protocol == Protocol::Tcp
}

/// The same socket in another view if it fits, or null.
fn view(
    net: &mut Net,
    call: &mut Call<'_>,
    view: View,
    fits: impl Fn(&Socket) -> bool,
) -> Checked<u64> {
    let (id, shown, pointer) = net.socket_argument(call, 1)?;
    if shown == View::Kernel && view != View::Kernel {
        return Err(call.refuse(1, "the kernel's own structure of a socket"));
    }
    if net.sockets.get(id).is_some_and(fits) {
        Ok(net.sockets.derive(call, pointer, view))
    } else {
        Ok(null(call))
    }
}

fn null(call: &mut Call<'_>) -> u64 {
    call.machine.memory.note_null(call.helper, call.at);
    0
}
