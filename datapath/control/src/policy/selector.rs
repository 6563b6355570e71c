//! Label selectors of the API, turned into ours.

use std::fmt::Display;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement};

use crate::kubernetes::{ManifestError, Path, Placed};
use crate::labels::{Key, Operator, Selector, Source, makes_identity};

/// Where in an object something stands, for messages.
pub struct Here<'a, T> {
    placed: &'a Placed<T>,
    path: Path,
}

impl<'a, T> Here<'a, T> {
    pub fn root(placed: &'a Placed<T>) -> Self {
        Self {
            placed,
            path: Path::default(),
        }
    }

    /// A field of what stands here.
    pub fn field(&self, name: &str) -> Self {
        Self {
            placed: self.placed,
            path: self.path.field(name),
        }
    }

    /// An element of the list that stands here.
    pub fn index(&self, index: usize) -> Self {
        Self {
            placed: self.placed,
            path: self.path.index(index),
        }
    }

    /// What stands here is not as expected.
    pub fn error(&self, expected: impl Display) -> ManifestError {
        self.placed.error(&self.path, expected)
    }
}

/// The selector, with each key read by `key`.
pub fn selector<T>(
    here: &Here<'_, T>,
    selector: &LabelSelector,
    key: impl Fn(&str) -> Option<Key>,
) -> Result<Selector, ManifestError> {
    let mut selected = Selector::default();
    for (name, value) in selector.match_labels.iter().flatten() {
        let at = here.field("matchLabels").field(name);
        selected.require_value(known(&at, key(name))?, value);
    }
    for (index, requirement) in selector.match_expressions.iter().flatten().enumerate() {
        let at = here.field("matchExpressions").index(index);
        let key = known(&at.field("key"), key(&requirement.key))?;
        selected.require(key, operator(&at, requirement)?);
    }
    Ok(selected)
}

/// A key that something can have: no label makes an identity that Cilium leaves out.
fn known<T>(here: &Here<'_, T>, key: Option<Key>) -> Result<Key, ManifestError> {
    let key = key.ok_or_else(|| here.error("expected a key of source k8s, reserved or any"))?;
    if key.source != Some(Source::Reserved) && !makes_identity(&key.name) {
        let left_out = format!(
            "expected a label that is part of identities; Cilium leaves `{}` out of them, so that it selects nobody",
            key.name
        );
        return Err(here.error(left_out));
    }
    Ok(key)
}

fn operator<T>(
    here: &Here<'_, T>,
    requirement: &LabelSelectorRequirement,
) -> Result<Operator, ManifestError> {
    let values: Vec<_> = requirement.values.iter().flatten().cloned().collect();
    let operator = match requirement.operator.as_str() {
        "In" => Operator::In(values.iter().cloned().collect()),
        "NotIn" => Operator::NotIn(values.iter().cloned().collect()),
        "Exists" => Operator::Exists,
        "DoesNotExist" => Operator::DoesNotExist,
        _ => {
            return Err(here
                .field("operator")
                .error("expected In, NotIn, Exists or DoesNotExist"));
        }
    };
    let wants_values = matches!(operator, Operator::In(_) | Operator::NotIn(_));
    match (wants_values, values.is_empty()) {
        (true, true) => Err(here.error("expected `values`")),
        (false, false) => Err(here
            .field("values")
            .error("expected no values with this operator")),
        _ => Ok(operator),
    }
}
