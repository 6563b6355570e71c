//! Names and sizes of the maps. The table on the crate's front page gives their keys and values.

/// Endpoints by address.
pub const LXC: &str = "lxc";
/// Endpoints by the device that they send through.
pub const LXC_DEVICE: &str = "lxc_device";
/// The CIDR deny list, matched against source addresses.
pub const PREFILTER: &str = "prefilter";
/// Identities and tunnel endpoints by address (Cilium's `ipcache`).
pub const IPCACHE: &str = "ipcache";
/// Policies of all endpoints.
pub const POLICY: &str = "policy";
/// Connections.
pub const CT: &str = "ct";
/// Translations of what is masqueraded.
pub const SNAT: &str = "snat";
/// Destinations that are not masqueraded.
pub const IPMASQ: &str = "ipmasq";
/// Ports of packets that come in fragments.
pub const FRAGMENTS: &str = "fragments";
/// Programs for tail calls; the object itself fills it.
pub const CALLS: &str = "calls";
/// Services by virtual IP, port and protocol.
pub const LB_SERVICES: &str = "lb_services";
/// Backends by number.
pub const LB_BACKENDS: &str = "lb_backends";
/// Maglev tables by service number.
pub const LB_MAGLEV: &str = "lb_maglev";
/// Packets and bytes by verdict and reason.
pub const METRICS: &str = "metrics";
/// Events for user space.
pub const EVENTS: &str = "events";
/// Values that the programs take in place of the kernel's clock and randomness.
pub const SEAMS: &str = "seams";

/// How many entries each map holds at most.
pub mod max_entries {
    /// [`super::LXC`].
    pub const LXC: usize = 4096;
    /// [`super::LXC_DEVICE`].
    pub const LXC_DEVICE: usize = 2048;
    /// [`super::PREFILTER`].
    pub const PREFILTER: usize = 16384;
    /// [`super::IPCACHE`].
    pub const IPCACHE: usize = 65536;
    /// [`super::POLICY`].
    pub const POLICY: usize = 65536;
    /// [`super::CT`].
    pub const CT: usize = 65536;
    /// [`super::SNAT`].
    pub const SNAT: usize = 65536;
    /// [`super::IPMASQ`].
    pub const IPMASQ: usize = 1024;
    /// [`super::FRAGMENTS`].
    pub const FRAGMENTS: usize = 8192;
    /// [`super::LB_SERVICES`].
    pub const LB_SERVICES: usize = 4096;
    /// [`super::LB_BACKENDS`].
    pub const LB_BACKENDS: usize = 4096;
    /// [`super::LB_MAGLEV`].
    pub const LB_MAGLEV: usize = 1024;
    /// [`super::METRICS`].
    pub const METRICS: usize = 1024;
    /// [`super::EVENTS`], in bytes.
    pub const EVENTS: usize = 1 << 20;
}
