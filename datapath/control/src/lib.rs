//! The cluster model of the Twinpath datapath: endpoints, services and a deny list, turned into map
//! entries; and the way back, from map entries and events to words.
//!
//! A second way in are Kubernetes' manifests: [`kubernetes`] reads them, [`population`] knows the pods, nodes and
//! identities in them, and [`policy`] turns what they say of who may speak with whom into the entries of
//! each endpoint's policy.
//!
//! The model is plain data that a TOML file can hold. It names devices; whoever writes the maps knows
//! their interface indexes.
//!
//! ```
//! use twinpath_control::{Cluster, Device, describe};
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
//! let entries = cluster.entries(devices)?;
//! let lines: Vec<_> = entries
//!     .iter()
//!     .filter_map(|entry| describe::line(entry.map, &entry.key, &entry.value))
//!     .collect();
//! assert_eq!(lines[0], "10.0.1.10: endpoint 1, identity 1001, ifindex 7, \
//!     mac 02:00:00:00:01:0a, node-mac 02:00:00:00:00:07");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod describe;
mod endpoints;
mod entries;
pub mod event;
pub mod identity;
pub mod kubernetes;
pub mod labels;
pub mod maglev;
mod model;
pub mod policy;
pub mod population;
mod prefilter;
mod rules;
mod services;
mod settings;

pub use entries::{Device, Entry, MapWriter, WriteError};
pub use event::{DropEvent, Event};
pub use model::{
    Backend, Cluster, Endpoint, Known, ModelError, Place, PolicyRule, Problem, RuleDirection,
    Service, Spoken, Transport,
};
pub use settings::{Aggregation, Settings};
/// The records themselves.
pub use twinpath_abi as abi;
