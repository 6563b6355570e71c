//! `struct __sk_buff` (`bpf_skb_is_valid_access` and what each program type takes away from it).

use twinpath_machine::memory::{Field, Layout, Memory, Widths};

use crate::packet::Skb;

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

const CB: Field = Field::plain(
    "cb",
    SkbField::Cb as u16,
    20,
    Widths::UP_TO_8,
    Widths::UP_TO_8,
);
const HWTSTAMP: Field = Field::plain(
    "hwtstamp",
    SkbField::Hwtstamp as u16,
    8,
    Widths::W8,
    Widths::NONE,
);

/// For tc (`tc_cls_act_is_valid_access`).
pub(super) static SCHED_CLS: Layout = Layout {
    name: "__sk_buff",
    size: SIZE,
    fields: &[
        read("len", SkbField::Len),
        read("pkt_type", SkbField::PktType),
        write("mark", SkbField::Mark),
        write("queue_mapping", SkbField::QueueMapping),
        read("protocol", SkbField::Protocol),
        read("vlan_present", SkbField::VlanPresent),
        read("vlan_tci", SkbField::VlanTci),
        read("vlan_proto", SkbField::VlanProto),
        write("priority", SkbField::Priority),
        read("ingress_ifindex", SkbField::IngressIfindex),
        read("ifindex", SkbField::Ifindex),
        write("tc_index", SkbField::TcIndex),
        CB,
        read("hash", SkbField::Hash),
        write("tc_classid", SkbField::TcClassid),
        Field::packet("data", SkbField::Data as u16),
        Field::packet("data_end", SkbField::DataEnd as u16),
        read("napi_id", SkbField::NapiId),
        Field::packet("data_meta", SkbField::DataMeta as u16),
        Field::plain("tstamp", SkbField::Tstamp as u16, 8, Widths::W8, Widths::W8),
        read("wire_len", SkbField::WireLen),
        read("gso_segs", SkbField::GsoSegs),
        Field::object("sk", SkbField::Sk as u16),
        read("gso_size", SkbField::GsoSize),
        Field::plain(
            "tstamp_type",
            SkbField::TstampType as u16,
            1,
            Widths::of(1),
            Widths::NONE,
        ),
        HWTSTAMP,
    ],
};

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
    put_long(SkbField::Sk, 0);
    let cb = SkbField::Cb as usize;
    bytes[cb..cb + skb.cb.len()].copy_from_slice(&skb.cb);
}

/// Takes over what a program wrote into the structure.
pub(crate) fn read_skb(memory: &Memory, at: u32, skb: &mut Skb) {
    let bytes = memory.raw(at, SIZE);
    let get = |field: SkbField| {
        let at = field as usize;
        u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
    };
    const NO_QUEUE_MAPPING: u32 = 0xffff;
    skb.mark = get(SkbField::Mark);
    skb.priority = get(SkbField::Priority);
    skb.tc_index = get(SkbField::TcIndex) as u16;
    skb.tc_classid = get(SkbField::TcClassid) as u16;
    if get(SkbField::QueueMapping) < NO_QUEUE_MAPPING {
        skb.queue_mapping = get(SkbField::QueueMapping) as u16;
    }
    let at = SkbField::Tstamp as usize;
    let mut timestamp = [0; 8];
    timestamp.copy_from_slice(&bytes[at..at + 8]);
    skb.timestamp = u64::from_le_bytes(timestamp);
    let cb = SkbField::Cb as usize;
    skb.cb.copy_from_slice(&bytes[cb..cb + 20]);
}
