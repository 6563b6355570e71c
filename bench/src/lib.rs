//! Criterion benches and cost budgets
