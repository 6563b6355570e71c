//! The crate's tests, in one binary.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail by panicking too")]

mod read;
mod read_bad;
mod support;
mod write;
