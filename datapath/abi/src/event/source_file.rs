//! Which file of the programs decided.

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
    8 Conntrack "conntrack.rs"
    9 Admission "admission.rs"
    10 Fragment "fragment.rs"
    11 Icmp "icmp.rs"
    12 Neighbour "neighbour.rs"
    13 PolicyEgress "policy_egress.rs"
    14 PolicyIngress "policy_ingress.rs"
    15 Fate "fate.rs"
    16 Forward "forward.rs"
    17 Encap "encap.rs"
    18 Arrival "arrival.rs"
    19 Nat "nat.rs"
    20 Translate "translate.rs"
    21 Firewall "firewall.rs"
}
