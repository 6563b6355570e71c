//! The helpers of tc programs.

use twinpath_machine::{Call, Checked, HelperId};

use super::{checksum, helpers, redirect, skb_bytes};
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
    reads REDIRECT => redirect::skb,
}
