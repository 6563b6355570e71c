//! What a map is made from.

use crate::uapi::uapi_enum;

/// The definition of a map (`union bpf_attr` of `BPF_MAP_CREATE`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MapDef {
    /// The name in its object.
    pub name: String,
    /// The type.
    pub kind: MapType,
    /// Bytes of a key.
    pub key_size: u32,
    /// Bytes of a value, of one CPU's value for per-CPU maps.
    pub value_size: u32,
    /// Capacity.
    pub max_entries: u32,
    /// `BPF_F_*` flags of creation.
    pub flags: MapFlags,
    /// Of a map of maps: what the inner maps look like.
    pub inner: Option<Box<MapDef>>,
    /// `map_extra`: the number of hash functions of a bloom filter.
    pub extra: u64,
    /// Where in a value its `struct bpf_spin_lock` lies, if it has one; BTF tells.
    pub lock: Option<u32>,
}

impl MapDef {
    /// A map of this type and these sizes, without a name and with nothing else set.
    pub fn new(kind: MapType, key_size: u32, value_size: u32, max_entries: u32) -> Self {
        Self {
            name: String::new(),
            kind,
            key_size,
            value_size,
            max_entries,
            flags: MapFlags::default(),
            inner: None,
            extra: 0,
            lock: None,
        }
    }

    /// Whether programs may only read values.
    pub fn read_only_for_programs(&self) -> bool {
        self.flags.read_only_for_programs() || self.kind == MapType::XskMap
    }

    /// The same under a name.
    pub fn named(self, name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            ..self
        }
    }
}

/// Flags of creation (`BPF_F_*`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct MapFlags(pub u32);

impl MapFlags {
    /// Entries are allocated when they are made.
    pub const NO_PREALLOC: u32 = 1 << 0;
    /// Each CPU evicts from a list of its own.
    pub const NO_COMMON_LRU: u32 = 1 << 1;
    /// User space may only read.
    pub const RDONLY: u32 = 1 << 3;
    /// User space may only write.
    pub const WRONLY: u32 = 1 << 4;
    /// The hash's seed is zero.
    pub const ZERO_SEED: u32 = 1 << 6;
    /// Programs may only read.
    pub const RDONLY_PROG: u32 = 1 << 7;
    /// Programs may only write.
    pub const WRONLY_PROG: u32 = 1 << 8;
    /// Sockets inherit the storage when they are cloned.
    pub const CLONE: u32 = 1 << 9;
    /// User space may map the values into its memory.
    pub const MMAPABLE: u32 = 1 << 10;
    /// Events of inner maps are kept across replacement.
    pub const PRESERVE_ELEMS: u32 = 1 << 11;
    /// Inner maps may differ in their number of entries.
    pub const INNER_MAP: u32 = 1 << 12;

    /// Whether a flag is set.
    pub const fn has(self, flag: u32) -> bool {
        self.0 & flag != 0
    }

    /// `BPF_F_RDONLY_PROG`.
    pub const fn read_only_for_programs(self) -> bool {
        self.has(Self::RDONLY_PROG)
    }

    /// `BPF_F_WRONLY_PROG`.
    pub const fn write_only_for_programs(self) -> bool {
        self.has(Self::WRONLY_PROG)
    }
}

uapi_enum! {
    /// The type of a map (`enum bpf_map_type`).
    MapType {
        1 Hash "hash",
        2 Array "array",
        3 ProgArray "prog_array",
        4 PerfEventArray "perf_event_array",
        5 PerCpuHash "percpu_hash",
        6 PerCpuArray "percpu_array",
        7 StackTrace "stack_trace",
        8 CgroupArray "cgroup_array",
        9 LruHash "lru_hash",
        10 LruPerCpuHash "lru_percpu_hash",
        11 LpmTrie "lpm_trie",
        12 ArrayOfMaps "array_of_maps",
        13 HashOfMaps "hash_of_maps",
        14 DevMap "devmap",
        15 SockMap "sockmap",
        16 CpuMap "cpumap",
        17 XskMap "xskmap",
        18 SockHash "sockhash",
        19 CgroupStorage "cgroup_storage",
        20 ReusePortSockArray "reuseport_sockarray",
        21 PerCpuCgroupStorage "percpu_cgroup_storage",
        22 Queue "queue",
        23 Stack "stack",
        24 SkStorage "sk_storage",
        25 DevMapHash "devmap_hash",
        26 StructOps "struct_ops",
        27 RingBuf "ringbuf",
        28 InodeStorage "inode_storage",
        29 TaskStorage "task_storage",
        30 BloomFilter "bloom_filter",
        31 UserRingBuf "user_ringbuf",
        32 CgrpStorage "cgrp_storage",
        33 Arena "arena",
    }
}

impl MapType {
    /// Whether each CPU has a value of its own.
    pub const fn is_per_cpu(self) -> bool {
        matches!(
            self,
            Self::PerCpuHash | Self::PerCpuArray | Self::LruPerCpuHash | Self::PerCpuCgroupStorage
        )
    }
}
