//! The helpers of programs at sockets' hooks: `cgroup/sock_addr`, `cgroup/sock`, `sk_lookup`, `sock_ops`.

use twinpath_machine::{Call, Checked, HelperId};

use super::{allows, helpers, sock_call, sock_info, sock_lookup, sock_ops, sock_view};
use crate::net::Net;
use crate::socket::SocketSubject;

helpers! { SocketSubject:
    reads GET_RETVAL => sock_call::get_returned,
    reads SET_RETVAL => sock_call::set_returned,
    reads SETSOCKOPT => set_option,
    reads GETSOCKOPT => get_option,
    reads TCP_SOCK => sock_view::tcp,
    reads BIND => sock_call::bind,
    reads GET_SOCKET_COOKIE => sock_info::cookie,
    reads GET_NETNS_COOKIE => sock_info::netns,
    reads SK_LOOKUP_TCP => sock_lookup::tcp,
    reads SK_LOOKUP_UDP => sock_lookup::udp,
    reads SKC_LOOKUP_TCP => sock_lookup::common,
    reads SK_RELEASE => sock_lookup::release,
    reads SK_ASSIGN => sock_lookup::assign_lookup,
    reads SKC_TO_TCP6_SOCK => sock_view::kernel,
    reads SKC_TO_TCP_SOCK => sock_view::kernel,
    reads SKC_TO_TCP_TIMEWAIT_SOCK => sock_view::kernel,
    reads SKC_TO_TCP_REQUEST_SOCK => sock_view::kernel,
    reads SKC_TO_UDP6_SOCK => sock_view::kernel,
    reads SKC_TO_UNIX_SOCK => sock_view::kernel,
    reads SKC_TO_MPTCP_SOCK => sock_view::kernel,
}

fn set_option(subject: &mut SocketSubject, net: &mut Net, call: &mut Call<'_>) -> Checked<u64> {
    match subject.callback {
        Some(_) => sock_ops::option(subject, net, call),
        None => sock_call::set(subject, net, call),
    }
}

fn get_option(subject: &mut SocketSubject, net: &mut Net, call: &mut Call<'_>) -> Checked<u64> {
    match subject.callback {
        Some(_) => sock_ops::option(subject, net, call),
        None => sock_call::get(subject, net, call),
    }
}

/// Runs a helper for a program at a socket's hook.
pub(crate) fn call_for(
    net: &mut Net,
    subject: &mut SocketSubject,
    context: u32,
    helper_call: &mut Call<'_>,
) -> Checked<u64> {
    let result = allows(helper_call.helper, subject.hook)
        .then(|| call(subject, net, context, helper_call))
        .flatten();
    result.unwrap_or_else(|| Err(super::unsupported(helper_call.helper, Some(subject.hook))))
}
