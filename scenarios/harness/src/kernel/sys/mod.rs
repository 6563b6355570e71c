//! The system calls that no crate wraps, each behind a safe function. `unsafe` stands here and nowhere else.

pub mod awaitable;
pub mod ethtool;
pub mod packet;
pub mod remover;
