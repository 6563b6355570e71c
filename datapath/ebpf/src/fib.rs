//! Where a packet goes that is for no endpoint of this node, by the node's routes.
#![allow(unsafe_code, reason = "the kernel's structure has unions")]

use core::mem::zeroed;

use aya_ebpf::bindings::{BPF_FIB_LKUP_RET_NO_NEIGH, BPF_FIB_LKUP_RET_SUCCESS, bpf_fib_lookup};
use twinpath_abi::{Family, Ifindex, Mac};

use crate::parse::L3;
use crate::tc::Tc;

/// Linux's numbers of the families (`linux/socket.h`).
const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;

/// The way that a packet goes.
pub enum Way {
    /// To a neighbour whose Ethernet address is known.
    Known { device: Ifindex, to: Mac, from: Mac },
    /// To one whose address is not.
    Unknown(Ifindex),
    /// The stack knows better: there is no way, the packet does not fit, or it is for the node.
    Stack,
}

/// Asks the node's routes. A function of its own, as its structure would not fit on the caller's stack.
#[inline(never)]
pub fn way(ctx: &Tc, l3: &L3, device: Ifindex) -> Way {
    // SAFETY: a structure of numbers, all of which may be 0.
    let mut way: bpf_fib_lookup = unsafe { zeroed() };
    way.ifindex = device.0;
    way.l4_protocol = l3.protocol.0;
    way.__bindgen_anon_1.tot_len = (l3.end - l3.offset) as u16;
    match l3.family {
        Family::V6 => {
            way.family = AF_INET6;
            way.__bindgen_anon_3.ipv6_src = l3.saddr.words();
            way.__bindgen_anon_4.ipv6_dst = l3.daddr.words();
        }
        _ => {
            let ([from, ..], [to, ..]) = (l3.saddr.words(), l3.daddr.words());
            way.family = AF_INET;
            way.__bindgen_anon_3.ipv4_src = from;
            way.__bindgen_anon_4.ipv4_dst = to;
        }
    }
    let answer = ctx.fib_lookup(&mut way) as u32;
    let device = Ifindex(way.ifindex);
    match answer {
        BPF_FIB_LKUP_RET_SUCCESS => Way::Known {
            device,
            to: Mac(way.dmac),
            from: Mac(way.smac),
        },
        BPF_FIB_LKUP_RET_NO_NEIGH => Way::Unknown(device),
        _ => Way::Stack,
    }
}
