//! A network in the kernel: namespaces that only descriptors hold, joined by veth pairs.

use std::fs::File;
use std::future::Future;
use std::net::IpAddr;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::time::{Duration, Instant};

use futures::TryStreamExt;
use nix::sched::{CloneFlags, CpuSet, sched_setaffinity, setns, unshare};
use nix::unistd::Pid;
use rtnetlink::packet_route::link::{
    InfoBridge, InfoData, InfoKind, InfoVeth, InfoVxlan, LinkAttribute, State,
};
use rtnetlink::packet_route::neighbour::NeighbourFlags;
use rtnetlink::packet_route::route::{RouteAttribute, RouteMetric, RouteType};
use rtnetlink::packet_route::rule::{RuleAction as Action, RuleAttribute};
use rtnetlink::{
    Handle, LinkBridge, LinkDummy, LinkMessageBuilder, LinkUnspec, LinkVeth, LinkVxlan,
    RouteMessageBuilder,
};
use twinpath_node::{
    DeviceConfig, DeviceKind, NodeConfig, RouteConfig, RouteKind, RuleAction, RuleConfig,
    VxlanConfig, VxlanDf,
};

use super::net::{Network, Port, Seen, Stimulus};
use super::packet_socket::PacketSocket;
use super::programs::Attachment;
use super::sysctl;
use twinpath_bpf::{Program, ProgramSource, link};
use twinpath_machine::isa::encode;

const LOOPBACK: u32 = 1;
/// IEEE 802 "local experimental 1".
const BARRIER: u16 = 0x88b5;

pub struct Kernel {
    outside: File,
    /// Held so that they live.
    nodes: Vec<File>,
    switches: Vec<File>,
    edges: Vec<(Port, PacketSocket)>,
    barrier: PacketSocket,
    /// Held so that the programs stay where they are.
    _links: Vec<OwnedFd>,
    number: u64,
}

/// Runs something in a thread that may wander between namespaces, on one CPU.
pub fn in_thread<T: Send>(act: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            let mut cpus = CpuSet::new();
            cpus.set(0).unwrap();
            // A machine without a CPU 0 for us has another; all work then moves about more freely.
            let _ = sched_setaffinity(Pid::from_raw(0), &cpus);
            act()
        });
        thread
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// Whether a test must be skipped; says why.
pub fn skip(test: &str) -> bool {
    let reason = in_thread(|| unshare(CloneFlags::CLONE_NEWNET).err());
    let required = std::env::var_os("TWINPATH_KERNEL").is_some_and(|value| value == "require");
    match reason {
        Some(reason) if required => panic!("TWINPATH_KERNEL=require, and no namespaces: {reason}"),
        Some(reason) => {
            eprintln!("{test}: skipped, no network namespaces: {reason}");
            true
        }
        None => false,
    }
}

fn new_namespace() -> File {
    unshare(CloneFlags::CLONE_NEWNET).unwrap();
    sysctl::calm();
    File::open("/proc/thread-self/ns/net").unwrap()
}

fn enter(namespace: &File) {
    setns(namespace, CloneFlags::CLONE_NEWNET).unwrap();
}

/// Asks the kernel of the namespace that the thread is in.
fn ask<F: Future<Output = Result<(), rtnetlink::Error>>>(
    what: &str,
    request: impl FnOnce(Handle) -> F,
) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let result = runtime.block_on(async {
        let (connection, handle, _) = rtnetlink::new_connection().unwrap();
        let task = tokio::spawn(connection);
        let result = request(handle).await;
        task.abort();
        result
    });
    result.unwrap_or_else(|error| panic!("{what}: {error}"));
}

