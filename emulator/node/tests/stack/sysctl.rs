//! Settings of the thread's namespace.

use std::fs;

use twinpath_node::{DeviceConfig, NodeConfig, RpFilter};

/// `net.*`, for the namespace that the thread is in.
pub fn set(name: &str, value: &str) {
    let path = format!("/proc/sys/net/{name}");
    fs::write(&path, value).unwrap_or_else(|error| panic!("{path} = {value}: {error}"));
}

/// No frames of the kernel's own accord, no limits of answers, and the kernel's defaults where a
/// machine may have others.
pub fn calm() {
    for scope in ["all", "default"] {
        for (name, value) in [
            ("forwarding", "0"),
            ("rp_filter", "0"),
            ("accept_local", "0"),
            ("route_localnet", "0"),
            ("arp_ignore", "0"),
            ("arp_announce", "0"),
            ("send_redirects", "0"),
        ] {
            set(&format!("ipv4/conf/{scope}/{name}"), value);
        }
        for (name, value) in [
            ("disable_ipv6", "1"),
            ("accept_dad", "0"),
            ("dad_transmits", "0"),
            ("addr_gen_mode", "1"),
            ("accept_ra", "0"),
            ("autoconf", "0"),
            ("router_solicitations", "0"),
            ("force_mld_version", "1"),
            ("mldv1_unsolicited_report_interval", "2147483647"),
            ("mldv2_unsolicited_report_interval", "2147483647"),
        ] {
            set(&format!("ipv6/conf/{scope}/{name}"), value);
        }
    }
    for family in ["ip", "ip6", "arp"] {
        let name = format!("bridge/bridge-nf-call-{family}tables");
        if std::path::Path::new("/proc/sys/net").join(&name).exists() {
            set(&name, "0");
        }
    }
    set("ipv4/icmp_ratelimit", "0");
    set("ipv4/icmp_ratemask", "0");
    set("ipv4/icmp_msgs_per_sec", "1000000");
    set("ipv4/icmp_msgs_burst", "1000000");
    set("ipv6/icmp/ratelimit", "0");
    set("ipv6/icmp/ratemask", "");
    set("ipv6/auto_flowlabels", "0");
}

/// What a description says of a node that has its devices.
pub fn node(config: &NodeConfig) {
    set("ipv4/ip_default_ttl", &config.settings.ttl.to_string());
    if config.settings.forward_ipv6 {
        set("ipv6/conf/all/forwarding", "1");
    }
}

/// What a description says of a device.
pub fn device(config: &DeviceConfig, timers: bool) {
    let flag = |on: bool| if on { "1" } else { "0" };
    let settings = &config.settings;
    let filter = match settings.rp_filter {
        RpFilter::Off => "0",
        RpFilter::Strict => "1",
        RpFilter::Loose => "2",
    };
    for (name, value) in [
        ("forwarding", flag(settings.forwarding)),
        ("rp_filter", filter),
        ("accept_local", flag(settings.accept_local)),
        ("route_localnet", flag(settings.route_localnet)),
        ("send_redirects", flag(settings.send_redirects)),
    ] {
        set(&format!("ipv4/conf/{}/{name}", config.name), value);
    }
    if !timers {
        // Neighbours that do not answer are not asked again while a test runs.
        for family in ["ipv4", "ipv6"] {
            let directory = format!("/proc/sys/net/{family}/neigh/{}", config.name);
            if !std::path::Path::new(&directory).exists() {
                // The device is too narrow for IPv6.
                continue;
            }
            for (name, value) in [
                ("retrans_time_ms", "600000"),
                ("delay_first_probe_time", "600"),
            ] {
                set(&format!("{family}/neigh/{}/{name}", config.name), value);
            }
        }
    }
    if config
        .addresses
        .iter()
        .any(|(address, _)| address.is_ipv6())
    {
        set(&format!("ipv6/conf/{}/disable_ipv6", config.name), "0");
    }
}
