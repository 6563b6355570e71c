//! `struct __sk_buff` (`bpf_skb_is_valid_access` and what each program type takes away from it).

use twinpath_machine::memory::{Field, FieldValue, Layout, Memory, Widths};

use crate::packet::{Owner, Skb};

/// Bytes of the structure.
const SIZE: u32 = 192;

/// Offsets of the fields (`linux/bpf.h`).
#[derive(Debug, Clone, Copy)]
pub(crate) enum SkbField {
    Len = 0,
    PktType = 4,
    Mark = 8,
    QueueMapping = 12,
    Protocol = 16,
    VlanPresent = 20,
    VlanTci = 24,
    VlanProto = 28,
    Priority = 32,
    IngressIfindex = 36,
    Ifindex = 40,
    TcIndex = 44,
    Cb = 48,
    Hash = 68,
    TcClassid = 72,
    Data = 76,
    DataEnd = 80,
    NapiId = 84,
    Family = 88,
    RemoteIp4 = 92,
    LocalIp4 = 96,
    RemoteIp6 = 100,
    LocalIp6 = 116,
    RemotePort = 132,
    LocalPort = 136,
    DataMeta = 140,
    Tstamp = 152,
    WireLen = 160,
    GsoSegs = 164,
    Sk = 168,
    GsoSize = 176,
    TstampType = 180,
    Hwtstamp = 184,
}

/// A field that is read whole or in part and never written.
const fn read(name: &'static str, at: SkbField) -> Field {
    Field::plain(name, at as u16, 4, Widths::UP_TO_4, Widths::NONE)
}

/// A field that is read whole or in part and written whole.
const fn write(name: &'static str, at: SkbField) -> Field {
    Field::plain(name, at as u16, 4, Widths::UP_TO_4, Widths::W4)
}

/// A field of 64 bits.
const fn long(name: &'static str, at: SkbField, write: Widths) -> Field {
    Field::plain(name, at as u16, 8, Widths::W8, write)
}

/// Addresses of the packet's socket, read word by word.
const fn address(name: &'static str, at: SkbField, size: u16) -> Field {
    Field::plain(name, at as u16, size, Widths::W4, Widths::NONE)
}

const LEN: Field = read("len", SkbField::Len);
const PKT_TYPE: Field = read("pkt_type", SkbField::PktType).with(FieldValue::Short(1));
const QUEUE_MAPPING: Field = read("queue_mapping", SkbField::QueueMapping).half();
const PROTOCOL: Field = read("protocol", SkbField::Protocol).half();
const VLAN_PRESENT: Field = read("vlan_present", SkbField::VlanPresent);
const VLAN_TCI: Field = read("vlan_tci", SkbField::VlanTci).half();
const VLAN_PROTO: Field = read("vlan_proto", SkbField::VlanProto).half();
const INGRESS_IFINDEX: Field = read("ingress_ifindex", SkbField::IngressIfindex);
const IFINDEX: Field = read("ifindex", SkbField::Ifindex);
const TC_INDEX: Field = read("tc_index", SkbField::TcIndex).half();
const CB: Field = Field::plain(
    "cb",
    SkbField::Cb as u16,
    20,
    Widths::UP_TO_8,
    Widths::UP_TO_8,
);
const HASH: Field = read("hash", SkbField::Hash);
const DATA: Field = Field::packet("data", SkbField::Data as u16);
const DATA_END: Field = Field::packet("data_end", SkbField::DataEnd as u16);
const NAPI_ID: Field = read("napi_id", SkbField::NapiId);
const DATA_META: Field = Field::packet("data_meta", SkbField::DataMeta as u16);
const GSO_SEGS: Field = read("gso_segs", SkbField::GsoSegs).half();
const SK: Field = Field::object("sk", SkbField::Sk as u16);
const GSO_SIZE: Field = read("gso_size", SkbField::GsoSize).half();
const HWTSTAMP: Field = long("hwtstamp", SkbField::Hwtstamp, Widths::NONE);
const MARK: Field = read("mark", SkbField::Mark);
const PRIORITY: Field = read("priority", SkbField::Priority);
const MARK_WRITTEN: Field = write("mark", SkbField::Mark);
const PRIORITY_WRITTEN: Field = write("priority", SkbField::Priority);