impl Kernel {
    /// Builds a network. The thread is in its outer namespace afterwards.
    pub fn build(network: &Network) -> Self {
        let outside = new_namespace();
        up(LOOPBACK);
        let nodes: Vec<File> = network.nodes.iter().map(|_| new_namespace()).collect();
        let switches: Vec<File> = network.segments.iter().map(|_| new_switch()).collect();
        for (number, config) in network.nodes.iter().enumerate() {
            enter(&nodes[number]);
            if config.settings.loopback {
                sysctl::set("ipv6/conf/lo/disable_ipv6", "0");
                up(LOOPBACK);
            }
            for (device, config) in config.devices.iter().enumerate() {
                let port = Port {
                    node: number,
                    device,
                };
                add_device(network, (&nodes, &switches, &outside), port, config);
            }
        }
        for (segment, switch) in network.segments.iter().zip(&switches) {
            enter(switch);
            for port in segment {
                join(outer_index(*port), SWITCH);
                up(outer_index(*port));
            }
        }
        let mut edges = Vec::new();
        enter(&outside);
        for port in network.edges() {
            up(outer_index(port));
            let socket = PacketSocket::open(libc::ETH_P_ALL as u16, outer_index(port)).unwrap();
            edges.push((port, socket));
        }
        for (number, config) in network.nodes.iter().enumerate() {
            enter(&nodes[number]);
            bring_up(config, network.timers);
        }
        for (number, config) in network.nodes.iter().enumerate() {
            enter(&nodes[number]);
            address(config);
            for device in &config.devices {
                if matches!(device.kind, DeviceKind::Veth | DeviceKind::Bridge(_)) {
                    wait_for_carrier(device.ifindex.get());
                }
            }
        }
        enter(&outside);
        for (port, _) in &edges {
            wait_for_carrier(outer_index(*port));
        }
        for (segment, switch) in network.segments.iter().zip(&switches) {
            enter(switch);
            for port in segment {
                wait_for_carrier(outer_index(*port));
            }
        }
        let links = network.programs.iter().map(|attachment| {
            enter(&nodes[attachment.port.node]);
            attach(network, attachment)
        });
        let links = links.collect();
        enter(&outside);
        let barrier = PacketSocket::open(BARRIER, LOOPBACK).unwrap();
        let mut kernel = Self {
            outside,
            nodes,
            switches,
            edges,
            barrier,
            _links: links,
            number: 0,
        };
        kernel.collect();
        kernel.forget(network);
        kernel
    }

    /// What bridges have learned of the kernel's own frames belongs to no stimulus.
    fn forget(&self, network: &Network) {
        for (config, node) in network.nodes.iter().zip(&self.nodes) {
            enter(node);
            let bridges = config.devices.iter();
            let bridges = bridges.filter(|device| matches!(device.kind, DeviceKind::Bridge(_)));
            bridges.for_each(|bridge| forget(bridge.ifindex.get()));
        }
        for switch in &self.switches {
            enter(switch);
            forget(SWITCH);
        }
        enter(&self.outside);
    }

    /// Sends something in, and takes what comes out until nothing more does.
    pub fn step(&mut self, stimulus: &Stimulus) -> Seen {
        enter(&self.outside);
        match stimulus {
            Stimulus::Frame(port, frame) => self.socket(*port).send(frame, None).unwrap(),
            Stimulus::Offloaded(port, frame, start, offset) => {
                let socket = self.socket(*port);
                socket.send(frame, Some((*start, *offset))).unwrap();
            }
            Stimulus::Wait(milliseconds) => {
                std::thread::sleep(Duration::from_millis(*milliseconds));
            }
        }
        self.collect()
    }

    fn socket(&self, port: Port) -> &PacketSocket {
        let edge = self.edges.iter().find(|(edge, _)| *edge == port);
        &edge.unwrap_or_else(|| panic!("{port:?} is no edge")).1
    }

    /// What came out, until two barriers have passed through the CPU's backlog without anything new.
    fn collect(&mut self) -> Seen {
        let mut seen = Vec::new();
        let mut silent = 0;
        while silent < 2 {
            self.pass_barrier();
            self.pass_barrier();
            silent += 1;
            for (port, socket) in &self.edges {
                while let Some(frame) = socket.receive().unwrap() {
                    silent = 0;
                    if !super::canonical::is_unsolicited(&frame) {
                        seen.push((*port, frame));
                    }
                }
            }
        }
        seen
    }

    fn pass_barrier(&mut self) {
        self.number += 1;
        let mut frame = [0; 22];
        frame[12..14].copy_from_slice(&BARRIER.to_be_bytes());
        frame[14..].copy_from_slice(&self.number.to_ne_bytes());
        self.barrier.send(&frame, None).unwrap();
        let started = Instant::now();
        while self
            .barrier
            .receive()
            .unwrap()
            .is_none_or(|back| back != frame)
        {
            assert!(
                started.elapsed() < Duration::from_secs(10),
                "a barrier is lost"
            );
            std::thread::yield_now();
        }
    }
}

/// Attaches a program in the thread's namespace, until the descriptor is closed.
fn attach(network: &Network, attachment: &Attachment) -> OwnedFd {
    let insns = encode(&attachment.instructions());
    let (attach_type, flags) = attachment.kernel_hook();
    let source = ProgramSource::new("case", attachment.program_type() as u32, &insns);
    let program = Program::load(&source);
    let program = program.unwrap_or_else(|refusal| panic!("{attachment:?}: {refusal:?}"));
    let port = attachment.port;
    let ifindex = network.nodes[port.node].devices[port.device].ifindex.get();
    link(program.as_fd(), ifindex, attach_type, flags)
        .unwrap_or_else(|error| panic!("{attachment:?}: {error}"))
}

