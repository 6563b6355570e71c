//! What redirect helpers prepare and verdicts carry out (`struct bpf_redirect_info`).

use twinpath_machine::{MapId, MapType};

/// The target that the last redirect helper named.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct RedirectInfo {
    /// The index of a device, or the key of a map's entry.
    pub(crate) index: u32,
    /// How a tc program's packet gets there.
    pub(crate) skb: SkbTarget,
    /// What kind of target an XDP program's packet has.
    pub(crate) xdp: XdpTarget,
}

/// How a tc program's packet gets to the device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum SkbTarget {
    /// The device sends it.
    #[default]
    Egress,
    /// The device receives it.
    Ingress,
}

/// What kind of target an XDP program's packet has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum XdpTarget {
    /// No helper named one.
    #[default]
    None,
    /// The device of the index.
    Device,
    /// An entry of a map, whose value is at a guest address.
    Entry { kind: MapType, value: u32 },
    /// All entries of a map.
    Broadcast { map: MapId, exclude_ingress: bool },
}
