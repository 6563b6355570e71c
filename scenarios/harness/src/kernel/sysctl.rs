//! Settings of a namespace that keep its devices quiet and its behaviour the same on each machine.

use std::fs;
use std::path::Path;

use twinpath_node::RpFilter;

use super::error::Error;
use crate::plan::{DevicePlan, NodePlan};

const NET: &str = "/proc/sys/net";

/// A new namespace takes its IPv4 settings from the initial one, where a distribution or an administrator may
/// have changed them. What a plan says of a device, it says for the device alone.
const IPV4: [(&str, &str); 9] = [
    ("forwarding", "0"),
    ("rp_filter", "0"),
    ("accept_local", "0"),
    ("route_localnet", "0"),
    ("arp_announce", "0"),
    ("arp_ignore", "0"),
    ("arp_notify", "0"),
    ("send_redirects", "0"),
    ("accept_redirects", "1"),
];

/// No frames of the kernel's own accord: no duplicate address detection, no router solicitations, no address
/// made up; multicast reports at once, when a group is joined, and then put off for as long as can be.
const IPV6: [(&str, &str); 11] = [
    ("disable_ipv6", "1"),
    ("accept_dad", "0"),
    ("dad_transmits", "0"),
    ("addr_gen_mode", "1"),
    ("accept_ra", "0"),
    ("autoconf", "0"),
    ("router_solicitations", "0"),
    ("forwarding", "0"),
    ("force_mld_version", "1"),
    ("mldv1_unsolicited_report_interval", "2147483647"),
    ("mldv2_unsolicited_report_interval", "2147483647"),
];

/// Rules for IP packets do not apply to what bridges pass on. Only a kernel that has such rules has these.
const BRIDGES: [&str; 3] = ["iptables", "ip6tables", "arptables"];

/// Calms the namespace that this thread is in. Devices made in it afterwards take after this.
///
/// # Errors
/// When `/proc/sys` cannot be written.
pub fn calm_namespace() -> Result<(), Error> {
    for scope in ["all", "default"] {
        apply("ipv4", scope, &IPV4)?;
        // A kernel may be built or started without IPv6, which is as quiet as can be.
        if has_ipv6() {
            apply("ipv6", scope, &IPV6)?;
        }
    }
    let bridges = Path::new(NET).join("bridge");
    let settings = BRIDGES.map(|rules| bridges.join(format!("bridge-nf-call-{rules}")));
    let mut settings = settings.iter().filter(|setting| setting.exists());
    settings.try_for_each(|setting| write(setting, "0"))
}

/// As many answers as there are questions, no flow labels out of a hash, and connections without options that depend on
/// the time or on the machine's memory, with one window: the largest that has no sign, out of room for far more. Who is
/// closed and hears nothing more gives up soon. Not each kernel has all of these for each namespace.
const ANSWERS: [(&str, &str); 18] = [
    ("ipv4/icmp_ratelimit", "0"),
    ("ipv4/icmp_ratemask", "0"),
    ("ipv4/icmp_msgs_per_sec", "1000000"),
    ("ipv4/icmp_msgs_burst", "1000000"),
    ("ipv6/icmp/ratelimit", "0"),
    ("ipv6/icmp/ratemask", ""),
    ("ipv6/auto_flowlabels", "0"),
    ("ipv4/tcp_timestamps", "0"),
    ("ipv4/tcp_sack", "0"),
    ("ipv4/tcp_window_scaling", "0"),
    ("ipv4/tcp_ecn", "0"),
    ("ipv4/tcp_synack_retries", "0"),
    ("ipv4/tcp_orphan_retries", "1"),
    ("ipv4/tcp_workaround_signed_windows", "1"),
    ("ipv4/tcp_rmem", "4096\t4194304\t6291456"),
    ("ipv4/tcp_moderate_rcvbuf", "0"),
    ("ipv4/tcp_autocorking", "0"),
    ("ipv4/tcp_invalid_ratelimit", "0"),
];

/// What a plan says of a node, whose devices are there. The thread is in the node's namespace.
///
/// # Errors
/// When `/proc/sys` cannot be written.
pub fn set_node(node: &NodePlan) -> Result<(), Error> {
    for (name, value) in ANSWERS {
        let path = Path::new(NET).join(name);
        if path.exists() {
            write(&path, value)?;
        }
    }
    let ttl = node.settings.ttl.to_string();
    write(&Path::new(NET).join("ipv4/ip_default_ttl"), &ttl)?;
    for device in &node.devices {
        set_device(device)?;
    }
    if node.settings.forward_ipv6 {
        set("ipv6", "all", "forwarding", "1")?;
    }
    Ok(())
}

fn set_device(device: &DevicePlan) -> Result<(), Error> {
    let flag = |on: bool| if on { "1" } else { "0" };
    let settings = &device.settings;
    let name = device.name.as_str();
    let filter = match settings.rp_filter {
        RpFilter::Off => "0",
        RpFilter::Strict => "1",
        RpFilter::Loose => "2",
    };
    for (key, value) in [
        ("forwarding", flag(settings.forwarding)),
        ("rp_filter", filter),
        ("accept_local", flag(settings.accept_local)),
        ("route_localnet", flag(settings.route_localnet)),
        ("send_redirects", flag(settings.send_redirects)),
    ] {
        set("ipv4", name, key, value)?;
    }
    // A neighbour that does not answer is not asked again while a packet is on its way.
    for family in ["ipv4", "ipv6"] {
        let directory = Path::new(NET).join(family).join("neigh").join(name);
        // A narrow device has no IPv6.
        if directory.exists() {
            write(&directory.join("retrans_time_ms"), "600000")?;
            write(&directory.join("delay_first_probe_time"), "600")?;
        }
    }
    let mut addresses = device.addresses.iter();
    if addresses.any(|address| address.addr().is_ipv6()) {
        allow_ipv6(name)?;
    }
    Ok(())
}

/// Lets a device of the namespace that this thread is in have IPv6 addresses.
///
/// # Errors
/// When the kernel has no IPv6.
pub fn allow_ipv6(device: &str) -> Result<(), Error> {
    set("ipv6", device, "disable_ipv6", "0")
}

fn has_ipv6() -> bool {
    Path::new(NET).join("ipv6/conf").exists()
}

fn apply(family: &str, scope: &str, settings: &[(&str, &str)]) -> Result<(), Error> {
    settings
        .iter()
        .try_for_each(|(name, value)| set(family, scope, name, value))
}

fn set(family: &str, scope: &str, name: &str, value: &str) -> Result<(), Error> {
    let path = Path::new(NET)
        .join(family)
        .join("conf")
        .join(scope)
        .join(name);
    write(&path, value)
}

fn write(path: &Path, value: &str) -> Result<(), Error> {
    // Writing notifies, which takes a lock that all namespaces share.
    if fs::read_to_string(path).is_ok_and(|current| current.trim() == value) {
        return Ok(());
    }
    fs::write(path, value).map_err(Error::system(format!("set {} to {value}", path.display())))
}
