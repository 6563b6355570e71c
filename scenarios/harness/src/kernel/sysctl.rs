//! Settings of a namespace that keep its devices quiet and its behaviour the same on each machine.

use std::fs;
use std::path::Path;

use super::error::Error;

const NET: &str = "/proc/sys/net";

/// A new namespace takes its IPv4 settings from the initial one, where a distribution or an administrator may
/// have changed them. These are the kernel's own defaults.
const IPV4: [(&str, &str); 9] = [
    ("forwarding", "0"),
    ("rp_filter", "0"),
    ("accept_local", "0"),
    ("route_localnet", "0"),
    ("arp_announce", "0"),
    ("arp_ignore", "0"),
    ("arp_notify", "0"),
    ("send_redirects", "1"),
    ("accept_redirects", "1"),
];

/// No frames of the kernel's own accord: no duplicate address detection, no router solicitations, no address
/// made up, and multicast reports put off for as long as can be.
const IPV6: [(&str, &str); 10] = [
    ("disable_ipv6", "1"),
    ("accept_dad", "0"),
    ("dad_transmits", "0"),
    ("addr_gen_mode", "1"),
    ("accept_ra", "0"),
    ("autoconf", "0"),
    ("router_solicitations", "0"),
    ("forwarding", "0"),
    ("mldv1_unsolicited_report_interval", "2147483647"),
    ("mldv2_unsolicited_report_interval", "2147483647"),
];

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
    // Writing notifies, which takes a lock that all namespaces share.
    if fs::read_to_string(&path).is_ok_and(|current| current.trim() == value) {
        return Ok(());
    }
    fs::write(&path, value).map_err(Error::system(format!("set {} to {value}", path.display())))
}
