//! Reads, writes and generates packet captures
