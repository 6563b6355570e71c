//! The Twinpath datapath: programs for the XDP and tc hooks.
//!
//! The maps, records and reasons are in `twinpath-abi`; this crate only acts on them. An entry point
//! is a few lines: it runs one path, counts what became of the packet and reports a drop. Each
//! concern has a module:
//!
//! | module | concern |
//! |---|---|
//! | `xdp_entry`, `from_container` | the path of a packet through each program |
//! | `context` | what XDP and tc have in common, and the helpers that act on a context |
//! | `packet`, `wire` | checked access to the packet; the headers as they stand in it |
//! | `parse` | Ethernet, VLAN, IPv4, IPv6, extension headers, TCP, UDP |
//! | `l3` | time to live and addresses of a packet that is sent on |
//! | `csum` | incremental checksums |
//! | `prefilter` | the CIDR deny list |
//! | `service` | virtual IPs, Maglev, DNAT |
//! | `endpoint` | who may send what, and delivery to an endpoint |
//! | `drops`, `events`, `metrics` | a drop with its reason and place, the event, the counters |
//! | `maps`, `seam` | the maps and load-time constants; the clock |
//! | `opaque` | a value hidden from the optimiser, for the verifier's sake |
#![no_std]
#![no_main]
#![feature(asm_experimental_arch)]
#![deny(
    unsafe_code,
    unsafe_op_in_unsafe_fn,
    clippy::undocumented_unsafe_blocks
)]

mod context;
mod csum;
mod drops;
mod endpoint;
mod events;
mod from_container;
mod l3;
mod maps;
mod metrics;
mod opaque;
mod packet;
mod parse;
mod prefilter;
mod seam;
mod service;
mod wire;
mod xdp_entry;

mod entry {
    #![allow(
        unsafe_code,
        reason = "a symbol that the loader looks up must not be mangled"
    )]

    use aya_ebpf::macros::{classifier, xdp};
    use aya_ebpf::programs::{TcContext, XdpContext};

    use crate::context::{Tc, Xdp};
    use crate::{from_container, xdp_entry};

    #[xdp]
    pub fn xdp_entry(ctx: XdpContext) -> u32 {
        xdp_entry::run(&Xdp::new(ctx))
    }

    #[classifier]
    pub fn from_container(ctx: TcContext) -> i32 {
        from_container::run(&Tc::new(ctx))
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