/// The index of an edge's far end in the outer namespace.
fn outer_index(port: Port) -> u32 {
    1000 + 100 * port.node as u32 + port.device as u32
}

fn up(ifindex: u32) {
    ask(&format!("bring {ifindex} up"), |handle| async move {
        let message = LinkUnspec::new_with_index(ifindex).up().build();
        handle.link().set(message).execute().await
    });
}

/// The index of the bridge in the namespace of a switch.
const SWITCH: u32 = 2;

/// A namespace with a bridge.
fn new_switch() -> File {
    let namespace = new_namespace();
    add_bridge("switch", SWITCH, &[2, 0xfd, 0, 0, 0, 0]);
    up(SWITCH);
    namespace
}

fn add_bridge(name: &str, index: u32, mac: &[u8]) {
    let message = LinkMessageBuilder::<LinkBridge>::new(name)
        .index(index)
        .address(mac.to_vec())
        .mcast_snooping(false)
        .build();
    ask(&format!("make {name}"), |handle| async move {
        handle.link().add(message).execute().await
    });
}

/// Makes a device a port of a bridge.
fn join(port: u32, bridge: u32) {
    let message = LinkUnspec::new_with_index(port).controller(bridge).build();
    ask(&format!("join {port} to {bridge}"), |handle| async move {
        handle.link().set(message).execute().await
    });
}

/// Gives a bridge the MTU that it is to have, which otherwise follows those of its ports.
fn widen(bridge: &DeviceConfig) {
    let (index, mtu) = (bridge.ifindex.get(), bridge.mtu);
    let message = LinkUnspec::new_with_index(index).mtu(mtu).build();
    ask(&format!("widen {index}"), |handle| async move {
        handle.link().set(message).execute().await
    });
}

/// Has a bridge forget what it has learned.
fn forget(bridge: u32) {
    let flush = InfoData::Bridge(vec![InfoBridge::FdbFlush]);
    let message = LinkMessageBuilder::<LinkUnspec>::new_with_info_kind(InfoKind::Bridge)
        .index(bridge)
        .set_info_data(flush)
        .build();
    ask(&format!("have {bridge} forget"), |handle| async move {
        handle.link().change(message).execute().await
    });
}

/// Returns when a device that is up sends what it is given: until a work queue has seen its other end come up, it drops it.
fn wait_for_carrier(ifindex: u32) {
    let started = Instant::now();
    ask(&format!("wait for {ifindex}"), |handle| async move {
        loop {
            let mut found = handle.link().get().match_index(ifindex).execute();
            let attributes = found.try_next().await?.map(|link| link.attributes);
            let up = LinkAttribute::OperState(State::Up);
            if attributes.is_some_and(|attributes| attributes.contains(&up)) {
                return Ok(());
            }
            let limit = Duration::from_secs(10);
            assert!(started.elapsed() < limit, "{ifindex} does not come up");
            tokio::task::yield_now().await;
        }
    });
}

/// Makes a device; of a wire both ends, when this is the first.
fn add_device(
    network: &Network,
    (nodes, switches, outside): (&[File], &[File], &File),
    port: Port,
    config: &DeviceConfig,
) {
    let what = format!("make {} of node {}", config.name, port.node);
    match &config.kind {
        DeviceKind::Veth => {}
        DeviceKind::Dummy => {
            let message = LinkDummy::new(&config.name)
                .index(config.ifindex.get())
                .address(config.mac.0.to_vec())
                .mtu(config.mtu)
                .build();
            ask(&what, |handle| async move {
                handle.link().add(message).execute().await
            });
            return;
        }
        DeviceKind::Vxlan(vxlan) => {
            add_vxlan(config, vxlan);
            return;
        }
        DeviceKind::Ipip(_) => unreachable!("not each kernel has these: scenarios hold them"),
        DeviceKind::Bridge(_) => {
            add_bridge(&config.name, config.ifindex.get(), &config.mac.0);
            return;
        }
    }
    let wire = network.wires.iter().find(|(a, b)| *a == port || *b == port);
    let mut segments = network.segments.iter();
    let segment = segments.position(|segment| segment.contains(&port));
    let peer = LinkMessageBuilder::<LinkUnspec>::default();
    let peer = match wire {
        Some((_, b)) if *b == port => return,
        Some((_, b)) => {
            let far = &network.nodes[b.node].devices[b.device];
            peer.name(&far.name)
                .index(far.ifindex.get())
                .address(far.mac.0.to_vec())
                .mtu(far.mtu)
                .setns_by_fd(nodes[b.node].as_raw_fd())
        }
        None => peer
            .name(format!("n{}d{}", port.node, port.device))
            .index(outer_index(port))
            .mtu(config.mtu)
            .setns_by_fd(
                segment
                    .map_or(outside, |place| &switches[place])
                    .as_raw_fd(),
            ),
    };
    let message = LinkMessageBuilder::<LinkVeth>::new_with_info_kind(InfoKind::Veth)
        .name(&config.name)
        .index(config.ifindex.get())
        .address(config.mac.0.to_vec())
        .mtu(config.mtu)
        .set_info_data(InfoData::Veth(InfoVeth::Peer(peer.build())))
        .build();
    ask(&what, |handle| async move {
        handle.link().add(message).execute().await
    });
}

