//! Which definitions the kernel accepts (`map_create` in `kernel/bpf/syscall.c`, and each type's
//! `map_alloc_check` and `map_alloc`).

use super::{MapDef, MapError, MapFlags as F, MapType as T};
use crate::errno::Errno;

/// Why the kernel refuses a definition.
type Refusal = (Errno, &'static str);

/// Checks a definition before anything is allocated.
pub(super) fn definition(def: &MapDef) -> Result<(), MapError> {
    match accepted(def) {
        None => Err(MapError::Unsupported {
            name: def.name.clone(),
            what: format!("map type {}", def.kind),
        }),
        Some(Ok(())) => Ok(()),
        Some(Err((errno, reason))) => Err(MapError::Invalid {
            name: def.name.clone(),
            kind: def.kind,
            reason: reason.to_owned(),
            errno,
        }),
    }
}

/// What the kernel changes in a definition that it accepts.
pub(super) fn adjust(def: &mut MapDef, cpus: u32) {
    if matches!(def.kind, T::DevMap | T::DevMapHash) {
        def.flags.0 |= F::RDONLY_PROG;
    }
    if def.flags.has(F::NO_COMMON_LRU) {
        // Each CPU's list has the same length, which is at least 1.
        let rounded = def.max_entries.checked_next_multiple_of(cpus);
        def.max_entries = rounded.unwrap_or(def.max_entries / cpus * cpus);
    }
}

/// None when the emulator does not have the type.
fn accepted(def: &MapDef) -> Option<Result<(), Refusal>> {
    let by_type = match def.kind {
        T::Array | T::PerCpuArray => array,
        T::Hash | T::PerCpuHash | T::LruHash | T::LruPerCpuHash => hash,
        T::LpmTrie => lpm,
        T::ProgArray | T::PerfEventArray | T::CgroupArray => descriptors,
        T::ArrayOfMaps | T::HashOfMaps => maps,
        T::RingBuf => ring,
        T::DevMap | T::DevMapHash | T::CpuMap | T::XskMap => targets,
        T::SockMap | T::SockHash => sockets,
        T::Queue | T::Stack => queue,
        T::BloomFilter => bloom,
        T::SkStorage => socket_storage,
        T::CgroupStorage | T::PerCpuCgroupStorage => cgroup_storage,
        _ => return None,
    };
    Some(
        general(def)
            .and_then(|()| by_type(def))
            .and_then(|()| lock(def)),
    )
}

/// `BPF_F_NUMA_NODE`, which has no effect here.
const NUMA_NODE: u32 = 1 << 2;
const SYSCALL: u32 = F::RDONLY | F::WRONLY;
const PROGRAMS: u32 = F::RDONLY_PROG | F::WRONLY_PROG;
/// `BPF_F_ACCESS_MASK`
const ACCESS: u32 = SYSCALL | PROGRAMS;
/// `KMALLOC_MAX_SIZE`
const MAX_ALLOCATION: u64 = 1 << 22;
/// `PCPU_MIN_UNIT_SIZE`
const MAX_PER_CPU: u32 = 32 << 10;
/// `sizeof(struct htab_elem)`
const HASH_ELEMENT: u64 = 48;

fn refuse(when: bool, errno: Errno, reason: &'static str) -> Result<(), Refusal> {
    if when { Err((errno, reason)) } else { Ok(()) }
}

fn invalid(when: bool, reason: &'static str) -> Result<(), Refusal> {
    refuse(when, Errno::EINVAL, reason)
}

fn flags(def: &MapDef, known: u32) -> Result<(), Refusal> {
    invalid(
        def.flags.0 & !known != 0,
        "a flag that this type does not have",
    )?;
    let both = def.flags.has(F::RDONLY_PROG) && def.flags.has(F::WRONLY_PROG);
    invalid(both, "programs may neither read nor write")
}

fn general(def: &MapDef) -> Result<(), Refusal> {
    let extra = def.extra != 0 && def.kind != T::BloomFilter;
    invalid(extra, "map_extra is set")?;
    let both = def.flags.has(F::RDONLY) && def.flags.has(F::WRONLY);
    invalid(both, "user space may neither read nor write")
}

fn no_entries(def: &MapDef) -> Result<(), Refusal> {
    invalid(
        def.max_entries == 0,
        "the number of entries is 0, and no other is given",
    )
}

fn no_value(def: &MapDef) -> Result<(), Refusal> {
    invalid(def.value_size == 0, "the value size is 0")
}

fn index_key(def: &MapDef) -> Result<(), Refusal> {
    invalid(def.key_size != 4, "the key size is not 4")
}

fn word_or_two(def: &MapDef) -> Result<(), Refusal> {
    let other = def.value_size != 4 && def.value_size != 8;
    invalid(other, "the value size is neither 4 nor 8")
}

fn array(def: &MapDef) -> Result<(), Refusal> {
    let per_cpu = def.kind == T::PerCpuArray;
    no_entries(def)?;
    index_key(def)?;
    no_value(def)?;
    flags(
        def,
        NUMA_NODE | F::MMAPABLE | ACCESS | F::PRESERVE_ELEMS | F::INNER_MAP,
    )?;
    invalid(
        per_cpu && def.flags.has(NUMA_NODE),
        "a NUMA node for values of all CPUs",
    )?;
    let plain_only = def.flags.0 & (F::MMAPABLE | F::INNER_MAP) != 0;
    invalid(def.kind != T::Array && plain_only, "a flag of plain arrays")?;
    let events_only = def.flags.has(F::PRESERVE_ELEMS);
    invalid(
        def.kind != T::PerfEventArray && events_only,
        "a flag of perf event arrays",
    )?;
    let large = def.value_size > i32::MAX as u32
        || (per_cpu && def.value_size.next_multiple_of(8) > MAX_PER_CPU);
    refuse(large, Errno::E2BIG, "the value is too large")
}

fn descriptors(def: &MapDef) -> Result<(), Refusal> {
    invalid(def.value_size != 4, "the value size is not 4")?;
    let programs = def.flags.0 & PROGRAMS != 0;
    invalid(
        programs,
        "a restriction on programs that this type does not have",
    )?;
    array(def)
}

fn maps(def: &MapDef) -> Result<(), Refusal> {
    if def.kind == T::ArrayOfMaps {
        descriptors(def)?;
    } else {
        invalid(def.value_size != 4, "the value size is not 4")?;
        hash(def)?;
    }
    let inner = def
        .inner
        .as_deref()
        .ok_or((Errno::EBADF, "no inner map is given"))?;
    let deep = matches!(inner.kind, T::ArrayOfMaps | T::HashOfMaps);
    invalid(deep, "the inner map has inner maps itself")?;
    let unfit = matches!(
        inner.kind,
        T::ProgArray | T::CgroupStorage | T::PerCpuCgroupStorage
    );
    refuse(
        unfit,
        Errno::ENOTSUPP,
        "maps of the inner type cannot be inner maps",
    )
}

fn hash(def: &MapDef) -> Result<(), Refusal> {
    let per_cpu = matches!(def.kind, T::PerCpuHash | T::LruPerCpuHash);
    let lru = matches!(def.kind, T::LruHash | T::LruPerCpuHash);
    flags(
        def,
        F::NO_PREALLOC | F::NO_COMMON_LRU | NUMA_NODE | ACCESS | F::ZERO_SEED,
    )?;
    let lists = def.flags.has(F::NO_COMMON_LRU);
    invalid(!lru && lists, "a flag of LRU hashes")?;
    let lazy = lru && def.flags.has(F::NO_PREALLOC);
    refuse(lazy, Errno::ENOTSUPP, "an LRU hash is always preallocated")?;
    let node = def.flags.has(NUMA_NODE) && (per_cpu || lists);
    invalid(node, "a NUMA node for lists or values of all CPUs")?;
    no_entries(def)?;
    invalid(def.key_size == 0, "the key size is 0")?;
    no_value(def)?;
    let element = u64::from(def.key_size) + u64::from(def.value_size);
    let large = element >= MAX_ALLOCATION - HASH_ELEMENT
        || (per_cpu && def.value_size.next_multiple_of(8) > MAX_PER_CPU);
    refuse(large, Errno::E2BIG, "key and value are too large")?;
    let many = def.max_entries > 1 << 27;
    refuse(
        many,
        Errno::E2BIG,
        "the table of buckets would be too large",
    )
}

fn lpm(def: &MapDef) -> Result<(), Refusal> {
    no_entries(def)?;
    invalid(
        !def.flags.has(F::NO_PREALLOC),
        "BPF_F_NO_PREALLOC is not set",
    )?;
    flags(def, F::NO_PREALLOC | NUMA_NODE | ACCESS)?;
    let key = (5..=260).contains(&def.key_size);
    invalid(!key, "the key size is not between 5 and 260")?;
    no_value(def)?;
    let node = 40 + 256 + u64::from(def.value_size);
    invalid(node > MAX_ALLOCATION, "the value is too large")
}

fn ring(def: &MapDef) -> Result<(), Refusal> {
    flags(def, NUMA_NODE)?;
    let sizes = def.key_size != 0 || def.value_size != 0;
    invalid(sizes, "the sizes of key and value are not 0")?;
    let size = def.max_entries;
    let odd = !size.is_power_of_two() || !size.is_multiple_of(4096);
    invalid(odd, "the size is not a power of two of whole pages")
}

fn targets(def: &MapDef) -> Result<(), Refusal> {
    no_entries(def)?;
    index_key(def)?;
    match def.kind {
        T::XskMap => invalid(def.value_size != 4, "the value size is not 4")?,
        _ => word_or_two(def)?,
    }
    let cpus = def.kind == T::CpuMap;
    flags(def, if cpus { NUMA_NODE } else { NUMA_NODE | SYSCALL })?;
    refuse(
        cpus && def.max_entries > MAX_CPUS,
        Errno::E2BIG,
        "more CPUs than a kernel has",
    )
}

/// `NR_CPUS` of distributions' kernels.
const MAX_CPUS: u32 = 8192;

fn sockets(def: &MapDef) -> Result<(), Refusal> {
    no_entries(def)?;
    if def.kind == T::SockMap {
        index_key(def)?;
    } else {
        invalid(def.key_size == 0, "the key size is 0")?;
    }
    word_or_two(def)?;
    flags(def, NUMA_NODE | SYSCALL)?;
    refuse(
        def.key_size > 512,
        Errno::E2BIG,
        "the key is larger than a stack frame",
    )
}

fn queue(def: &MapDef) -> Result<(), Refusal> {
    no_entries(def)?;
    invalid(def.key_size != 0, "the key size is not 0")?;
    no_value(def)?;
    flags(def, NUMA_NODE | ACCESS)?;
    let large = u64::from(def.value_size) > MAX_ALLOCATION;
    refuse(large, Errno::E2BIG, "the value is too large")
}

fn bloom(def: &MapDef) -> Result<(), Refusal> {
    let large = u64::from(def.value_size) > MAX_ALLOCATION;
    refuse(large, Errno::E2BIG, "the value is too large")?;
    invalid(def.key_size != 0, "the key size is not 0")?;
    no_value(def)?;
    no_entries(def)?;
    flags(def, NUMA_NODE | F::ZERO_SEED | ACCESS)?;
    invalid(def.extra > 15, "more than 15 hash functions")
}

fn socket_storage(def: &MapDef) -> Result<(), Refusal> {
    flags(def, F::NO_PREALLOC | F::CLONE)?;
    invalid(
        !def.flags.has(F::NO_PREALLOC),
        "BPF_F_NO_PREALLOC is not set",
    )?;
    invalid(def.max_entries != 0, "the number of entries is not 0")?;
    index_key(def)?;
    no_value(def)?;
    let large = def.value_size > MAX_LOCAL_VALUE;
    refuse(large, Errno::E2BIG, "the value is too large")
}

/// `BPF_LOCAL_STORAGE_MAX_VALUE_SIZE`: a value and its `struct bpf_local_storage_elem` of 128 bytes have a length of
/// 16 bits.
const MAX_LOCAL_VALUE: u32 = 65_407;

fn cgroup_storage(def: &MapDef) -> Result<(), Refusal> {
    let key = def.key_size != 8 && def.key_size != 16;
    invalid(key, "the key size is neither 8 nor 16")?;
    no_value(def)?;
    let per_cpu = def.kind == T::PerCpuCgroupStorage;
    let limit = if per_cpu {
        MAX_PER_CPU
    } else {
        MAX_LOCAL_VALUE
    };
    refuse(
        def.value_size > limit,
        Errno::E2BIG,
        "the value is too large",
    )?;
    flags(def, NUMA_NODE | ACCESS)?;
    invalid(def.max_entries != 0, "the number of entries is not 0")
}

/// Spin locks in values (`map_check_btf`).
fn lock(def: &MapDef) -> Result<(), Refusal> {
    let Some(lock) = def.lock else {
        return Ok(());
    };
    let allowed = matches!(
        def.kind,
        T::Hash | T::Array | T::CgroupStorage | T::SkStorage
    );
    // Those of devices are made read-only for programs.
    let devices = matches!(def.kind, T::DevMap | T::DevMapHash);
    refuse(
        devices || def.flags.0 & PROGRAMS != 0,
        Errno::EACCES,
        "a bpf_spin_lock that programs may not read and write",
    )?;
    refuse(
        !allowed,
        Errno::EOPNOTSUPP,
        "values of this type have no bpf_spin_lock",
    )?;
    let inside =
        lock.is_multiple_of(4) && lock.checked_add(4).is_some_and(|end| end <= def.value_size);
    invalid(!inside, "the bpf_spin_lock is not in the value")
}
