//! The scenario suite behind cargo test
