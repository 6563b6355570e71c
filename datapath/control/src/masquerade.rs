//! What is reached without masquerading, as entries of `ipmasq`.

use std::collections::BTreeSet;

use ipnet::IpNet;
use twinpath_abi::{MasqueradeRule, PrefixKey, map};

use crate::entries::Entry;

/// An entry for each prefix; one that is named twice is that of the first place.
pub(crate) fn exceptions(except: &[IpNet]) -> Vec<Entry> {
    let mut seen = BTreeSet::new();
    // The trie keeps host bits in its keys but does not tell prefixes apart by them.
    let nets = except.iter().map(IpNet::trunc).zip(0..);
    nets.filter(|(net, _)| seen.insert(*net))
        .map(|(net, rule)| {
            let key = PrefixKey::new(net.addr(), net.prefix_len());
            Entry::new(map::IPMASQ, &key, &MasqueradeRule { rule })
        })
        .collect()
}
