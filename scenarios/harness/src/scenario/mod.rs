//! The scenario format: from a TOML file to a [`Plan`](crate::plan::Plan) and what is expected of it.

mod error;
mod expect;
mod format;
mod literal;
mod numbers;
mod parse;
mod source;
mod suggest;
mod time;

pub use error::{Mistake, Problem, ScenarioError};
pub use format::ScenarioFile;
pub use parse::{Scenario, name};
pub use source::{Located, Source};
