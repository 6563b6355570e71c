//! The load-time constants. Their names and meanings are in the ABI (`global`).
#![allow(
    unsafe_code,
    reason = "a constant that the loader looks up must not be mangled"
)]

use aya_ebpf::Global;
use twinpath_abi::{
    Address, Aggregation, Family, Ifindex, Mac, SNAT_PORTS, Seam, global, lifetime,
};

/// Defines constants, each a `u32`, under the names that a loader knows.
macro_rules! constants {
    ($($name:ident = $default:expr;)+) => {
        $(
            #[unsafe(no_mangle)]
            static $name: Global<u32> = Global::new($default);
        )+
    };
}

constants! {
    SEAM_NOW = 0;
    SEAM_RANDOM = 0;
    HASH_SEED = global::HASH_SEED_DEFAULT;
    DEBUG = 0;
    TRACE_NOTIFY = 0;
    POLICY_VERDICT_NOTIFY = 0;
    AGGREGATION = 0;
    AUDIT = 0;
    HOST_FIREWALL = 0;
    GATEWAY_IPV4 = 0;
    NODE_IPV4 = 0;
    MASQUERADE_IPV4 = 0;
    MASQUERADE_IPV6 = 0;
    SNAT_PORT_MIN = *SNAT_PORTS.start() as u32;
    SNAT_PORT_MAX = *SNAT_PORTS.end() as u32;
    TUNNEL_IFINDEX = 0;
    HOST_IFINDEX = 0;
    HOST_ROUTING = 0;
    REDIRECT_PEER = 0;
    CT_LIFETIME_TCP = lifetime::TCP;
    CT_LIFETIME_ANY = lifetime::ANY;
}

#[unsafe(no_mangle)]
static GATEWAY_IPV6: Global<[u32; 4]> = Global::new([0; 4]);

#[unsafe(no_mangle)]
static NODE_IPV6: Global<[u32; 4]> = Global::new([0; 4]);

#[unsafe(no_mangle)]
static HOST_MAC: Global<[u16; 4]> = Global::new([0; 4]);

/// The seed of the flow hash.
#[inline(always)]
pub fn hash_seed() -> u32 {
    HASH_SEED.load()
}

/// Whether a seam takes the place of the kernel's helper.
#[inline(always)]
pub fn has_seam(seam: Seam) -> bool {
    let flag = match seam {
        Seam::Now => SEAM_NOW.load(),
        Seam::Random => SEAM_RANDOM.load(),
    };
    flag != 0
}

/// Whether debug events are written.
#[inline(always)]
pub fn debugs() -> bool {
    DEBUG.load() != 0
}

/// Whether trace events are written.
#[inline(always)]
pub fn traces() -> bool {
    TRACE_NOTIFY.load() != 0
}

/// Whether trace events of this aggregation level are left out.
#[inline(always)]
pub fn aggregates(level: Aggregation) -> bool {
    AGGREGATION.load() >= level as u32
}

/// Whether policy verdicts are written.
#[inline(always)]
pub fn tells_verdicts() -> bool {
    POLICY_VERDICT_NOTIFY.load() != 0
}

/// Whether all policies are in audit mode.
#[inline(always)]
pub fn audits() -> bool {
    AUDIT.load() != 0
}

/// Whether the node's own policy is enforced.
#[inline(always)]
pub fn guards_host() -> bool {
    HOST_FIREWALL.load() != 0
}

/// The gateway's address of a family, if it has one.
#[inline(always)]
pub fn gateway(family: Family) -> Option<Address> {
    address(match family {
        Family::V6 => GATEWAY_IPV6.load(),
        _ => [GATEWAY_IPV4.load(), 0, 0, 0],
    })
}

/// The address of a family that what leaves the cluster gets, if it gets one.
#[inline(always)]
pub fn masquerade(family: Family) -> Option<Address> {
    match family {
        Family::V6 if MASQUERADE_IPV6.load() != 0 => address(NODE_IPV6.load()),
        Family::V4 if MASQUERADE_IPV4.load() != 0 => address([NODE_IPV4.load(), 0, 0, 0]),
        _ => None,
    }
}

#[inline(always)]
fn address(words: [u32; 4]) -> Option<Address> {
    let [a, b, c, d] = words;
    (a | b | c | d != 0).then_some(Address::from_words(words))
}

/// The lowest and the highest port that translations use.
#[inline(always)]
pub fn snat_ports() -> (u16, u16) {
    (SNAT_PORT_MIN.load() as u16, SNAT_PORT_MAX.load() as u16)
}

/// The device of the overlay, if endpoints of other nodes are reached through it.
#[inline(always)]
pub fn tunnel() -> Option<Ifindex> {
    let tunnel = Ifindex(TUNNEL_IFINDEX.load());
    (tunnel.0 != 0).then_some(tunnel)
}

/// The device between the stack and the endpoints, if there is one.
#[inline(always)]
pub fn host_device() -> Option<Ifindex> {
    let host = Ifindex(HOST_IFINDEX.load());
    (host.0 != 0).then_some(host)
}

/// The Ethernet address of that device.
#[inline(always)]
pub fn host_mac() -> Mac {
    let [a, b, c, ..] = HOST_MAC.load();
    Mac::from_halves([a, b, c])
}

/// Whether the programs route what endpoints send, and not the stack.
#[inline(always)]
pub fn routes() -> bool {
    HOST_ROUTING.load() != 0
}

/// Whether packets go to the endpoints' ends of their devices at once.
#[inline(always)]
pub fn redirects_to_peers() -> bool {
    REDIRECT_PEER.load() != 0
}

/// Seconds that a TCP connection lives after its last packet.
#[inline(always)]
pub fn lifetime_tcp() -> u32 {
    CT_LIFETIME_TCP.load()
}

/// Seconds that any other connection lives after its last packet.
#[inline(always)]
pub fn lifetime_any() -> u32 {
    CT_LIFETIME_ANY.load()
}
