//! The cluster model of the Twinpath datapath: from what a scenario and Kubernetes' manifests say to the map
//! entries of each node; and the way back, from map entries and events to words.
//!
//! [`Cluster`] is plain data that a TOML file can hold: which endpoints stand behind which devices, services, a
//! deny list. [`kubernetes`] reads manifests, [`population`] knows the pods, nodes and identities in them, and
//! [`policy`] turns what they say of who may speak with whom into each endpoint's policy. [`NodeState`] puts the
//! two together for one node: an endpoint with a pod's name is that pod.
//!
//! ```
//! use twinpath_control::population::Population;
//! use twinpath_control::{Cluster, Device, Here, NodeState, describe};
//! use twinpath_control::abi::Ifindex;
//!
//! let cluster: Cluster = toml::from_str(r#"
//!     deny = ["198.51.100.0/24"]
//!
//!     [[endpoint]]
//!     name = "web"
//!     device = "lxc1"
//!     ipv4 = "10.0.1.10"
//!     mac = "02:00:00:00:01:0a"
//!     identity = 1001
//!
//!     [[service]]
//!     name = "shop"
//!     vip = "192.0.2.80"
//!     port = 80
//!     protocol = "tcp"
//!     backends = [{ address = "10.0.1.10", port = 8080, mac = "02:00:00:00:01:0a" }]
//! "#)?;
//!
//! let devices = |name: &str| {
//!     (name == "lxc1").then_some(Device {
//!         ifindex: Ifindex(7),
//!         mac: "02:00:00:00:00:07".parse().ok()?,
//!     })
//! };
//! let here = Here { node: None, addresses: Vec::new(), others: Vec::new(), devices: &devices };
//! let state = NodeState::new(&cluster, &Population::default(), &here)?;
//! let lines: Vec<_> = state
//!     .entries()
//!     .iter()
//!     .filter_map(|entry| describe::line(entry.map, &entry.key, &entry.value))
//!     .collect();
//! assert_eq!(lines[0], "10.0.1.10: endpoint 1, identity 1001, ifindex 7, \
//!     mac 02:00:00:00:01:0a, node-mac 02:00:00:00:00:07");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod clusters;
pub mod describe;
mod endpoints;
mod entries;
pub mod event;
pub mod gc;
pub mod identity;
mod ipcache;
pub mod kubernetes;
pub mod labels;
pub mod maglev;
mod masquerade;
mod model;
pub mod names;
mod node;
pub mod policy;
pub mod population;
mod prefilter;
mod rules;
mod services;
mod settings;

pub use clusters::{ClusterInfo, MeshError};
pub use endpoints::{LocalEndpoint, Member};
pub use entries::{Device, Entry, MapWriter, WriteError};
pub use event::Event;
pub use model::{
    Backend, Cluster, Endpoint, Known, ModelError, Place, PolicyRule, Problem, RuleDirection,
    Service, Spoken, Transport,
};
pub use names::Names;
pub use node::{Here, NodeState};
pub use settings::{Addresses, Aggregation, Settings, Surroundings};
/// The records themselves.
pub use twinpath_abi as abi;
