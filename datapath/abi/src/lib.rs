//! What the Twinpath datapath and user space share: map keys and values, load-time configuration,
//! drop reasons and event records. One definition, `no_std`, used by the eBPF programs, by the
//! cluster model that fills the maps and by whoever reads them.
//!
//! # Maps
//!
//! | map | kind | key | value | written by |
//! |---|---|---|---|---|
//! | [`lxc`](map::LXC) | hash | [`EndpointKey`] (20) | [`EndpointInfo`] (32) | user space |
//! | [`lxc_device`](map::LXC_DEVICE) | hash | [`Ifindex`] (4) | [`DeviceEndpoint`] (52) | user space |
//! | [`prefilter`](map::PREFILTER) | LPM trie | [`PrefixKey`] (24) | [`PrefilterRule`] (4) | user space |
//! | [`ipcache`](map::IPCACHE) | LPM trie | [`PrefixKey`] (24) | [`RemoteEndpoint`] (24) | user space |
//! | [`policy`](map::POLICY) | LPM trie | [`PolicyKey`] (16) | [`PolicyEntry`] (12) | user space |
//! | [`ct`](map::CT) | LRU hash | [`CtTuple`] (40) | [`CtEntry`] (56) | programs |
//! | [`snat`](map::SNAT) | LRU hash | [`SnatTuple`] (40) | [`SnatEntry`] (40) | programs |
//! | [`ipmasq`](map::IPMASQ) | LPM trie | [`PrefixKey`] (24) | [`MasqueradeRule`] (4) | user space |
//! | [`fragments`](map::FRAGMENTS) | LRU hash | [`FragmentKey`] (40) | [`FragmentPorts`] (8) | programs |
//! | [`calls`](map::CALLS) | program array | [`TailCall`] (4) | | the object |
//! | [`lb_services`](map::LB_SERVICES) | hash | [`ServiceKey`] (24) | [`ServiceValue`] (12) | user space |
//! | [`lb_backends`](map::LB_BACKENDS) | hash | [`BackendId`] (4) | [`Backend`] (32) | user space |
//! | [`lb_maglev`](map::LB_MAGLEV) | hash | [`RevNatIndex`] (2) | [`MaglevTable`] (4084) | user space |
//! | [`metrics`](map::METRICS) | per-CPU hash | [`MetricsKey`] (8) | [`MetricsValue`] (16) | programs |
//! | [`events`](map::EVENTS) | ring buffer | | [`DropRecord`] (176), [`TraceRecord`] (184), [`VerdictRecord`] (168), [`DebugNotify`] (20) | programs |
//! | [`seams`](map::SEAMS) | array | [`Seam`] (4) | `u64` (8) | user space |
//!
//! Numbers in brackets are sizes in bytes. Integers are in the byte order of the machine unless the
//! type says otherwise ([`Port`] is in network byte order); addresses are as they stand in a packet.
//! No type has padding: every bit of a record is a field, so records can be compared as bytes.
//!
//! # Programs
//!
//! | program | section | hook | does |
//! |---|---|---|---|
//! | [`xdp_entry`](program::XDP_ENTRY) | `xdp` | XDP | deny list, services by Maglev and DNAT, out again |
//! | [`from_container`](program::FROM_CONTAINER) | `classifier` | tc ingress of an endpoint's device | anti-spoofing, the gateway's answers |
//! | [`policy_egress`](program::POLICY_EGRESS) | `classifier` | tail call | conntrack and policy of the sender, where it goes |
//! | [`policy_ingress`](program::POLICY_INGRESS) | `classifier` | tail call | conntrack and policy of the receiver, delivery |
//! | [`forward`](program::FORWARD) | `classifier` | tail call | the overlay, or the node's routes |
//! | [`to_container`](program::TO_CONTAINER) | `classifier` | tc egress of an endpoint's device | policy of what the stack delivers |
//! | [`from_netdev`](program::FROM_NETDEV) | `classifier` | tc ingress of the uplink | identity by address, back to who was masqueraded, delivery to endpoints |
//! | [`to_netdev`](program::TO_NETDEV) | `classifier` | tc egress of the uplink | masquerades what leaves the cluster, tells what leaves |
//! | [`from_host`](program::FROM_HOST) | `classifier` | tc egress of the node's device | delivery of what the node sends, here or by the overlay |
//! | [`to_host`](program::TO_HOST) | `classifier` | tc ingress of its far end | tells what the node gets |
//! | [`from_overlay`](program::FROM_OVERLAY) | `classifier` | tc ingress of the overlay's device | identity by tunnel key, delivery to endpoints |
//! | [`to_overlay`](program::TO_OVERLAY) | `classifier` | tc egress of the overlay's device | marks what the tunnel sends |
//!
//! # Use
//!
//! ```
//! use core::net::IpAddr;
//! use twinpath_abi::{Address, EndpointKey, IntoBytes};
//!
//! let key = EndpointKey::new("10.0.1.10".parse::<IpAddr>()?);
//! assert_eq!(key.as_bytes().len(), 20);
//! assert_eq!(&key.as_bytes()[..4], [10, 0, 1, 10]);
//! assert_eq!(key.ip.to_ip(key.family), Some("10.0.1.10".parse()?));
//! # Ok::<(), core::net::AddrParseError>(())
//! ```
#![no_std]

