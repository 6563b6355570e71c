//! Where a packet goes: devices, routes, tunnels, other programs.

use core::mem::zeroed;
use core::ptr::null_mut;

use aya_ebpf::EbpfContext as _;
use aya_ebpf::bindings::{BPF_F_INGRESS, BPF_F_TUNINFO_IPV6, bpf_fib_lookup, bpf_tunnel_key};
use aya_ebpf::helpers::generated::{
    bpf_fib_lookup as bpf_fib_lookup_by_helper, bpf_redirect, bpf_redirect_neigh,
    bpf_redirect_peer, bpf_skb_get_tunnel_key, bpf_skb_set_tunnel_key, bpf_tail_call,
};
use twinpath_abi::{Ifindex, TailCall};

use super::Tc;
use super::rewrite::{WriteError, written};
use crate::maps;

impl Tc {
    /// Sends the packet out of a device. Returns the program's return code.
    #[inline(always)]
    pub fn redirect(&self, to: Ifindex) -> i32 {
        // SAFETY: the helper takes plain numbers.
        unsafe { bpf_redirect(to.0, 0) as i32 }
    }

    /// Takes the packet in as if it had come by a device. Returns the program's return code.
    #[inline(always)]
    pub fn redirect_in(&self, device: Ifindex) -> i32 {
        // SAFETY: the helper takes plain numbers.
        unsafe { bpf_redirect(device.0, u64::from(BPF_F_INGRESS)) as i32 }
    }

    /// Sends the packet to the far end of a device, as if it had come in there. At tc ingress only. Returns
    /// the program's return code.
    #[inline(always)]
    pub fn redirect_peer(&self, to: Ifindex) -> i32 {
        // SAFETY: the helper takes plain numbers.
        unsafe { bpf_redirect_peer(to.0, 0) as i32 }
    }

    /// Sends the packet out of a device, to the neighbour that the node's routes say. Returns the program's
    /// return code.
    #[inline(always)]
    pub fn redirect_neighbour(&self, device: Ifindex) -> i32 {
        // SAFETY: without parameters the helper takes plain numbers.
        unsafe { bpf_redirect_neigh(device.0, null_mut(), 0, 0) as i32 }
    }

    /// Asks for the way of a packet that came in by this device; returns `BPF_FIB_LKUP_RET_*`.
    #[inline(always)]
    pub fn fib_lookup(&self, way: &mut bpf_fib_lookup) -> i64 {
        let size = size_of::<bpf_fib_lookup>() as i32;
        // SAFETY: the context is valid, and the structure for reads and writes of its size.
        unsafe { bpf_fib_lookup_by_helper(self.0.as_ptr(), way, size, 0) }
    }

    /// The tunnel that the packet came out of.
    #[inline(always)]
    pub fn tunnel_key(&self) -> Result<bpf_tunnel_key, WriteError> {
        // SAFETY: a structure of numbers, all of which may be 0.
        let mut key: bpf_tunnel_key = unsafe { zeroed() };
        let size = size_of::<bpf_tunnel_key>() as u32;
        // The kernel refuses to say what the other family's addresses are.
        // SAFETY: the context is valid, and the structure for writes of its size.
        let result = unsafe {
            match bpf_skb_get_tunnel_key(self.skb(), &mut key, size, 0) {
                0 => 0,
                _ => bpf_skb_get_tunnel_key(
                    self.skb(),
                    &mut key,
                    size,
                    u64::from(BPF_F_TUNINFO_IPV6),
                ),
            }
        };
        written(result)?;
        Ok(key)
    }

    /// Says which tunnel the packet goes into.
    #[inline(always)]
    pub fn set_tunnel_key(&self, key: &mut bpf_tunnel_key, flags: u64) -> Result<(), WriteError> {
        let size = size_of::<bpf_tunnel_key>() as u32;
        // SAFETY: the context is valid, and the helper only reads the structure.
        written(unsafe { bpf_skb_set_tunnel_key(self.skb(), key, size, flags) })
    }

    /// Goes on in another program. Returns only if there is none.
    #[inline(always)]
    pub fn tail_call(&self, to: TailCall) {
        // SAFETY: the context and the map are valid; nothing here needs to be dropped.
        unsafe { bpf_tail_call(self.0.as_ptr(), maps::calls(), to as u32) };
    }
}
