//! See `tests/fuzzed/targets/decode_run.rs`.
#![no_main]
#![allow(dead_code, unused_imports)] // The other targets.

#[path = "../../tests/fuzzed/targets/mod.rs"]
mod targets;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| targets::decode_run(bytes));
