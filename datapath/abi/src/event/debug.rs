//! What a program is doing, when it is asked to tell.

use super::NotifyHead;
use crate::{records, sizes};

records! {
    /// A debug event (Cilium's `debug_msg`) as it stands in [`map::EVENTS`](crate::map::EVENTS). Its subtype
    /// is a [`DebugPoint`], which says what the arguments are.
    pub struct DebugNotify {
        /// What every record begins with.
        pub head: NotifyHead,
        /// First argument.
        pub arg1: u32,
        /// Second argument.
        pub arg2: u32,
        /// Third argument.
        pub arg3: u32,
    }
}

sizes!(DebugNotify = 20);

/// Defines [`DebugPoint`] from one table of number, name and words.
macro_rules! debug_points {
    ($($code:literal $name:ident $text:literal)+) => {
        /// What a debug event tells (Cilium's `DBG_*`, `bpf/lib/dbg.h`).
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        #[repr(u8)]
        pub enum DebugPoint {
            $(#[doc = concat!($text, ".")] $name = $code,)+
        }

        impl DebugPoint {
            /// The point with this number.
            pub const fn from_code(code: u8) -> Option<Self> {
                Some(match code {
                    $($code => Self::$name,)+
                    _ => return None,
                })
            }

            /// What it tells and what its arguments are.
            pub const fn text(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)+
                }
            }
        }
    };
}

debug_points! {
    2 LocalDelivery "delivery to a local endpoint: endpoint, sender's identity, device"
    3 Encap "encapsulation: tunnel endpoint's last four bytes, identity"
    5 PolicyDenied "policy denied: sender's identity, receiver's identity"
    8 CtMatch "conntrack entry found: lifetime, rev NAT index"
    15 CtVerdict "conntrack verdict: state, rev NAT index"
    16 Decap "decapsulation: identity in the tunnel key, VNI"
    19 ToHost "to the host: mark"
    20 ToStack "to the stack: mark"
    56 IdentityFailed4 "no identity for an IPv4 address: the address"
    57 IdentityFailed6 "no identity for an IPv6 address: its last four bytes"
    58 Identity4 "identity of an IPv4 address: the address, the identity"
    59 Identity6 "identity of an IPv6 address: its last four bytes, the identity"
}
