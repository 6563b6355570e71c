//! Outcomes for people and for programs.

mod capture;
mod json;
mod replay;
mod style;
mod summary;
mod table;
mod text;

pub use capture::captures as write_captures;
pub use json::{CostPart, EndPart, EventPart, ScenarioLine, VerdictPart};
pub use replay::{ReplayLine, ReplaySummary, packet as write_packet};
pub use summary::Summary;
pub use text::{TextOptions, arrival, chain, fate, outcome as write_text, plain};
