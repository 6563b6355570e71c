//! The structures that programs get in r1, with the access rules of each program type.
//!
//! The kernel's verifier enforces the same rules at load (`*_is_valid_access` in `net/core/filter.c`),
//! the checked engine when an access happens.

mod sk_lookup;
mod skb;
pub(crate) mod sock;
mod sock_addr;
mod sock_ops;
mod xdp;

pub(crate) use sk_lookup::{write_selected, write_sk_lookup};
pub(crate) use skb::{SkbField, read_skb, write_skb};
pub(crate) use sock::{SOCK_SIZE, TCP_SOCK_SIZE, read_sock, write_sock, write_tcp_sock};
pub(crate) use sock_addr::SockAddr;
pub(crate) use sock_ops::{read_reply, write_sock_ops};
pub(crate) use xdp::write_xdp;

use twinpath_machine::memory::Layout;
use twinpath_machine::{AttachType, ProgramType};

/// The context structure of programs of a type, attached as stated, if the node has such programs.
pub fn layout(kind: ProgramType, attach: Option<AttachType>) -> Option<&'static Layout> {
    Some(match kind {
        ProgramType::Xdp if attach == Some(AttachType::XdpDevmap) => &xdp::XDP_MD_EGRESS,
        ProgramType::Xdp => &xdp::XDP_MD,
        ProgramType::SchedCls | ProgramType::SchedAct => &skb::SCHED_CLS,
        ProgramType::SocketFilter => &skb::SOCKET_FILTER,
        ProgramType::CgroupSkb => &skb::CGROUP_SKB,
        ProgramType::LwtIn | ProgramType::LwtOut | ProgramType::LwtXmit => &skb::LWT,
        ProgramType::CgroupSock => return sock::layout(attach?),
        ProgramType::CgroupSockAddr => return sock_addr::layout(attach?),
        ProgramType::SkLookup => &sk_lookup::SK_LOOKUP,
        ProgramType::SockOps if attach.is_none_or(|attach| attach == AttachType::CgroupSockOps) => {
            &sock_ops::SOCK_OPS
        }
        _ => return None,
    })
}