fn add_vxlan(config: &DeviceConfig, vxlan: &VxlanConfig) {
    let mut link = LinkVxlan::new(&config.name, vxlan.vni.unwrap_or(0))
        .index(config.ifindex.get())
        .address(config.mac.0.to_vec())
        .mtu(config.mtu)
        .port(vxlan.port)
        .learning(vxlan.learning)
        .ttl(vxlan.ttl)
        .tos(vxlan.tos)
        .udp_csum(vxlan.checksum);
    link = match vxlan.dont_fragment {
        VxlanDf::Unset => link,
        VxlanDf::Set => {
            link.append_info_data(InfoVxlan::Df(rtnetlink::packet_route::link::VxlanDf::Set))
        }
        VxlanDf::Inherit => link.append_info_data(InfoVxlan::Df(
            rtnetlink::packet_route::link::VxlanDf::Inherit,
        )),
    };
    if vxlan.vni.is_none() {
        link = link.collect_metadata(true).learning(false);
    }
    link = match vxlan.remote {
        Some(IpAddr::V4(remote)) => link.remote(remote),
        Some(IpAddr::V6(remote)) => link.remote6(remote),
        None => link,
    };
    link = match vxlan.local {
        Some(IpAddr::V4(local)) => link.local(local),
        Some(IpAddr::V6(local)) => link.local6(local),
        None => link,
    };
    let message = link.build();
    ask(&format!("make {}", config.name), |handle| async move {
        handle.link().add(message).execute().await
    });
    let index = config.ifindex.get();
    for (mac, end) in &vxlan.fdb {
        let (mac, end) = (*mac, *end);
        ask(
            &format!("add station {mac} at {end}"),
            |handle| async move {
                let neighbours = handle.neighbours();
                let request = neighbours.add_bridge(index, &mac.0).destination(end);
                request.flags(NeighbourFlags::Own).execute().await
            },
        );
    }
}

fn bring_up(config: &NodeConfig, timers: bool) {
    for device in &config.devices {
        if let DeviceKind::Bridge(bridge) = &device.kind {
            for port in &bridge.ports {
                join(index_of(config, port), device.ifindex.get());
            }
            widen(device);
        }
    }
    for device in &config.devices {
        sysctl::device(device, timers);
        up(device.ifindex.get());
    }
    sysctl::node(config);
}

/// Addresses, routes, rules and neighbours of a node.
fn address(config: &NodeConfig) {
    for device in &config.devices {
        for (address, prefix) in &device.addresses {
            let (index, address, prefix) = (device.ifindex.get(), *address, *prefix);
            ask(
                &format!("add {address}/{prefix} to {}", device.name),
                |handle| async move { handle.address().add(index, address, prefix).execute().await },
            );
        }
    }
    wait_for_addresses(config);
    for neighbour in &config.neighbours {
        let index = index_of(config, &neighbour.device);
        let (address, mac) = (neighbour.address, neighbour.mac);
        ask(&format!("add neighbour {address}"), |handle| async move {
            let request = handle.neighbours().add(index, address);
            // A frame of the kernel's own may have asked for it already.
            let request = request.link_layer_address(&mac.0).replace();
            request.execute().await
        });
    }
    for route in &config.routes {
        add_route(config, route);
    }
    for rule in &config.rules {
        add_rule(rule);
    }
}

/// Waits until each IPv6 address has its local route: that is there once the link is.
fn wait_for_addresses(config: &NodeConfig) {
    const RTF_LOCAL: u32 = 0x8000_0000;
    let addresses = config.devices.iter().flat_map(|device| &device.addresses);
    for (address, _) in addresses {
        let IpAddr::V6(address) = address else {
            continue;
        };
        let wanted = format!("{:032x} 80 ", address.to_bits());
        let is_there = || {
            let routes = std::fs::read_to_string("/proc/thread-self/net/ipv6_route").unwrap();
            let mut found = routes.lines().filter(|line| line.starts_with(&wanted));
            found.any(|line| {
                let flags = line.split_whitespace().nth(8).unwrap();
                u32::from_str_radix(flags, 16).unwrap() & RTF_LOCAL != 0
            })
        };
        let started = Instant::now();
        while !is_there() {
            assert!(
                started.elapsed() < Duration::from_secs(10),
                "{address} does not come up"
            );
            std::thread::yield_now();
        }
    }
}

