//! What maps name that is outside of them.

/// A socket by a number of the environment's choice, which user space sees as its cookie.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SocketId(pub u64);

/// A cgroup and the hook that a program is attached at (`struct bpf_cgroup_storage_key`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CgroupKey {
    /// The cgroup's number, which is the inode's of its directory.
    pub cgroup: u64,
    /// `enum bpf_attach_type`.
    pub attach_type: u32,
}

impl CgroupKey {
    /// The key as maps have it; the first 8 bytes are the key of a map that all hooks share.
    pub fn bytes(self) -> [u8; 16] {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&self.cgroup.to_le_bytes());
        bytes[8..12].copy_from_slice(&self.attach_type.to_le_bytes());
        bytes
    }
}
