//! The scenario format: from a TOML file to a [`Plan`](crate::plan::Plan) and what is expected of it.

mod build;
mod bytes;
mod error;
mod expect;
mod format;
mod kernel;
mod literal;
mod network;
mod numbers;
mod parse;
mod place;
mod schema;
mod source;
pub mod suggest;
mod time;

pub use build::Case;
pub use bytes::Bytes;
pub use error::{Mistake, Problem, ScenarioError};
pub use expect::Budget;
pub use format::ScenarioFile;
pub use kernel::KernelVersion;
pub use parse::{Scenario, name};
pub use place::{Encoded, Misfit, Place};
pub use schema::schema;
pub use source::{Located, Source};
