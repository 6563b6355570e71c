//! What programs ask about a packet's or a call's socket: cookies, user, cgroup.

use twinpath_machine::{Call, Checked, Errno, Pointer, SocketId};

use crate::net::{Net, NodeId, Placed};
use crate::packet::Skb;
use crate::socket::{CgroupId, Socket, SocketSubject};

use super::sock_lookup::full_socket;

/// `bpf_get_socket_cookie` of a packet; 0 when it has no socket.
pub(super) fn packet_cookie(skb: &mut Skb, _net: &mut Net, call: &mut Call<'_>) -> Checked<u64> {
    call.context(1)?;
    Ok(skb.socket.map_or(0, |SocketId(cookie)| cookie))
}

/// `bpf_get_socket_cookie` of a call.
pub(super) fn cookie(
    subject: &mut SocketSubject,
    _net: &mut Net,
    call: &mut Call<'_>,
) -> Checked<u64> {
    call.context(1)?;
    Ok(subject.socket.map_or(0, |SocketId(cookie)| cookie))
}

/// `bpf_get_netns_cookie` of a packet.
pub(super) fn packet_netns(skb: &mut Skb, net: &mut Net, call: &mut Call<'_>) -> Checked<u64> {
    let node = skb.node(net);
    netns_cookie(node, call)
}

/// `bpf_get_netns_cookie` of a call.
pub(super) fn netns(
    subject: &mut SocketSubject,
    _net: &mut Net,
    call: &mut Call<'_>,
) -> Checked<u64> {
    netns_cookie(subject.node, call)
}

/// The number of a namespace, which is never that of another one. The kernel's first one has 1, and is
/// the one that is asked for by a null pointer.
fn netns_cookie(node: NodeId, call: &mut Call<'_>) -> Checked<u64> {
    const INITIAL: u64 = 1;
    if Pointer(call.arg(1)).is_null() {
        return Ok(INITIAL);
    }
    call.context(1)?;
    Ok(INITIAL + 1 + u64::from(node.0))
}

/// `bpf_get_socket_uid`: the overflow user when there is no full socket.
pub(super) fn uid(skb: &mut Skb, net: &mut Net, call: &mut Call<'_>) -> Checked<u64> {
    const OVERFLOW: u32 = 65534;
    call.context(1)?;
    let socket = packet_socket(skb, net);
    Ok(u64::from(
        socket.map_or(OVERFLOW, |socket| socket.owner.uid),
    ))
}

/// `bpf_skb_cgroup_id`: 0 when there is no full socket.
pub(super) fn packet_cgroup(skb: &mut Skb, net: &mut Net, call: &mut Call<'_>) -> Checked<u64> {
    call.context(1)?;
    let socket = packet_socket(skb, net);
    Ok(socket.map_or(0, |socket| socket.owner.cgroup.0))
}

/// `bpf_skb_ancestor_cgroup_id`
pub(super) fn packet_ancestor(skb: &mut Skb, net: &mut Net, call: &mut Call<'_>) -> Checked<u64> {
    call.context(1)?;
    Ok(ancestor(packet_socket(skb, net), net, call.arg(2)))
}

/// `bpf_sk_cgroup_id`
pub(super) fn cgroup<S>(_subject: &mut S, net: &mut Net, call: &mut Call<'_>) -> Checked<u64> {
    let (id, ..) = net.socket_argument(call, 1)?;
    let socket = full_socket(net, id).and_then(|id| net.sockets.get(id));
    Ok(socket.map_or(0, |socket| socket.owner.cgroup.0))
}

/// `bpf_sk_ancestor_cgroup_id`
pub(super) fn cgroup_ancestor<S>(
    _subject: &mut S,
    net: &mut Net,
    call: &mut Call<'_>,
) -> Checked<u64> {
    let (id, ..) = net.socket_argument(call, 1)?;
    let socket = full_socket(net, id).and_then(|id| net.sockets.get(id));
    Ok(ancestor(socket, net, call.arg(2)))
}

fn ancestor(socket: Option<&Socket>, net: &Net, level: u64) -> u64 {
    let level = u32::try_from(level as i32).ok();
    let found = level
        .zip(socket)
        .and_then(|(level, socket)| net.sockets.cgroups.ancestor(socket.owner.cgroup, level));
    found.map_or(0, |CgroupId(id)| id)
}

/// `bpf_skb_under_cgroup`
pub(super) fn under_cgroup(skb: &mut Skb, net: &mut Net, call: &mut Call<'_>) -> Checked<u64> {
    call.context(1)?;
    let map = call.map(2)?;
    let Some(socket) = packet_socket(skb, net) else {
        return Ok(Errno::ENOENT.into());
    };
    let other = call.machine.maps[map].cgroup_at(call.arg(3) as u32);
    Ok(match other {
        Ok(other) => {
            let under = net
                .sockets
                .cgroups
                .is_under(socket.owner.cgroup, CgroupId(other));
            u64::from(under)
        }
        Err(errno) => errno.into(),
    })
}

/// The packet's full socket.
fn packet_socket<'a>(skb: &Skb, net: &'a Net) -> Option<&'a Socket> {
    let id = full_socket(net, skb.socket?)?;
    net.sockets.get(id)
}
