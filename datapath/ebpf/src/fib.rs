//! Where a packet goes that is for no endpoint of this node, by the node's routes.
#![allow(unsafe_code, reason = "the kernel's structure has unions")]

use core::mem::zeroed;

use aya_ebpf::bindings::{BPF_FIB_LKUP_RET_NO_NEIGH, BPF_FIB_LKUP_RET_SUCCESS, bpf_fib_lookup};
use twinpath_abi::{Family, Ifindex, Mac};

use crate::apart::{apart, plain, small};
use crate::context::Context as _;
use crate::drops::Drop;
use crate::events::Flow;
use crate::layers::L3;
use crate::tc::Tc;

/// Linux's numbers of the families (`linux/socket.h`).
const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;

/// How a packet gets to its neighbour.
#[repr(u32)]
pub enum Found {
    /// Its Ethernet address is known.
    Known,
    /// It is not.
    Unknown,
    /// The stack knows better: there is no way, the packet does not fit, or it is for the node.
    Stack,
}

small!(Found);

plain! {
    /// The way that a packet goes.
    pub struct Way {
        pub device: Ifindex,
        pub to: Mac,
        pub from: Mac,
    }
}

impl Way {
    pub const NONE: Self = Self {
        device: Ifindex(0),
        to: Mac::NONE,
        from: Mac::NONE,
    };
}

apart! {
    /// Asks the node's routes.
    pub fn find as fib_find(
        ctx: &Tc,
        flow: &Flow,
        l3: &L3,
        way: &mut Way,
    ) -> Result<Found, Drop> {
        // SAFETY: a structure of numbers, all of which may be 0.
        let mut asked: bpf_fib_lookup = unsafe { zeroed() };
        asked.ifindex = ctx.ifindex().0;
        asked.l4_protocol = l3.protocol.0;
        asked.__bindgen_anon_1.tot_len = (l3.end() - l3.at(0)) as u16;
        match l3.family {
            Family::V6 => {
                asked.family = AF_INET6;
                asked.__bindgen_anon_3.ipv6_src = flow.tuple.saddr.words();
                asked.__bindgen_anon_4.ipv6_dst = flow.tuple.daddr.words();
            }
            _ => {
                let ([from, ..], [to, ..]) = (flow.tuple.saddr.words(), flow.tuple.daddr.words());
                asked.family = AF_INET;
                asked.__bindgen_anon_3.ipv4_src = from;
                asked.__bindgen_anon_4.ipv4_dst = to;
            }
        }
        let answer = ctx.fib_lookup(&mut asked) as u32;
        *way = Way {
            device: Ifindex(asked.ifindex),
            to: Mac(asked.dmac),
            from: Mac(asked.smac),
        };
        Ok(match answer {
            BPF_FIB_LKUP_RET_SUCCESS => Found::Known,
            BPF_FIB_LKUP_RET_NO_NEIGH => Found::Unknown,
            _ => Found::Stack,
        })
    }
}
