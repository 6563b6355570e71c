//! The deny list as entries of `prefilter`.

use std::collections::BTreeSet;

use ipnet::IpNet;
use twinpath_abi::{PrefilterRule, PrefixKey, map};

use crate::entries::{Entry, within};
use crate::model::{ModelError, Place, Problem};

pub(crate) fn entries(deny: &[IpNet]) -> Result<Vec<Entry>, ModelError> {
    let mut seen = BTreeSet::new();
    let mut entries = Vec::new();
    for (index, net) in deny.iter().enumerate() {
        let fail = |problem| ModelError {
            place: Place::Deny { index },
            problem,
        };
        // The trie keeps host bits in its keys but does not tell prefixes apart by them.
        let net = net.trunc();
        if !seen.insert(net) {
            return Err(fail(Problem::PrefixTwice(net)));
        }
        within(map::PREFILTER, seen.len(), map::max_entries::PREFILTER).map_err(fail)?;
        let rule = PrefilterRule {
            rule: u32::try_from(index).unwrap_or(u32::MAX),
        };
        let key = PrefixKey::new(net.addr(), net.prefix_len());
        entries.push(Entry::new(map::PREFILTER, &key, &rule));
    }
    Ok(entries)
}
