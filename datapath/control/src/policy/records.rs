//! The entries of policies as the map has them.

use std::collections::{BTreeMap, BTreeSet};

use twinpath_abi::{EndpointId, Identity, PolicyData, PolicyEntry, PolicyKey, Port, Protocol, map};

use super::{Action, DIRECTIONS, Layer4, Origin, PolicyMap};
use crate::entries::Entry;

/// Which policies entries came from, by the cookie that an entry carries.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Origins {
    /// The last cookie that means something else.
    taken: u32,
    cookies: BTreeMap<BTreeSet<Origin>, u32>,
    origins: Vec<BTreeSet<Origin>>,
}

impl Origins {
    /// With cookies above those that are taken.
    pub(crate) fn after(taken: u32) -> Self {
        Self {
            taken,
            ..Self::default()
        }
    }

    /// The policies behind a cookie; none for 0, which stands for what is so without any.
    pub fn of(&self, cookie: u32) -> Option<&BTreeSet<Origin>> {
        let index = cookie.checked_sub(self.taken)?.checked_sub(1)?;
        self.origins.get(usize::try_from(index).ok()?)
    }

    fn cookie(&mut self, origins: &BTreeSet<Origin>) -> u32 {
        if origins.is_empty() {
            return 0;
        }
        let next = u32::try_from(self.origins.len() + 1).unwrap_or(0);
        let next = self.taken.saturating_add(next);
        let all = &mut self.origins;
        *self.cookies.entry(origins.clone()).or_insert_with(|| {
            all.push(origins.clone());
            next
        })
    }
}

/// The entries of an endpoint's policy, in the order of their keys.
pub(crate) fn entries(
    endpoint: EndpointId,
    policy: &PolicyMap,
    origins: &mut Origins,
) -> Vec<Entry> {
    let mut entries = Vec::new();
    for direction in DIRECTIONS {
        for (key, entry) in policy.table(direction).iter() {
            let bits = key.layer4.bits();
            let (protocol, port) = match key.layer4 {
                Layer4::Any => (Protocol::ANY, 0),
                Layer4::Protocol(protocol) => (protocol, 0),
                Layer4::Ports(protocol, ports) => (protocol, ports.first()),
            };
            let identity = key.identity.unwrap_or(Identity::UNKNOWN);
            let data = PolicyData::new(endpoint, direction, identity, protocol, Port::new(port));
            let decision = match entry.action {
                Action::Allow => PolicyEntry::allow(bits),
                Action::Deny => PolicyEntry::deny(bits),
            };
            let decision = PolicyEntry {
                cookie: origins.cookie(&entry.origins),
                ..decision
            };
            entries.push(Entry::new(
                map::POLICY,
                &PolicyKey::new(data, bits),
                &decision,
            ));
        }
    }
    entries
}
