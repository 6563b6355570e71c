//! The helpers for sockets that XDP programs have (`xdp_func_proto`).

use twinpath_machine::{Call, Checked, HelperId};

use super::{helpers, sock_lookup, sock_view, syncookie};
use crate::net::Net;
use crate::packet::Xdp;

helpers! { Xdp:
    reads SK_LOOKUP_TCP => sock_lookup::tcp,
    reads SK_LOOKUP_UDP => sock_lookup::udp,
    reads SKC_LOOKUP_TCP => sock_lookup::common,
    reads SK_RELEASE => sock_lookup::release,
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
