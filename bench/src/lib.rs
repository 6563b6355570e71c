//! Criterion benches and cost budgets

pub mod arms;
pub mod programs;
