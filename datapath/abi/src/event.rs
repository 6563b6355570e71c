//! Records in the ring buffer, laid out as Cilium's monitor has them.

use crate::{EndpointId, Identity, Ifindex, records, sizes};

/// How many bytes of a packet a record holds at most (Cilium's `TRACE_PAYLOAD_LEN`).
pub const CAPTURE_LEN: usize = 128;

records! {
    /// Head of a drop event (Cilium's `drop_notify`, with the time where it has a trace id).
    pub struct DropNotify {
        /// A [`NotifyType`].
        pub r#type: u8,
        /// A [`DropReason`](crate::DropReason).
        pub subtype: u8,
        /// The endpoint that the event is about: the sender, or 0.
        pub source: EndpointId,
        /// Hash of the flow; 0 if the packet could not be read so far.
        pub hash: u32,
        /// Length of the packet, in bytes.
        pub len_orig: u32,
        /// How much of it follows, in bytes: at most [`CAPTURE_LEN`].
        pub len_cap: u16,
        /// [`DropNotify::VERSION`].
        pub version: u8,
        /// Always 0.
        pub ext_version: u8,
        /// Identity of the sender.
        pub src_label: Identity,
        /// Identity of the receiver.
        pub dst_label: Identity,
        /// The endpoint that the packet was for; 0 if none is known.
        pub dst_id: u32,
        /// Line of the source file that dropped the packet.
        pub line: u16,
        /// A [`SourceFile`].
        pub file: u8,
        /// Error of a helper, if one made the program drop.
        pub ext_error: i8,
        /// The device that the packet came in by.
        pub ifindex: Ifindex,
        /// [`NotifyFlags`].
        pub flags: NotifyFlags,
        /// Always 0.
        pub reserved: u8,
        /// Always 0.
        pub reserved2: u16,
        /// When, in nanoseconds of `CLOCK_MONOTONIC`.
        pub timestamp: u64,
    }

    /// Flags of a [`DropNotify`].
    #[derive(Default)]
    pub struct NotifyFlags(pub u8);

    /// A drop event as it stands in [`map::EVENTS`](crate::map::EVENTS).
    pub struct DropRecord {
        /// What happened.
        pub notify: DropNotify,
        /// The head of the packet, as it came in; zero after `len_cap` bytes.
        pub payload: [u8; CAPTURE_LEN],
    }
}

sizes!(DropNotify = 48, DropRecord = 176);

/// The first byte of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum NotifyType {
    /// A packet was dropped; the record is a [`DropRecord`].
    Drop = 1,
}

impl NotifyFlags {
    /// The packet is IPv6.
    pub const IS_IPV6: Self = Self(1);
}

impl DropNotify {
    /// The version of this layout.
    pub const VERSION: u8 = 3;
}

impl DropRecord {
    /// The captured head of the packet.
    pub fn captured(&self) -> &[u8] {
        let len = usize::from(self.notify.len_cap).min(CAPTURE_LEN);
        self.payload.split_at(len).0
    }
}

/// Defines [`SourceFile`] from one table of number, name and path.
macro_rules! source_files {
    ($($code:literal $name:ident $file:literal)+) => {
        /// The file of the datapath that a drop comes from.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        #[repr(u8)]
        pub enum SourceFile {
            $(#[doc = concat!("`", $file, "`.")] $name = $code,)+
        }

        impl SourceFile {
            /// The file with this number.
            pub const fn from_code(code: u8) -> Option<Self> {
                Some(match code {
                    $($code => Self::$name,)+
                    _ => return None,
                })
            }

            /// The file's name below `datapath/ebpf/src`.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$name => $file,)+
                }
            }
        }
    };
}

source_files! {
    1 XdpEntry "xdp_entry.rs"
    2 FromContainer "from_container.rs"
    3 Parse "parse.rs"
    4 Prefilter "prefilter.rs"
    5 Service "service.rs"
    6 Endpoint "endpoint.rs"
    7 L3 "l3.rs"
}
