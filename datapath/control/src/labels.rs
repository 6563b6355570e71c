//! Labels as Cilium has them, with the source that gave them, and what selects them.
//!
//! Which labels of a pod make its identity follows the default filter of `pkg/labelsfilter` of cilium/cilium.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// Who gave a label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Source {
    /// Kubernetes.
    K8s,
    /// Cilium, for what is no pod.
    Reserved,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::K8s => "k8s",
            Self::Reserved => "reserved",
        })
    }
}

/// The namespace of a pod.
pub const NAMESPACE: &str = "io.kubernetes.pod.namespace";
/// In front of the labels of a pod's namespace.
pub const NAMESPACE_LABELS: &str = "io.cilium.k8s.namespace.labels.";
/// The cluster that a pod is in.
pub const CLUSTER: &str = "io.cilium.k8s.policy.cluster";
/// The service account of a pod.
pub const SERVICE_ACCOUNT: &str = "io.cilium.k8s.policy.serviceaccount";

/// A set of labels: at most one value for a key of a source.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Labels(BTreeMap<(Source, String), String>);

impl Labels {
    /// One reserved label: `reserved:host`.
    pub fn reserved(name: &str) -> Self {
        let mut labels = Self::default();
        labels.insert(Source::Reserved, name, "");
        labels
    }

    /// Sets a label.
    pub fn insert(&mut self, source: Source, key: impl Into<String>, value: impl Into<String>) {
        self.0.insert((source, key.into()), value.into());
    }

    /// The values of a key, of one source or of any.
    fn values<'a>(&'a self, key: &'a Key) -> impl Iterator<Item = &'a str> {
        let sources = [Source::K8s, Source::Reserved];
        let sources = sources
            .into_iter()
            .filter(|source| key.source.is_none_or(|wanted| wanted == *source));
        sources.filter_map(|source| self.0.get(&(source, key.name.clone())).map(String::as_str))
    }
}

impl fmt::Display for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, ((source, key), value)) in self.0.iter().enumerate() {
            let comma = if number == 0 { "" } else { "," };
            write!(f, "{comma}{source}:{key}")?;
            if !value.is_empty() {
                write!(f, "={value}")?;
            }
        }
        Ok(())
    }
}

/// A label's key in a selector.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    /// None for a label of any source.
    pub source: Option<Source>,
    /// The key itself.
    pub name: String,
}

impl Key {
    /// A key of Kubernetes.
    pub fn k8s(name: impl Into<String>) -> Self {
        Self {
            source: Some(Source::K8s),
            name: name.into(),
        }
    }

    /// A key as Cilium's policies write it: `app`, `any:app`, `k8s:app`, `reserved:host`. None for another source.
    pub fn parse(text: &str) -> Option<Self> {
        let (source, name) = match text.split_once(':') {
            None => (None, text),
            Some(("any", name)) => (None, name),
            Some(("k8s", name)) => (Some(Source::K8s), name),
            Some(("reserved", name)) => (Some(Source::Reserved), name),
            Some(_) => return None,
        };
        Some(Self {
            source,
            name: name.to_owned(),
        })
    }
}

/// What a selector asks of one key.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operator {
    /// The key is there with one of the values.
    In(BTreeSet<String>),
    /// The key is not there, or with none of the values.
    NotIn(BTreeSet<String>),
    /// The key is there.
    Exists,
    /// The key is not there.
    DoesNotExist,
}

/// What selects sets of labels: all requirements are met. Without any, everything is selected.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Selector(Vec<(Key, Operator)>);

impl Selector {
    /// Adds a requirement.
    pub fn require(&mut self, key: Key, operator: Operator) {
        self.0.push((key, operator));
    }

    /// Adds the requirement that a key has a value.
    pub fn require_value(&mut self, key: Key, value: impl Into<String>) {
        self.require(key, Operator::In(BTreeSet::from([value.into()])));
    }

