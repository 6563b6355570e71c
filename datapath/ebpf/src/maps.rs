//! The maps and the load-time constants. Names and sizes come from the ABI.
#![allow(
    unsafe_code,
    reason = "a map is a symbol in a named section, and a hash map lends out its values"
)]

use aya_ebpf::Global;
use aya_ebpf::bindings::{BPF_ANY, BPF_F_NO_PREALLOC};
use aya_ebpf::btf_maps::lpm_trie::Key;
use aya_ebpf::btf_maps::{Array, HashMap, LpmTrie, PerCpuHashMap, RingBuf};
use aya_ebpf::macros::btf_map;
use aya_ebpf::maps::ring_buf::RingBufEntry;
use twinpath_abi::map::max_entries as max;
use twinpath_abi::{
    Backend, BackendId, DeviceEndpoint, DropRecord, EndpointInfo, EndpointKey, Ifindex,
    MaglevTable, MetricsKey, MetricsValue, PrefilterRule, PrefixData, RevNatIndex, Seam,
    ServiceKey, ServiceValue, global,
};

/// Not 0: the clock is in the map of seams.
#[unsafe(no_mangle)]
static SEAM_NOW: Global<u32> = Global::new(0);

/// Not 0: randomness is a sequence whose state is in the map of seams.
#[unsafe(no_mangle)]
static SEAM_RANDOM: Global<u32> = Global::new(0);

/// The seed of the flow hash.
#[unsafe(no_mangle)]
static HASH_SEED: Global<u32> = Global::new(global::HASH_SEED_DEFAULT);

#[btf_map(name = "lxc")]
static LXC: HashMap<EndpointKey, EndpointInfo, { max::LXC }> = HashMap::new();

#[btf_map(name = "lxc_device")]
static LXC_DEVICE: HashMap<Ifindex, DeviceEndpoint, { max::LXC_DEVICE }> = HashMap::new();

#[btf_map(name = "prefilter")]
static PREFILTER: LpmTrie<PrefixData, PrefilterRule, { max::PREFILTER }> = LpmTrie::new();

#[btf_map(name = "lb_services")]
static LB_SERVICES: HashMap<ServiceKey, ServiceValue, { max::LB_SERVICES }> = HashMap::new();

#[btf_map(name = "lb_backends")]
static LB_BACKENDS: HashMap<BackendId, Backend, { max::LB_BACKENDS }> = HashMap::new();

// A table is 4 KiB: only those that exist take memory.
#[btf_map(name = "lb_maglev")]
static LB_MAGLEV: HashMap<
    RevNatIndex,
    MaglevTable,
    { max::LB_MAGLEV },
    { BPF_F_NO_PREALLOC as usize },
> = HashMap::new();

#[btf_map(name = "metrics")]
static METRICS: PerCpuHashMap<MetricsKey, MetricsValue, { max::METRICS }> = PerCpuHashMap::new();

#[btf_map(name = "events")]
static EVENTS: RingBuf<DropRecord, { max::EVENTS }> = RingBuf::new();

#[btf_map(name = "seams")]
static SEAMS: Array<u64, { Seam::COUNT }> = Array::new();

/// A key on the stack, aligned so that it is written and hashed by words.
#[repr(C, align(8))]
struct Aligned<T>(T);

/// Defines a lookup in a hash map that only user space writes to.
macro_rules! lookup {
    ($(#[$doc:meta])* $name:ident: $map:ident, $key:ty => $value:ty) => {
        $(#[$doc])*
        #[inline(always)]
        pub fn $name(key: $key) -> Option<&'static $value> {
            // SAFETY: no program inserts into or removes from this map. User space may, and then the
            // slot can change under us or serve another key, but it stays a slot of this map while
            // the program runs, and any bytes in it are a value.
            unsafe { $map.get(&Aligned(key).0) }
        }
    };
}

lookup!(
    /// The endpoint with this address.
    endpoint: LXC, EndpointKey => EndpointInfo
);
lookup!(
    /// The endpoint behind this device.
    sender: LXC_DEVICE, Ifindex => DeviceEndpoint
);
lookup!(
    /// The service with this frontend.
    service: LB_SERVICES, ServiceKey => ServiceValue
);
lookup!(
    /// The backend with this number.
    backend: LB_BACKENDS, BackendId => Backend
);
lookup!(
    /// The Maglev table of this service.
    maglev: LB_MAGLEV, RevNatIndex => MaglevTable
);

/// The longest denied prefix that this address matches in its first `bits` bits.
#[inline(always)]
pub fn denied(data: PrefixData, bits: u32) -> Option<&'static PrefilterRule> {
    PREFILTER.get(&Aligned(Key::new(bits, data)).0)
}

/// Adds a packet of `bytes` to this CPU's counter.
#[inline(always)]
pub fn count(key: MetricsKey, bytes: u32) {
    let bytes = u64::from(bytes);
    let key = Aligned(key);
    match METRICS.get_ptr_mut(&key.0) {
        // SAFETY: the slot belongs to this CPU and programs at these hooks do not interrupt each
        // other there, so nobody else writes it now.
        Some(value) => unsafe {
            (*value).count += 1;
            (*value).bytes += bytes;
        },
        // When the map is full the count is lost: the packet's fate does not depend on it.
        None => {
            let first = MetricsValue { count: 1, bytes };
            let _ = METRICS.insert(&key.0, &first, u64::from(BPF_ANY));
        }
    }
}

/// A place for an event, or `None` when the ring buffer is full.
#[inline(always)]
pub fn reserve_event() -> Option<RingBufEntry<DropRecord>> {
    EVENTS.reserve(0)
}

/// The seam's value, when the loader has asked for it.
#[inline(always)]
pub fn seam(seam: Seam) -> Option<u64> {
    let flag = match seam {
        Seam::Now => SEAM_NOW.load(),
        Seam::Random => SEAM_RANDOM.load(),
    };
    if flag == 0 {
        return None;
    }
    SEAMS.get(seam as u32).copied()
}

/// The seed of the flow hash.
#[inline(always)]
pub fn hash_seed() -> u32 {
    HASH_SEED.load()
}
