//! Why a packet was dropped: Cilium's numbers and words (`bpf/lib/drop_reasons.h`,
//! `pkg/monitor/api/drop.go`), so that its users know them at once.

/// Defines [`DropReason`] from one table of number, name and words.
macro_rules! drop_reasons {
    ($($code:literal $name:ident $text:literal)+) => {
        /// Why a packet was dropped. The number is what events and metrics carry.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum DropReason {
            $(#[doc = concat!($text, ".")] $name = $code,)+
        }

        impl DropReason {
            /// All reasons, in the order of their numbers.
            pub const ALL: &'static [Self] = &[$(Self::$name,)+];

            /// The reason with this number.
            pub const fn from_code(code: u8) -> Option<Self> {
                Some(match code {
                    $($code => Self::$name,)+
                    _ => return None,
                })
            }

            /// The number.
            pub const fn code(self) -> u8 {
                self as u8
            }

            /// The words that Cilium prints.
            pub const fn text(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)+
                }
            }
        }
    };
}

drop_reasons! {
    130 InvalidSourceMac "Invalid source mac"
    131 InvalidDestinationMac "Invalid destination mac"
    132 InvalidSourceIp "Invalid source ip"
    133 PolicyDenied "Policy denied"
    134 InvalidPacket "Invalid packet"
    135 CtInvalidHeader "CT: Truncated or invalid header"
    136 FragmentationNeeded "Fragmentation needed"
    137 CtUnknownProtocol "CT: Unknown L4 protocol"
    139 UnsupportedL3 "Unsupported L3 protocol"
    140 MissedTailCall "Missed tail call"
    141 WriteError "Error writing to packet"
    142 UnknownL4 "Unknown L4 protocol"
    143 UnknownIcmp4Code "Unknown ICMPv4 code"
    144 UnknownIcmp4Type "Unknown ICMPv4 type"
    145 UnknownIcmp6Code "Unknown ICMPv6 code"
    146 UnknownIcmp6Type "Unknown ICMPv6 type"
    147 NoTunnelKey "Error retrieving tunnel key"
    150 UnknownTarget "Unknown L3 target address"
    151 Unroutable "Stale or unroutable IP"
    153 ChecksumL3 "Error while correcting L3 checksum"
    154 ChecksumL4 "Error while correcting L4 checksum"
    155 CtCreateFailed "CT: Map insertion failed"
    156 InvalidExtensionHeader "Invalid IPv6 extension header"
    157 FragmentNotSupported "IP fragmentation not supported"
    158 NoService "Service backend not found"
    159 UnsupportedServiceProtocol "Unsupported service protocol"
    160 NoTunnelEndpoint "No tunnel/encapsulation endpoint (datapath BUG!)"
    161 Nat46x64Disabled "NAT 46/64 not enabled"
    162 EdtHorizon "Reached EDT rate-limiting drop horizon"
    163 UnknownCt "Unknown connection tracking state"
    164 HostUnreachable "Local host is unreachable"
    165 NoConfig "No configuration available to perform policy decision"
    166 UnsupportedL2 "Unsupported L2 protocol"
    167 NatNoMapping "No mapping for NAT masquerade"
    168 NatUnsupportedProtocol "Unsupported protocol for NAT masquerade"
    169 NoFib "FIB lookup failed"
    170 EncapsulationProhibited "Encapsulation traffic is prohibited"
    171 InvalidIdentity "Invalid identity"
    172 UnknownSender "Unknown sender"
    173 NatNotNeeded "NAT not needed"
    174 IsClusterIp "Is a ClusterIP"
    175 FragmentNotFound "First logical datagram fragment not found"
    176 ForbiddenIcmp6 "Forbidden ICMPv6 message"
    177 NotInSourceRange "Denied by LB src range check"
    178 ProxyLookupFailed "Socket lookup failed"
    179 ProxySetFailed "Socket assign failed"
    180 ProxyUnknownProtocol "Proxy redirection not supported for protocol"
    181 PolicyDeny "Policy denied by denylist"
    182 VlanFiltered "VLAN traffic disallowed by VLAN filter"
    183 InvalidVni "Incorrect VNI from VTEP"
    184 InvalidTcBuffer "Failed to update or lookup TC buffer"
    185 NoSid "No SID was found for the IP address"
    187 Nat46 "L3 translation from IPv4 to IPv6 failed (NAT46)"
    188 Nat64 "L3 translation from IPv6 to IPv4 failed (NAT64)"
    189 AuthRequired "Authentication required"
    190 CtNoMap "No conntrack map found"
    191 SnatNoMap "No nat map found"
    192 InvalidClusterId "Invalid ClusterID"
    193 DsrEncapUnsupportedProtocol "Unsupported packet protocol for DSR encapsulation"
    194 NoEgressGateway "No egress gateway found"
    195 Unencrypted "Traffic is unencrypted"
    196 TtlExceeded "TTL exceeded"
    197 NoNodeId "No node ID found"
    198 RateLimited "Rate limited"
    199 IgmpHandled "IGMP handled"
    200 IgmpSubscribed "IGMP subscribed"
    201 MulticastHandled "Multicast handled"
    202 HostNotReady "Host datapath not ready"
    203 EndpointNotReady "Endpoint policy program not available"
    204 NoEgressIp "No Egress IP configured"
    205 PuntToProxy "Punt to proxy"
    206 NoDevice "No device"
}

/// Why a packet went on; below 130, where the drop reasons begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum ForwardReason {
    /// Nothing to say (Cilium's `REASON_FORWARDED`).
    Forwarded = 0,
}

impl core::fmt::Display for DropReason {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.pad(self.text())
    }
}

/// A [`DropReason`] or [`ForwardReason`] in words.
pub const fn reason_text(code: u8) -> Option<&'static str> {
    if code == ForwardReason::Forwarded as u8 {
        return Some("Success");
    }
    match DropReason::from_code(code) {
        Some(reason) => Some(reason.text()),
        None => None,
    }
}
