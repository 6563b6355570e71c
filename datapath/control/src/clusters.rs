//! Clusters of a mesh: their names and numbers.

use std::collections::BTreeSet;
use std::fmt;

use twinpath_abi::ClusterId;

/// A cluster, as its nodes are told (Cilium's `cluster-name` and `cluster-id`).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ClusterInfo {
    /// Its name, which is a label of its pods.
    pub name: String,
    /// Its number, which is in the identities of its pods.
    pub id: ClusterId,
}

/// The only one.
impl Default for ClusterInfo {
    fn default() -> Self {
        Self {
            name: Self::ONLY.to_owned(),
            id: ClusterId::ONLY,
        }
    }
}

/// Why clusters cannot be together in a mesh.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MeshError {
    /// A name that is no label of DNS, or too long.
    #[error(
        "expected a name of at most {} small letters, digits and dashes",
        ClusterInfo::MAX_NAME
    )]
    Name,
    /// The name of a cluster without a number.
    #[error("expected another name than that of a cluster which is in no mesh")]
    OnlyName,
    /// Two clusters have one name.
    #[error("another cluster has the name `{0}`")]
    NameTaken(String),
    /// Two clusters have one number.
    #[error("another cluster has the number {0}")]
    IdTaken(ClusterId),
}

impl ClusterInfo {
    /// The name of a cluster that is in no mesh.
    pub const ONLY: &str = "default";
    /// How long a name may be (`ValidateClusterName` in `pkg/clustermesh/types` of cilium/cilium).
    const MAX_NAME: usize = 32;

    /// Whether a cluster can be in a mesh with those before it.
    ///
    /// # Errors
    /// Its name is none, or another one's, or its number is.
    pub fn joins(&self, others: &[Self]) -> Result<(), MeshError> {
        let plain = |letter: u8| letter.is_ascii_lowercase() || letter.is_ascii_digit();
        let bytes = self.name.as_bytes();
        let ends = [bytes.first(), bytes.last()];
        let is_name = ends.iter().all(|end| end.is_some_and(|end| plain(*end)))
            && bytes.iter().all(|byte| plain(*byte) || *byte == b'-');
        if !is_name || bytes.len() > Self::MAX_NAME {
            return Err(MeshError::Name);
        }
        if self.name == Self::ONLY {
            return Err(MeshError::OnlyName);
        }
        let names: BTreeSet<_> = others.iter().map(|other| &other.name).collect();
        if names.contains(&self.name) {
            return Err(MeshError::NameTaken(self.name.clone()));
        }
        match others.iter().any(|other| other.id == self.id) {
            true => Err(MeshError::IdTaken(self.id)),
            false => Ok(()),
        }
    }
}

impl fmt::Display for ClusterInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}
