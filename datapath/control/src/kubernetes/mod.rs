//! Kubernetes manifests as people have them: YAML streams of objects, and lists of objects.
//!
//! Kubernetes' own kinds are read as `k8s-openapi` has them, Cilium's as [`cilium`] has them. A field that a kind
//! does not have, or one that means something which the model does not do, is an error with its place;
//! nothing is ignored, but for objects of [kinds] that say nothing of who speaks with whom.

pub mod cilium;
mod error;
mod fields;
pub mod kinds;
mod read;
mod tree;

use std::fmt::Display;
use std::path::Path as FilePath;
use std::sync::Arc;

use k8s_openapi::api::core::v1::{Namespace, Node, Pod};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::networking::v1::NetworkPolicy;
use serde::de::DeserializeOwned;

use cilium::CiliumPolicy;
pub use error::{ManifestError, Position, Problem};
pub(crate) use tree::Path;
use tree::{Node as TreeNode, Tree};

/// An object and where it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Placed<T> {
    /// The object.
    pub object: T,
    file: Arc<FilePath>,
    tree: Tree,
}

impl<T> Placed<T> {
    /// A mistake in one of the object's fields.
    pub(crate) fn error(&self, field: &Path, expected: impl Display) -> ManifestError {
        ManifestError {
            file: self.file.to_path_buf(),
            at: self.tree.position(field),
            problem: Problem::value(field, expected),
        }
    }

    /// Where the object begins.
    pub fn at(&self) -> Position {
        self.tree.at
    }
}

/// The objects of one or more files, each kind in the order of the files.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Objects {
    /// Namespaces.
    pub namespaces: Vec<Placed<Namespace>>,
    /// Pods.
    pub pods: Vec<Placed<Pod>>,
    /// Nodes.
    pub nodes: Vec<Placed<Node>>,
    /// Which addresses serve the API: slices of the service `kubernetes` of the namespace `default`.
    pub api_servers: Vec<Placed<EndpointSlice>>,
    /// Kubernetes' network policies.
    pub network_policies: Vec<Placed<NetworkPolicy>>,
    /// Cilium's policies, of a namespace and of the cluster.
    pub cilium_policies: Vec<Placed<CiliumPolicy>>,
}

impl Objects {
    /// Adds the objects of a file.
    ///
    /// # Errors
    /// The text is not YAML, or holds something that is not one of the objects above, or has fields that
    /// are not supported.
    pub fn read(&mut self, file: &FilePath, text: &str) -> Result<(), ManifestError> {
        let file: Arc<FilePath> = file.into();
        self.read_documents(&file, text)
            .map_err(|(at, problem)| ManifestError {
                file: file.to_path_buf(),
                at,
                problem,
            })
    }

    fn read_documents(
        &mut self,
        file: &Arc<FilePath>,
        text: &str,
    ) -> Result<(), (Position, Problem)> {
        let documents = tree::parse(text)?;
        documents
            .into_iter()
            .try_for_each(|tree| self.add(file, tree))
    }

    fn add(&mut self, file: &Arc<FilePath>, tree: Tree) -> Result<(), (Position, Problem)> {
        let header = |key| tree.get(key).and_then(Tree::text);
        let (Some(api_version), Some(kind)) = (header("apiVersion"), header("kind")) else {
            return Err((tree.at, Problem::NoObject));
        };
        match (api_version, kind) {
            ("v1", "Namespace") => self.namespaces.push(placed(file, tree)?),
            ("v1", "Pod") => self.pods.push(placed(file, tree)?),
            ("v1", "Node") => self.nodes.push(placed(file, tree)?),
            ("discovery.k8s.io/v1", "EndpointSlice") => {
                self.api_servers.push(placed(file, tree)?);
            }
            ("networking.k8s.io/v1", "NetworkPolicy") => {
                self.network_policies.push(placed(file, tree)?);
            }
            ("cilium.io/v2", "CiliumNetworkPolicy" | "CiliumClusterwideNetworkPolicy") => {
                self.cilium_policies.push(placed(file, tree)?);
            }
            (api_version, list) if list.ends_with("List") => {
                let kind = list.trim_end_matches("List");
                let of_one_kind =
                    (!kind.is_empty()).then(|| [api_version, kind].map(str::to_owned));
                return self.add_list(file, tree, of_one_kind);
            }
            (api_version, kind) if kinds::is_beside_the_point(api_version, kind) => {}
            (api_version, kind) => {
                let problem = Problem::Kind {
                    api_version: api_version.to_owned(),
                    kind: kind.to_owned(),
                };
                return Err((tree.at, problem));
            }
        }
        Ok(())
    }

    /// The items of a list. Those of one kind need not say of which, as the API itself leaves it out.
    fn add_list(
        &mut self,
        file: &Arc<FilePath>,
        mut tree: Tree,
        of_one_kind: Option<[String; 2]>,
    ) -> Result<(), (Position, Problem)> {
        let items = match &mut tree.node {
            TreeNode::Map(fields) => fields.remove("items").map(|items| items.value),
            _ => None,
        };
        match items {
            Some(Tree {
                node: TreeNode::List(items),
                ..
            }) => items.into_iter().try_for_each(|mut item| {
                if let Some([api_version, kind]) = &of_one_kind {
                    item.set_default("apiVersion", api_version);
                    item.set_default("kind", kind);
                }
                self.add(file, item)
            }),
            Some(Tree {
                node: TreeNode::Null,
                ..
            }) => Ok(()),
            other => {
                let at = other.map_or(tree.at, |items| items.at);
                let problem = Problem::value(
                    &Path::default().field("items"),
                    "expected a list of objects",
                );
                Err((at, problem))
            }
        }
    }
}

fn placed<T: DeserializeOwned>(
    file: &Arc<FilePath>,
    tree: Tree,
) -> Result<Placed<T>, (Position, Problem)> {
    Ok(Placed {
        object: read::typed(&tree)?,
        file: file.clone(),
        tree,
    })
}
