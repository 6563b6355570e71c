//! The running kernel, as tests ask it.

pub mod maps;
pub mod prog;
