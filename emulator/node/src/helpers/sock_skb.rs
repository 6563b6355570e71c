//! The helpers for sockets that programs on an skb have: tc, `cgroup/skb`, socket filters.

use twinpath_machine::{Call, Checked, HelperId};

use super::{helpers, sock_info, sock_lookup, sock_view, syncookie};
use crate::net::Net;
use crate::packet::Skb;

helpers! { Skb:
    reads GET_SOCKET_COOKIE => sock_info::packet_cookie,
    reads GET_SOCKET_UID => sock_info::uid,
    reads GET_NETNS_COOKIE => sock_info::packet_netns,
    reads SKB_CGROUP_ID => sock_info::packet_cgroup,
    reads SKB_ANCESTOR_CGROUP_ID => sock_info::packet_ancestor,
    reads SKB_UNDER_CGROUP => sock_info::under_cgroup,
    reads SK_CGROUP_ID => sock_info::cgroup,
    reads SK_ANCESTOR_CGROUP_ID => sock_info::cgroup_ancestor,
    reads SK_FULLSOCK => sock_view::full,
    reads TCP_SOCK => sock_view::tcp,
    reads GET_LISTENER_SOCK => sock_view::listener,
    reads SK_LOOKUP_TCP => sock_lookup::tcp,
    reads SK_LOOKUP_UDP => sock_lookup::udp,
    reads SKC_LOOKUP_TCP => sock_lookup::common,
    reads SK_RELEASE => sock_lookup::release,
    writes SK_ASSIGN => sock_lookup::assign_packet,
    reads TCP_CHECK_SYNCOOKIE => syncookie::check,
    reads TCP_GEN_SYNCOOKIE => syncookie::make,
    reads TCP_RAW_GEN_SYNCOOKIE_IPV4 => syncookie::raw_make_v4,
    reads TCP_RAW_GEN_SYNCOOKIE_IPV6 => syncookie::raw_make_v6,
    reads TCP_RAW_CHECK_SYNCOOKIE_IPV4 => syncookie::raw_check_v4,
    reads TCP_RAW_CHECK_SYNCOOKIE_IPV6 => syncookie::raw_check_v6,
    reads SKC_TO_TCP6_SOCK => sock_view::kernel,
    reads SKC_TO_TCP_SOCK => sock_view::kernel,
    reads SKC_TO_TCP_TIMEWAIT_SOCK => sock_view::kernel,
    reads SKC_TO_TCP_REQUEST_SOCK => sock_view::kernel,
    reads SKC_TO_UDP6_SOCK => sock_view::kernel,
    reads SKC_TO_UNIX_SOCK => sock_view::kernel,
    reads SKC_TO_MPTCP_SOCK => sock_view::kernel,
}