mod addr;
mod call;
mod config;
mod conntrack;
mod endpoint;
mod event;
mod fragment;
mod hash;
mod ipcache;
pub mod map;
mod mark;
mod metrics;
mod nat;
mod policy;
mod prefix;
pub mod program;
mod reason;
mod service;

pub use addr::{
    Address, ClusterId, EndpointId, Family, Identity, Ifindex, Mac, MacError, Port, Protocol,
};
pub use call::TailCall;
pub use config::{Aggregation, Seam, global};
pub use conntrack::{CtEntry, CtFlags, CtTuple, CtTupleFlags, lifetime};
pub use endpoint::{DeviceEndpoint, EndpointFlags, EndpointInfo, EndpointKey};
pub use event::{
    CAPTURE_LEN, DebugNotify, DebugPoint, DropNotify, DropRecord, NotifyCapture, NotifyFlags,
    NotifyHead, NotifyType, PolicyMatch, SourceFile, TraceNotify, TracePoint, TraceReason,
    TraceRecord, VerdictFlags, VerdictNotify, VerdictRecord,
};
pub use fragment::{FragmentKey, FragmentPorts};
pub use hash::{FlowTuple, jhash2};
pub use ipcache::{RemoteEndpoint, RemoteFlags};
pub use mark::Mark;
pub use metrics::{Direction, MetricsKey, MetricsValue, Verdict};
pub use nat::{MasqueradeRule, SNAT_PORTS, SNAT_RETRIES, SnatEntry, SnatTuple};
pub use policy::{
    POLICY_FULL_BITS, POLICY_STATIC_BITS, PolicyData, PolicyEntry, PolicyFlags, PolicyKey,
};
pub use prefix::{PREFIX_STATIC_BITS, PrefilterRule, PrefixData, PrefixKey};
pub use reason::{DropReason, ForwardReason, reason_text};
pub use service::{
    Backend, BackendId, MAGLEV_SIZE, MaglevTable, RevNatIndex, Scope, ServiceKey, ServiceValue,
};
/// Views of every record as bytes and back, checked by the compiler.
pub use zerocopy::{FromBytes, IntoBytes};

/// A key or a value: any bytes of its size are one, and it has no padding.
pub trait Record: FromBytes + IntoBytes + zerocopy::Immutable + zerocopy::KnownLayout {}

impl<T: FromBytes + IntoBytes + zerocopy::Immutable + zerocopy::KnownLayout> Record for T {}

/// Derives what every record has: a plain copy, comparison, and views as bytes without `unsafe`.
/// `IntoBytes` does not compile for a type with padding.
macro_rules! records {
    ($($item:item)+) => {
        $(
            #[derive(
                Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash,
                zerocopy::FromBytes, zerocopy::IntoBytes, zerocopy::Immutable, zerocopy::KnownLayout,
            )]
            #[repr(C)]
            $item
        )+
    };
}
pub(crate) use records;

/// Asserts at compile time that a record has the size that the documentation gives.
macro_rules! sizes {
    ($($ty:ty = $size:literal),+ $(,)?) => {
        $(const _: () = assert!(size_of::<$ty>() == $size);)+
    };
}
pub(crate) use sizes;
