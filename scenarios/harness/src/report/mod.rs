//! Outcomes for people and for programs.

mod annotation;
mod capture;
mod inspection;
mod json;
mod junit;
mod replay;
mod style;
mod summary;
mod table;
mod text;

pub use annotation::{mistake as annotate_mistake, outcome as annotate};
pub use capture::captures as write_captures;
pub use inspection::InspectionLine;
pub use json::ScenarioLine;
pub use junit::Junit;
pub use replay::{ReplayLine, ReplaySummary, Replayed, fate_of};
pub use summary::Summary;
pub use text::{TextOptions, arrival, chain, fate, outcome as write_text, plain};
