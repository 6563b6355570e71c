//! The contexts that a test run starts from and hands back.

use twinpath_machine::Errno;

use super::{TestRun, TestRunError, refused};
use crate::context::SkbField;
use crate::packet::{HEADROOM, Skb, Xdp};

/// Bytes of `struct xdp_frame`, which metadata must leave room for.
const XDP_FRAME: u32 = 40;
/// Bytes of `struct xdp_md`.
const XDP_CONTEXT: usize = 24;
/// Bytes of `struct __sk_buff`.
pub(super) const SKB_CONTEXT: usize = 192;

/// Whether a context goes on behind the structure that the kernel knows (`bpf_check_uarg_tail_zero`).
pub(super) fn too_long(context: &[u8], size: usize) -> bool {
    context.iter().skip(size).any(|byte| *byte != 0)
}

/// A 32-bit field of a context; bytes that are not there are zero.
pub(super) fn word(bytes: &[u8], at: SkbField) -> u32 {
    u32::from_le_bytes(array(bytes, at as usize))
}

pub(super) fn array<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    std::array::from_fn(|byte| bytes.get(at + byte).copied().unwrap_or(0))
}

/// What `struct xdp_md` says before the run.
pub(super) struct XdpContext {
    pub(super) metadata: u32,
    /// Bytes of the linear part, metadata included; the rest is in pages.
    pub(super) linear: u32,
    pub(super) ingress: u32,
    pub(super) rx_queue: u32,
}

impl XdpContext {
    pub(super) fn read(run: TestRun<'_>) -> Result<Self, TestRunError> {
        let Some(bytes) = run.context else {
            return Ok(Self {
                metadata: 0,
                linear: run.data.len() as u32,
                ingress: 0,
                rx_queue: 0,
            });
        };
        let field = |at| u32::from_le_bytes(array(bytes, at));
        let [data, data_end, data_meta, ingress, rx_queue, egress] =
            std::array::from_fn(|index| field(index * 4));
        if too_long(bytes, XDP_CONTEXT) {
            return Err(refused(Errno::E2BIG, "the context is too long"));
        }
        if data_meta != 0
            || data_end > run.data.len() as u32
            || data > data_end
            || data % 4 != 0
            || data > HEADROOM - XDP_FRAME
        {
            return Err(refused(Errno::EINVAL, "the context does not fit the data"));
        }
        if egress != 0 {
            return Err(refused(Errno::EINVAL, "egress_ifindex is set"));
        }
        Ok(Self {
            metadata: data,
            linear: data_end,
            ingress,
            rx_queue,
        })
    }

    pub(super) fn write(&self, xdp: &Xdp) -> Vec<u8> {
        let fields = [
            xdp.metadata(),
            xdp.metadata() + xdp.frame.linear(),
            0,
            self.ingress,
            self.rx_queue,
            0,
        ];
        fields.into_iter().flat_map(u32::to_le_bytes).collect()
    }
}

/// What `struct __sk_buff` says before the run.
#[derive(Clone, Copy)]
pub(super) struct SkbContext {
    pub(super) wire_len: u32,
    gso_size: u32,
}

impl SkbContext {
    /// `convert___skb_to_skb`.
    pub(super) fn read(bytes: &[u8], skb: &mut Skb) -> Result<Self, TestRunError> {
        const MAX_SEGMENTS: u32 = 65535;
        const MAX_WIRE_LEN: u32 = 65536;
        let allowed =
            |at: usize| matches!(at, 8..12 | 32..44 | 48..68 | 152..168 | 176..180 | 184..192);
        let extra = bytes
            .iter()
            .enumerate()
            .any(|(at, byte)| *byte != 0 && !allowed(at));
        if extra {
            return Err(refused(
                Errno::EINVAL,
                "a field of the context may not be set",
            ));
        }
        let (wire_len, segments) = (
            word(bytes, SkbField::WireLen),
            word(bytes, SkbField::GsoSegs),
        );
        if wire_len > MAX_WIRE_LEN || segments > MAX_SEGMENTS {
            return Err(refused(
                Errno::EINVAL,
                "wire_len or gso_segs is out of range",
            ));
        }
        skb.mark = word(bytes, SkbField::Mark);
        skb.priority = word(bytes, SkbField::Priority);
        skb.ingress = word(bytes, SkbField::IngressIfindex);
        skb.timestamp = u64::from_le_bytes(array(bytes, SkbField::Tstamp as usize));
        skb.cb = array(bytes, SkbField::Cb as usize);
        skb.wire_len = wire_len;
        skb.gso.segments = segments as u16;
        let gso_size = word(bytes, SkbField::GsoSize);
        skb.gso.size = gso_size as u16;
        skb.hardware_timestamp = u64::from_le_bytes(array(bytes, SkbField::Hwtstamp as usize));
        Ok(Self { wire_len, gso_size })
    }

    /// `convert_skb_to___skb`: what it does not write keeps its value.
    pub(super) fn write(&self, skb: &Skb) -> Vec<u8> {
        let mut bytes = vec![0; SKB_CONTEXT];
        let mut put = |at: SkbField, value: u32| {
            bytes[at as usize..at as usize + 4].copy_from_slice(&value.to_le_bytes());
        };
        put(SkbField::Mark, skb.mark);
        put(SkbField::Priority, skb.priority);
        put(SkbField::IngressIfindex, skb.ingress);
        put(SkbField::Ifindex, skb.ifindex);
        put(SkbField::WireLen, skb.wire_len);
        put(SkbField::GsoSegs, u32::from(skb.gso.segments));
        put(SkbField::GsoSize, self.gso_size);
        bytes[SkbField::Tstamp as usize..][..8].copy_from_slice(&skb.timestamp.to_le_bytes());
        bytes[SkbField::Hwtstamp as usize..][..8]
            .copy_from_slice(&skb.hardware_timestamp.to_le_bytes());
        bytes[SkbField::Cb as usize..][..20].copy_from_slice(&skb.cb);
        bytes
    }
}
