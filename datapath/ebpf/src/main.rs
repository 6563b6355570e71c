//! The Twinpath datapath: programs for the XDP and tc hooks.
//!
//! The maps, records and reasons are in `twinpath-abi`; this crate only acts on them. An entry point
//! is a few lines: it runs one path, counts what became of the packet and reports a drop. Each
//! concern has a module:
//!
//! | module | concern |
//! |---|---|
//! | `xdp_entry`, `from_container`, `policy_egress`, `policy_ingress`, `forward` | the path of a packet through each program |
//! | `arrival`, `departure` | the paths of packets that come to the node, and of those that its stack sends |
//! | `context`, `tc` | what XDP and tc have in common; what tc has beyond it, and its helpers |
//! | `packet`, `wire` | checked access to the packet; the headers as they stand in it |
//! | `layers`, `parse`, `fragment`, `headers` | what is known of a packet's layers; from Ethernet to the transport headers; those of fragments; all of a packet's |
//! | `l3` | time to live and addresses of a packet that is sent on |
//! | `csum`, `atomic` | incremental checksums; additions in shared memory |
//! | `prefilter` | the CIDR deny list |
//! | `service` | virtual IPs, Maglev, DNAT |
//! | `endpoint` | who may send what, and delivery to an endpoint |
//! | `neighbour`, `icmp` | the gateway's answers to ARP, neighbour discovery and echoes; what ICMP errors are about |
//! | `ipcache` | who an address is |
//! | `nat`, `translate` | masquerading of what leaves the cluster; rewriting an end of a packet |
//! | `encap`, `fib` | the overlay; the node's routes |
//! | `admission` | whether a packet may pass an endpoint's end: `conntrack` and `policy` together |
//! | `firewall` | the node itself as an endpoint with a policy |
//! | `fate`, `drops`, `events`, `metrics` | what becomes of a packet, a drop with its reason and place, the events, the counters |
//! | `maps`, `config`, `seam` | the maps; the load-time constants; the clock |
//! | `apart` | functions that the verifier looks at by themselves |
//! | `opaque` | a value hidden from the optimiser, for the verifier's sake |
#![no_std]
#![no_main]
#![feature(asm_experimental_arch)]
#![deny(
    unsafe_code,
    unsafe_op_in_unsafe_fn,
    clippy::undocumented_unsafe_blocks
)]

mod admission;
mod apart;
mod arrival;
mod atomic;
mod config;
mod conntrack;
mod context;
mod csum;
mod departure;
mod drops;
mod encap;
mod endpoint;
mod events;
mod fate;
mod fib;
mod firewall;
mod forward;
mod fragment;
mod from_container;
mod headers;
mod icmp;
mod ipcache;
mod l3;
mod layers;
mod maps;
mod metrics;
mod nat;
mod neighbour;
mod opaque;
mod packet;
mod parse;
mod policy;
mod policy_egress;
mod policy_ingress;
mod prefilter;
mod seam;
mod service;
mod tc;
mod translate;
mod wire;
mod xdp_entry;

mod entry {
    #![allow(
        unsafe_code,
        reason = "a symbol that the loader looks up must not be mangled"
    )]

    use aya_ebpf::macros::{classifier, xdp};
    use aya_ebpf::programs::{TcContext, XdpContext};
    use twinpath_abi::Direction::{Egress, Ingress};

    use crate::{arrival, departure, fate};

    #[xdp]
    pub fn xdp_entry(ctx: XdpContext) -> u32 {
        crate::xdp_entry::run(ctx.ctx)
    }

    #[classifier]
    pub fn from_container(ctx: TcContext) -> i32 {
        fate::of(ctx.skb.skb, Egress, crate::from_container::decide)
    }

    #[classifier]
    pub fn policy_egress(ctx: TcContext) -> i32 {
        fate::of(ctx.skb.skb, Egress, crate::policy_egress::decide)
    }

    #[classifier]
    pub fn policy_ingress(ctx: TcContext) -> i32 {
        fate::of(ctx.skb.skb, Ingress, crate::policy_ingress::decide)
    }

    #[classifier]
    pub fn forward(ctx: TcContext) -> i32 {
        fate::of(ctx.skb.skb, Egress, crate::forward::decide)
    }

    #[classifier]
    pub fn to_container(ctx: TcContext) -> i32 {
        fate::of(ctx.skb.skb, Ingress, departure::to_container)
    }

    #[classifier]
    pub fn from_netdev(ctx: TcContext) -> i32 {
        fate::of(ctx.skb.skb, Ingress, arrival::from_netdev)
    }

    #[classifier]
    pub fn to_netdev(ctx: TcContext) -> i32 {
        fate::of(ctx.skb.skb, Egress, departure::to_netdev)
    }

    #[classifier]
    pub fn from_host(ctx: TcContext) -> i32 {
        fate::of(ctx.skb.skb, Egress, arrival::from_host)
    }

    #[classifier]
    pub fn to_host(ctx: TcContext) -> i32 {
        fate::of(ctx.skb.skb, Ingress, departure::to_host)
    }

    #[classifier]
    pub fn from_overlay(ctx: TcContext) -> i32 {
        fate::of(ctx.skb.skb, Ingress, arrival::from_overlay)
    }

    #[classifier]
    pub fn to_overlay(ctx: TcContext) -> i32 {
        fate::of(ctx.skb.skb, Egress, departure::to_overlay)
    }

    /// Many helpers may only be called by programs under a licence that the kernel takes as GPL.
    #[unsafe(link_section = "license")]
    #[unsafe(no_mangle)]
    static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
}

/// Nothing here panics: every index is checked, and the optimiser proves it. Were that to change,
/// the verifier would refuse the endless loop at load.
#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}