fn index_of(config: &NodeConfig, name: &str) -> u32 {
    let mut devices = config.devices.iter();
    let device = devices.find(|device| device.name == name);
    device.map_or(LOOPBACK, |device| device.ifindex.get())
}

fn add_route(config: &NodeConfig, route: &RouteConfig) {
    let kind = match route.kind {
        RouteKind::Unicast => RouteType::Unicast,
        RouteKind::Local => RouteType::Local,
        RouteKind::Anycast => RouteType::Anycast,
        RouteKind::Broadcast => RouteType::Broadcast,
        RouteKind::Multicast => RouteType::Multicast,
        RouteKind::Blackhole => RouteType::BlackHole,
        RouteKind::Unreachable => RouteType::Unreachable,
        RouteKind::Prohibit => RouteType::Prohibit,
        RouteKind::Throw => RouteType::Throw,
    };
    let mut message = RouteMessageBuilder::<IpAddr>::new()
        .destination_prefix(route.to.address(), route.to.len())
        .unwrap()
        .table_id(route.table)
        .kind(kind);
    let device = route.device.as_ref();
    if let Some(name) = device {
        message = message.output_interface(index_of(config, name));
    } else if route.kind == RouteKind::Local {
        message = message.output_interface(LOOPBACK);
    }
    if let Some(gateway) = route.gateway {
        message = message.gateway(gateway).unwrap();
    }
    if let Some(metric) = route.metric {
        message = message.priority(metric);
    }
    if let Some(source) = route.source {
        message = message.pref_source(source).unwrap();
    }
    if route.kind == RouteKind::Local {
        message = message.scope(rtnetlink::packet_route::route::RouteScope::Host);
    } else if route.gateway.is_none() && route.device.is_some() && route.to.address().is_ipv4() {
        message = message.scope(rtnetlink::packet_route::route::RouteScope::Link);
    }
    if let Some(mtu) = route.mtu {
        const RTAX_MTU: u32 = 2;
        let lock = if route.mtu_locked { 1 << RTAX_MTU } else { 0 };
        let metrics = vec![RouteMetric::Lock(lock), RouteMetric::Mtu(mtu)];
        let attributes = &mut message.get_mut().attributes;
        attributes.push(RouteAttribute::Metrics(metrics));
    }
    let message = message.build();
    ask(&format!("add {route:?}"), |handle| async move {
        handle.route().add(message).execute().await
    });
}

fn add_rule(rule: &RuleConfig) {
    ask(&format!("add {rule:?}"), |handle| async move {
        let mut request = handle.rule().add().priority(rule.priority);
        if let Some(input) = &rule.input {
            request = request.input_interface(input);
        }
        let request = match rule.action {
            RuleAction::Table(table) => request.table_id(table).action(Action::ToTable),
            RuleAction::Blackhole => request.action(Action::Blackhole),
            RuleAction::Unreachable => request.action(Action::Unreachable),
            RuleAction::Prohibit => request.action(Action::Prohibit),
        };
        if rule.ipv6 {
            let mut request = request.v6();
            if let Some((IpAddr::V6(address), len)) = rule.from.map(|p| (p.address(), p.len())) {
                request = request.source_prefix(address, len);
            }
            if let Some((IpAddr::V6(address), len)) = rule.to.map(|p| (p.address(), p.len())) {
                request = request.destination_prefix(address, len);
            }
            mark(&mut request.message_mut().attributes, rule);
            request.execute().await
        } else {
            let mut request = request.v4();
            if let Some((IpAddr::V4(address), len)) = rule.from.map(|p| (p.address(), p.len())) {
                request = request.source_prefix(address, len);
            }
            if let Some((IpAddr::V4(address), len)) = rule.to.map(|p| (p.address(), p.len())) {
                request = request.destination_prefix(address, len);
            }
            mark(&mut request.message_mut().attributes, rule);
            request.execute().await
        }
    });
}

fn mark(attributes: &mut Vec<RuleAttribute>, rule: &RuleConfig) {
    if let Some((mark, mask)) = rule.mark {
        attributes.push(RuleAttribute::FwMark(mark));
        attributes.push(RuleAttribute::FwMask(mask));
    }
}