/// A layout of the structure.
const fn layout(fields: &'static [Field]) -> Layout {
    Layout {
        name: "__sk_buff",
        size: SIZE,
        fields,
    }
}

/// For tc (`tc_cls_act_is_valid_access`).
pub(super) static SCHED_CLS: Layout = layout(&[
    LEN,
    PKT_TYPE,
    MARK_WRITTEN,
    write("queue_mapping", SkbField::QueueMapping).with(FieldValue::Queue),
    PROTOCOL,
    VLAN_PRESENT,
    VLAN_TCI,
    VLAN_PROTO,
    PRIORITY_WRITTEN,
    INGRESS_IFINDEX,
    IFINDEX,
    write("tc_index", SkbField::TcIndex).half(),
    CB,
    HASH,
    write("tc_classid", SkbField::TcClassid).half(),
    DATA,
    DATA_END,
    NAPI_ID,
    DATA_META,
    long("tstamp", SkbField::Tstamp, Widths::W8),
    read("wire_len", SkbField::WireLen),
    GSO_SEGS,
    SK,
    GSO_SIZE,
    Field::plain(
        "tstamp_type",
        SkbField::TstampType as u16,
        1,
        Widths::of(1),
        Widths::NONE,
    ),
    HWTSTAMP,
]);

/// For socket filters (`sk_filter_is_valid_access`): no bytes of the packet, only `cb` to write.
pub(super) static SOCKET_FILTER: Layout = layout(&[
    LEN,
    PKT_TYPE,
    MARK,
    QUEUE_MAPPING,
    PROTOCOL,
    VLAN_PRESENT,
    VLAN_TCI,
    VLAN_PROTO,
    PRIORITY,
    INGRESS_IFINDEX,
    IFINDEX,
    TC_INDEX,
    CB,
    HASH,
    NAPI_ID,
    GSO_SEGS,
    SK,
    GSO_SIZE,
]);

/// For `cgroup/skb` (`cg_skb_is_valid_access`).
pub(super) static CGROUP_SKB: Layout = layout(&[
    LEN,
    PKT_TYPE,
    MARK_WRITTEN,
    QUEUE_MAPPING,
    PROTOCOL,
    VLAN_PRESENT,
    VLAN_TCI,
    VLAN_PROTO,
    PRIORITY_WRITTEN,
    INGRESS_IFINDEX,
    IFINDEX,
    TC_INDEX,
    CB,
    HASH,
    DATA,
    DATA_END,
    NAPI_ID,
    read("family", SkbField::Family).half(),
    address("remote_ip4", SkbField::RemoteIp4, 4),
    address("local_ip4", SkbField::LocalIp4, 4),
    address("remote_ip6", SkbField::RemoteIp6, 16),
    address("local_ip6", SkbField::LocalIp6, 16),
    read("remote_port", SkbField::RemotePort).half(),
    read("local_port", SkbField::LocalPort).half(),
    long("tstamp", SkbField::Tstamp, Widths::W8),
    GSO_SEGS,
    SK,
    GSO_SIZE,
    HWTSTAMP,
]);

/// For light-weight tunnels (`lwt_is_valid_access`).
pub(super) static LWT: Layout = layout(&[
    LEN,
    PKT_TYPE,
    MARK_WRITTEN,
    QUEUE_MAPPING,
    PROTOCOL,
    VLAN_PRESENT,
    VLAN_TCI,
    VLAN_PROTO,
    PRIORITY_WRITTEN,
    INGRESS_IFINDEX,
    IFINDEX,
    TC_INDEX,
    CB,
    HASH,
    DATA,
    DATA_END,
    NAPI_ID,
    GSO_SEGS,
    SK,
    GSO_SIZE,
]);

