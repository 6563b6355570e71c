//! Longest-prefix-match keys, in the shape of Cilium's `ipcache_v2`.

use core::net::IpAddr;

use crate::{Address, Family, records, sizes};

/// Bits of [`PrefixData`] before the address. They always match as a whole, so IPv4 and IPv6
/// prefixes share one trie and never meet.
pub const PREFIX_STATIC_BITS: u32 = 32;

records! {
    /// What a trie compares: the family, then the address.
    pub struct PrefixData {
        /// The cluster whose address it is where clusters have the same ones (Cilium's cluster-aware addressing);
        /// always 0: those of a mesh differ.
        pub cluster_id: u16,
        /// Always 0.
        pub reserved: u8,
        /// Which kind of address it is.
        pub family: Family,
        /// The address.
        pub ip: Address,
    }

    /// Key of [`map::PREFILTER`](crate::map::PREFILTER), [`map::IPCACHE`](crate::map::IPCACHE) and
    /// [`map::IPMASQ`](crate::map::IPMASQ) (the kernel's `bpf_lpm_trie_key`).
    pub struct PrefixKey {
        /// How many bits of [`PrefixKey::data`] count: [`PREFIX_STATIC_BITS`] and those of the
        /// address.
        pub prefix_len: u32,
        /// What is compared.
        pub data: PrefixData,
    }

    /// Value of [`map::PREFILTER`](crate::map::PREFILTER).
    pub struct PrefilterRule {
        /// Place of the prefix in the deny list, counted from 0.
        pub rule: u32,
    }
}

sizes!(PrefixData = 20, PrefixKey = 24, PrefilterRule = 4);

impl PrefixData {
    /// What a trie compares for an address of this cluster.
    #[inline(always)]
    pub const fn from_parts(ip: Address, family: Family) -> Self {
        Self {
            cluster_id: 0,
            reserved: 0,
            family,
            ip,
        }
    }
}

impl PrefixKey {
    /// The key of a prefix: an address and how many of its bits count.
    pub fn new(ip: IpAddr, bits: u8) -> Self {
        Self {
            prefix_len: PREFIX_STATIC_BITS + u32::from(bits),
            data: PrefixData::from_parts(ip.into(), Family::of(ip)),
        }
    }
}
