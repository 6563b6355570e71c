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
//! | `parse`, `fragment`, `headers` | Ethernet, VLAN, IPv4, IPv6, extension and transport headers; those of fragments; all of a packet's |
//! | `l3` | time to live and addresses of a packet that is sent on |
//! | `csum`, `atomic` | incremental checksums; additions in shared memory |
//! | `prefilter` | the CIDR deny list |
//! | `service` | virtual IPs, Maglev, DNAT |
//! | `endpoint` | who may send what, and delivery to an endpoint |
//! | `neighbour`, `icmp` | the gateway's answers to ARP, neighbour discovery and echoes; what ICMP errors are about |
//! | `ipcache` | who an address is |
//! | `encap`, `fib` | the overlay; the node's routes |
//! | `admission` | whether a packet may pass an endpoint's end: `conntrack` and `policy` together |
//! | `fate`, `drops`, `events`, `metrics` | what becomes of a packet, a drop with its reason and place, the events, the counters |
//! | `maps`, `config`, `seam` | the maps; the load-time constants; the clock |
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
mod forward;
mod fragment;
mod from_container;
mod headers;
mod icmp;
mod ipcache;
mod l3;
mod maps;
mod metrics;
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
mod wire;
mod xdp_entry;

mod entry {
    #![allow(
        unsafe_code,
        reason = "a symbol that the loader looks up must not be mangled"
    )]

    use aya_ebpf::macros::{classifier, xdp};
    use aya_ebpf::programs::{TcContext, XdpContext};

    use crate::context::Xdp;
    use crate::tc::Tc;
    use crate::{arrival, departure, forward as onwards};
    use crate::{from_container as sent, xdp_entry as arrived};
    use crate::{policy_egress as egress, policy_ingress as ingress};

    #[xdp]
    pub fn xdp_entry(ctx: XdpContext) -> u32 {
        arrived::run(&Xdp::new(ctx))
    }

    #[classifier]
    pub fn from_container(ctx: TcContext) -> i32 {
        sent::run(&Tc::new(ctx))
    }

    #[classifier]
    pub fn policy_egress(ctx: TcContext) -> i32 {
        egress::run(&Tc::new(ctx))
    }

    #[classifier]
    pub fn policy_ingress(ctx: TcContext) -> i32 {
        ingress::run(&Tc::new(ctx))
    }

    #[classifier]
    pub fn forward(ctx: TcContext) -> i32 {
        onwards::run(&Tc::new(ctx))
    }

    #[classifier]
    pub fn to_container(ctx: TcContext) -> i32 {
        departure::to_container(&Tc::new(ctx))
    }

    #[classifier]
    pub fn from_netdev(ctx: TcContext) -> i32 {
        arrival::from_netdev(&Tc::new(ctx))
    }

    #[classifier]
    pub fn to_netdev(ctx: TcContext) -> i32 {
        departure::to_netdev(&Tc::new(ctx))
    }

    #[classifier]
    pub fn from_host(ctx: TcContext) -> i32 {
        arrival::from_host(&Tc::new(ctx))
    }

    #[classifier]
    pub fn to_host(ctx: TcContext) -> i32 {
        departure::to_host(&Tc::new(ctx))
    }

    #[classifier]
    pub fn from_overlay(ctx: TcContext) -> i32 {
        arrival::from_overlay(&Tc::new(ctx))
    }

    #[classifier]
    pub fn to_overlay(ctx: TcContext) -> i32 {
        departure::to_overlay(&Tc::new(ctx))
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
