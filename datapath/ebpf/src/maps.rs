//! The maps. Names and sizes come from the ABI.
#![allow(
    unsafe_code,
    reason = "a map is a symbol in a named section, and a hash map lends out its values"
)]

use core::ffi::c_void;
use core::ptr::null;

use aya_ebpf::bindings::bpf_map_type::BPF_MAP_TYPE_PROG_ARRAY;
use aya_ebpf::bindings::{__sk_buff, BPF_ANY, BPF_F_NO_PREALLOC, BPF_NOEXIST};
use aya_ebpf::btf_maps::lpm_trie::Key;
use aya_ebpf::btf_maps::{Array, HashMap, LpmTrie, LruHashMap, PerCpuHashMap, RingBuf};
use aya_ebpf::macros::btf_map;
use aya_ebpf::maps::ring_buf::RingBufEntry;
use twinpath_abi::map::max_entries as max;
use twinpath_abi::{
    Address, Backend, BackendId, CtEntry, CtTuple, DeviceEndpoint, EndpointInfo, EndpointKey,
    Family, FragmentKey, FragmentPorts, Ifindex, MaglevTable, MasqueradeRule, MetricsKey,
    MetricsValue, POLICY_FULL_BITS, PREFIX_STATIC_BITS, PolicyData, PolicyEntry, PrefilterRule,
    PrefixData, RemoteEndpoint, RevNatIndex, Seam, ServiceKey, ServiceValue, SnatEntry, SnatTuple,
    TailCall, TraceRecord,
};

use crate::{config, entry};

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

#[btf_map(name = "ipcache")]
static IPCACHE: LpmTrie<PrefixData, RemoteEndpoint, { max::IPCACHE }> = LpmTrie::new();

#[btf_map(name = "policy")]
static POLICY: LpmTrie<PolicyData, PolicyEntry, { max::POLICY }> = LpmTrie::new();

#[btf_map(name = "ct")]
static CT: LruHashMap<CtTuple, CtEntry, { max::CT }> = LruHashMap::new();

#[btf_map(name = "snat")]
static SNAT: LruHashMap<SnatTuple, SnatEntry, { max::SNAT }> = LruHashMap::new();

#[btf_map(name = "ipmasq")]
static IPMASQ: LpmTrie<PrefixData, MasqueradeRule, { max::IPMASQ }> = LpmTrie::new();

#[btf_map(name = "fragments")]
static FRAGMENTS: LruHashMap<FragmentKey, FragmentPorts, { max::FRAGMENTS }> = LruHashMap::new();

#[btf_map(name = "metrics")]
static METRICS: PerCpuHashMap<MetricsKey, MetricsValue, { max::METRICS }> = PerCpuHashMap::new();

#[btf_map(name = "events")]
static EVENTS: RingBuf<TraceRecord, { max::EVENTS }> = RingBuf::new();

#[btf_map(name = "seams")]
static SEAMS: Array<u64, { Seam::COUNT }> = Array::new();

/// A program array which the object fills itself: whoever loads it puts the programs of `values` in.
#[repr(C)]
struct ProgramTable<const N: usize> {
    r#type: *const [i32; BPF_MAP_TYPE_PROG_ARRAY as usize],
    key: *const u32,
    max_entries: *const [i32; N],
    values: [fn(*mut __sk_buff) -> i32; N],
}

// SAFETY: nothing reads it but the loader.
unsafe impl<const N: usize> Sync for ProgramTable<N> {}

/// In the order of [`TailCall`].
#[btf_map(name = "calls")]
static CALLS: ProgramTable<{ TailCall::COUNT }> = ProgramTable {
    r#type: null(),
    key: null(),
    max_entries: null(),
    values: [entry::policy_egress, entry::policy_ingress, entry::forward],
};

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