/// Writes the structure's bytes for a packet: what `bpf_convert_ctx_access` would load.
pub(crate) fn write_skb(memory: &mut Memory, at: u32, skb: &Skb) {
    let bytes = memory.raw_mut(at, SIZE);
    let mut put = |field: SkbField, value: u32| {
        let at = field as usize;
        bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
    };
    let vlan = skb.vlan.unwrap_or_default();
    put(SkbField::Len, skb.frame.len());
    put(SkbField::PktType, skb.packet_type as u32);
    put(SkbField::Mark, skb.mark);
    put(SkbField::QueueMapping, u32::from(skb.queue_mapping));
    put(SkbField::Protocol, u32::from(skb.protocol.to_guest()));
    put(SkbField::VlanPresent, u32::from(skb.vlan.is_some()));
    put(SkbField::VlanTci, u32::from(vlan.tci));
    put(SkbField::VlanProto, u32::from(vlan.protocol.to_guest()));
    put(SkbField::Priority, skb.priority);
    put(SkbField::IngressIfindex, skb.ingress);
    put(SkbField::Ifindex, skb.ifindex);
    put(SkbField::TcIndex, u32::from(skb.tc_index));
    put(SkbField::Hash, skb.hash.value);
    put(SkbField::TcClassid, u32::from(skb.tc_classid));
    put(SkbField::Data, skb.frame.data());
    put(SkbField::DataEnd, skb.frame.linear_end());
    put(SkbField::NapiId, 0);
    put(SkbField::DataMeta, skb.frame.data() - skb.metadata);
    put(SkbField::WireLen, skb.wire_len);
    put(SkbField::GsoSegs, u32::from(skb.gso.segments));
    put(SkbField::GsoSize, u32::from(skb.gso.size));
    put(SkbField::TstampType, u32::from(skb.timestamp_type));
    let mut put_long = |field: SkbField, value: u64| {
        let at = field as usize;
        bytes[at..at + 8].copy_from_slice(&value.to_le_bytes());
    };
    put_long(SkbField::Tstamp, skb.timestamp);
    put_long(SkbField::Hwtstamp, skb.hardware_timestamp);
    put_long(
        SkbField::Sk,
        skb.owner.object.map_or(0, |sk| sk.base.into()),
    );
    let cb = SkbField::Cb as usize;
    bytes[cb..cb + skb.cb.len()].copy_from_slice(&skb.cb);
    write_owner(bytes, &skb.owner);
}

/// What is the packet's socket's.
fn write_owner(bytes: &mut [u8], owner: &Owner) {
    let mut put = |field: SkbField, value: &[u8]| {
        let at = field as usize;
        bytes[at..at + value.len()].copy_from_slice(value);
    };
    // A socket keeps an IPv4 address apart from the IPv6 one.
    put(SkbField::Family, &u32::from(owner.family).to_le_bytes());
    put(SkbField::RemoteIp4, &owner.remote.v4.octets());
    put(SkbField::LocalIp4, &owner.local.v4.octets());
    put(SkbField::RemoteIp6, &owner.remote.v6.octets());
    put(SkbField::LocalIp6, &owner.local.v6.octets());
    // In network order, and in the upper half.
    let [high, low] = owner.remote_port.to_be_bytes();
    put(SkbField::RemotePort, &[0, 0, high, low]);
    put(
        SkbField::LocalPort,
        &u32::from(owner.local_port).to_le_bytes(),
    );
}

/// Takes over what a program wrote into the structure.
pub(crate) fn read_skb(memory: &Memory, at: u32, skb: &mut Skb) {
    let bytes = memory.raw(at, SIZE);
    let get = |field: SkbField| {
        let at = field as usize;
        u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
    };
    skb.mark = get(SkbField::Mark);
    skb.priority = get(SkbField::Priority);
    skb.tc_index = get(SkbField::TcIndex) as u16;
    skb.tc_classid = get(SkbField::TcClassid) as u16;
    skb.queue_mapping = get(SkbField::QueueMapping) as u16;
    let at = SkbField::Tstamp as usize;
    let mut timestamp = [0; 8];
    timestamp.copy_from_slice(&bytes[at..at + 8]);
    skb.timestamp = u64::from_le_bytes(timestamp);
    let cb = SkbField::Cb as usize;
    skb.cb.copy_from_slice(&bytes[cb..cb + 20]);
}
