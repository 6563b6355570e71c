//! The crate's tests, in one binary.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail by panicking too")]

mod build;
mod corpus;
mod diff;
mod dissect;
mod read;
mod read_bad;
mod support;
mod text;
mod values;
mod write;
