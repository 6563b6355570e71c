//! The helpers of programs that run on an skb.

use twinpath_machine::{Call, Checked, HelperId};

use super::{
    checksum, dynptr, fib, helpers, mtu, redirect, skb_bytes, skb_meta, skb_room, skb_vlan, tunnel,
};
use crate::net::Net;
use crate::packet::Skb;

helpers! { Skb:
    reads SKB_LOAD_BYTES => skb_bytes::load,
    reads SKB_LOAD_BYTES_RELATIVE => skb_bytes::load_relative,
    moves SKB_STORE_BYTES => skb_bytes::store,
    moves SKB_PULL_DATA => skb_bytes::pull,
    moves L3_CSUM_REPLACE => checksum::replace_l3,
    moves L4_CSUM_REPLACE => checksum::replace_l4,
    reads CSUM_DIFF => checksum::difference,
    writes CSUM_UPDATE => checksum::update,
    writes CSUM_LEVEL => checksum::level,
    moves SKB_CHANGE_PROTO => skb_room::change_protocol,
    moves SKB_CHANGE_TAIL => skb_room::change_tail,
    moves SKB_CHANGE_HEAD => skb_room::change_head,
    moves SKB_ADJUST_ROOM => skb_room::adjust,
    moves SKB_VLAN_PUSH => skb_vlan::push,
    moves SKB_VLAN_POP => skb_vlan::pop,
    writes GET_HASH_RECALC => skb_meta::hash,
    writes SET_HASH_INVALID => skb_meta::invalidate_hash,
    writes SET_HASH => skb_meta::set_hash,
    writes SKB_CHANGE_TYPE => skb_meta::change_type,
    writes SKB_SET_TSTAMP => skb_meta::set_timestamp,
    writes SKB_ECN_SET_CE => skb_meta::set_ce,
    writes SKB_GET_TUNNEL_KEY => tunnel::get_key,
    writes SKB_SET_TUNNEL_KEY => tunnel::set_key,
    writes SKB_GET_TUNNEL_OPT => tunnel::get_options,
    writes SKB_SET_TUNNEL_OPT => tunnel::set_options,
    moves CLONE_REDIRECT => redirect::clone,
    reads REDIRECT => redirect::skb,
    reads REDIRECT_NEIGH => redirect::neighbour,
    reads REDIRECT_PEER => redirect::peer,
    reads FIB_LOOKUP => fib::skb,
    reads CHECK_MTU => mtu::skb,
    reads GET_ROUTE_REALM => skb_meta::no_class,
    reads GET_CGROUP_CLASSID => skb_meta::no_class,
    reads SKB_CGROUP_CLASSID => skb_meta::no_class,
    reads DYNPTR_FROM_SKB => dynptr::from_skb,
    reads DYNPTR_READ => dynptr::read_skb,
    moves DYNPTR_WRITE => dynptr::write_skb,
    reads DYNPTR_SLICE => dynptr::slice_skb,
    reads DYNPTR_SLICE_RDWR => dynptr::slice_skb,
}