    /// Adds the requirements of another selector.
    pub fn extend(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    /// The keys that requirements speak of.
    pub fn keys(&self) -> impl Iterator<Item = &Key> {
        self.0.iter().map(|(key, _)| key)
    }

    /// Whether the labels meet all requirements.
    pub fn matches(&self, labels: &Labels) -> bool {
        self.0.iter().all(|(key, operator)| {
            let mut values = labels.values(key);
            match operator {
                Operator::In(wanted) => values.any(|value| wanted.contains(value)),
                Operator::NotIn(unwanted) => !values.any(|value| unwanted.contains(value)),
                Operator::Exists => values.next().is_some(),
                Operator::DoesNotExist => values.next().is_none(),
            }
        })
    }
}

/// Beginnings of keys that make no identity, unless a longer one of [`KEPT`] matches: what differs from pod to pod
/// or says nothing of what a pod is.
const LEFT_OUT: [&str; 13] = [
    "io.kubernetes",
    "kubernetes.io",
    "statefulset.kubernetes.io/pod-name",
    "apps.kubernetes.io/pod-index",
    "batch.kubernetes.io/job-completion-index",
    "batch.kubernetes.io/controller-uid",
    "k8s.io",
    "pod-template-generation",
    "pod-template-hash",
    "controller-revision-hash",
    "annotation",
    "controller-uid",
    "etcd_node",
];

/// Beginnings of keys that make an identity all the same.
const KEPT: [&str; 3] = [
    "io.kubernetes.pod.namespace",
    "io.cilium.k8s.namespace.labels",
    "app.kubernetes.io",
];

/// Keys that hold this anywhere are left out up to its end.
const BETA: &str = "beta.kubernetes.io";

/// Whether a label of Kubernetes with this key is part of an identity.
pub fn makes_identity(key: &str) -> bool {
    let beta = key.find(BETA).map(|at| at + BETA.len());
    let starts = |prefixes: &'static [&'static str]| {
        prefixes
            .iter()
            .filter(|prefix| key.starts_with(*prefix))
            .map(|prefix| prefix.len())
    };
    let left_out = starts(&LEFT_OUT).chain(beta).min();
    let kept = starts(&KEPT).max().unwrap_or_default();
    left_out.is_none_or(|left_out| kept > left_out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identities_are_made_of_what_a_pod_is() {
        let cases = [
            ("app", true),
            ("app.kubernetes.io/name", true),
            ("topology.kubernetes.io/zone", true),
            ("kubernetes.io/hostname", false),
            ("pod-template-hash", false),
            ("io.kubernetes.pod.namespace", true),
            ("io.kubernetes.container.name", false),
            ("statefulset.kubernetes.io/pod-name", false),
            ("failure-domain.beta.kubernetes.io/zone", false),
            (
                "io.cilium.k8s.namespace.labels.kubernetes.io/metadata.name",
                true,
            ),
        ];
        for (key, expected) in cases {
            assert_eq!(makes_identity(key), expected, "{key}");
        }
    }

    #[test]
    fn selectors_select() {
        let mut labels = Labels::default();
        labels.insert(Source::K8s, "app", "web");
        labels.insert(Source::K8s, "tier", "front");
        let one_of = |values: &[&str]| values.iter().map(ToString::to_string).collect();
        let cases = [
            ("app", Operator::In(one_of(&["web", "db"])), true),
            ("any:app", Operator::In(one_of(&["db"])), false),
            ("k8s:app", Operator::NotIn(one_of(&["db"])), true),
            ("app", Operator::NotIn(one_of(&["web"])), false),
            ("zone", Operator::NotIn(one_of(&["a"])), true),
            ("reserved:app", Operator::Exists, false),
            ("k8s:tier", Operator::Exists, true),
            ("tier", Operator::DoesNotExist, false),
            ("zone", Operator::DoesNotExist, true),
        ];
        for (key, operator, expected) in cases {
            let mut selector = Selector::default();
            selector.require(Key::parse(key).expect("a known source"), operator.clone());
            assert_eq!(selector.matches(&labels), expected, "{key} {operator:?}");
        }
        assert!(Selector::default().matches(&labels), "nothing asked");
        assert_eq!(Key::parse("cidr:10.0.0.0/8"), None);
    }
}