/// Defines a lookup of an address in a trie of prefixes.
macro_rules! longest {
    ($(#[$doc:meta])* $name:ident: $map:ident => $value:ty) => {
        $(#[$doc])*
        #[inline(always)]
        pub fn $name(ip: Address, family: Family) -> Option<&'static $value> {
            let bits = match family {
                Family::V6 => PREFIX_STATIC_BITS + 128,
                _ => PREFIX_STATIC_BITS + 32,
            };
            $map.get(&Aligned(Key::new(bits, PrefixData::from_parts(ip, family))).0)
        }
    };
}

longest!(
    /// The longest denied prefix that holds an address.
    denied: PREFILTER => PrefilterRule
);
longest!(
    /// Who an address is.
    remote: IPCACHE => RemoteEndpoint
);
longest!(
    /// The longest prefix that holds an address which is reached without translation.
    untranslated: IPMASQ => MasqueradeRule
);

/// The narrowest entry of a policy that fits.
#[inline(always)]
pub fn policy(data: PolicyData) -> Option<&'static PolicyEntry> {
    POLICY.get(&Aligned(Key::new(POLICY_FULL_BITS, data)).0)
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
pub fn reserve_event<T: 'static>() -> Option<RingBufEntry<T>> {
    EVENTS.reserve_untyped(0)
}

/// The seam's value, when the loader has asked for it.
#[inline(always)]
pub fn seam(seam: Seam) -> Option<u64> {
    if !config::has_seam(seam) {
        return None;
    }
    SEAMS.get(seam as u32).copied()
}

/// The state of the sequence that stands for chance, when the loader has asked for it.
#[inline(always)]
pub fn random_state() -> Option<&'static mut u64> {
    if !config::has_seam(Seam::Random) {
        return None;
    }
    // SAFETY: a slot of the map lives as long as the program; tests, which alone set the seam, run one packet at a time.
    SEAMS
        .get_ptr_mut(Seam::Random as u32)
        .map(|state| unsafe { &mut *state })
}

/// A translation.
#[inline(always)]
pub fn translation(key: &SnatTuple) -> Option<SnatEntry> {
    // SAFETY: as in `fragment`.
    unsafe { SNAT.get(key).copied() }
}

/// Makes a translation known, unless there is one.
#[inline(always)]
pub fn add_translation(key: &SnatTuple, entry: &SnatEntry) -> Result<(), i32> {
    SNAT.insert(key, entry, u64::from(BPF_NOEXIST))
}

/// Makes a translation known, or replaces one.
#[inline(always)]
pub fn set_translation(key: &SnatTuple, entry: &SnatEntry) -> Result<(), i32> {
    SNAT.insert(key, entry, u64::from(BPF_ANY))
}

/// Forgets a translation.
#[inline(always)]
pub fn remove_translation(key: &SnatTuple) {
    let _ = SNAT.remove(key);
}

/// A connection that programs on all CPUs change in place.
#[inline(always)]
pub fn connection(key: &CtTuple) -> Option<*mut CtEntry> {
    CT.get_ptr_mut(key)
}

/// Makes a connection known, or replaces what was known of one like it.
#[inline(always)]
pub fn add_connection(key: &CtTuple, entry: &CtEntry) -> Result<(), i32> {
    CT.insert(key, entry, u64::from(BPF_ANY))
}

/// The ports of a packet that comes in fragments.
#[inline(always)]
pub fn fragment(key: &FragmentKey) -> Option<FragmentPorts> {
    // SAFETY: the slot may serve another key at any moment, but any bytes in it are a value, and it is
    // copied at once.
    unsafe { FRAGMENTS.get(key).copied() }
}

/// Remembers the ports of a packet that comes in fragments.
#[inline(always)]
pub fn add_fragment(key: &FragmentKey, ports: &FragmentPorts) -> Result<(), i32> {
    FRAGMENTS.insert(key, ports, u64::from(BPF_ANY))
}

/// The programs that tail calls go to.
#[inline(always)]
pub fn calls() -> *mut c_void {
    (&raw const CALLS).cast_mut().cast()
}
