//! `bpf_fib_lookup`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use twinpath_machine::{Access, Call, Checked, Errno};

use crate::net::{DeviceId, Net, NodeId, Placed};
use crate::network::{Network, Route, RouteKind, RouteQuery};
use crate::packet::{Skb, Xdp};

/// `sizeof(struct bpf_fib_lookup)`
const SIZE: u32 = 64;

/// Offsets in `struct bpf_fib_lookup`.
mod at {
    pub(super) const FAMILY: usize = 0;
    pub(super) const TOT_LEN: usize = 6;
    pub(super) const IFINDEX: usize = 8;
    pub(super) const METRIC: usize = 12;
    pub(super) const SOURCE: usize = 16;
    pub(super) const DESTINATION: usize = 32;
    /// The VLAN tag of the answer, the table of the question.
    pub(super) const VLAN: usize = 48;
    /// The hardware addresses of the answer, the mark of the question.
    pub(super) const SMAC: usize = 52;
    pub(super) const DMAC: usize = 58;
}

/// `BPF_FIB_LOOKUP_*`
mod flag {
    pub(super) const DIRECT: u32 = 1 << 0;
    pub(super) const OUTPUT: u32 = 1 << 1;
    pub(super) const SKIP_NEIGH: u32 = 1 << 2;
    pub(super) const TBID: u32 = 1 << 3;
    pub(super) const SRC: u32 = 1 << 4;
    pub(super) const MARK: u32 = 1 << 5;
    pub(super) const ALL: u32 = DIRECT | OUTPUT | SKIP_NEIGH | TBID | SRC | MARK;
}

/// `BPF_FIB_LKUP_RET_*`: why the packet is not forwarded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Not {
    Blackhole = 1,
    Unreachable = 2,
    Prohibit = 3,
    Forwarded = 4,
    Enabled = 5,
    Neighbour = 7,
    Fitting = 8,
    Source = 9,
}

/// Why there is no next hop: an answer, or an error.
enum Refusal {
    Not(Not),
    Error(Errno),
}

impl From<Not> for Refusal {
    fn from(not: Not) -> Self {
        Self::Not(not)
    }
}

/// `AF_INET`
const AF_INET: u8 = 2;
/// `AF_INET6`
const AF_INET6: u8 = 10;

/// The question and the answer.
struct Params {
    bytes: [u8; SIZE as usize],
    flags: u32,
}

impl Params {
    fn word(&self, at: usize) -> u32 {
        let mut word = [0; 4];
        word.copy_from_slice(&self.bytes[at..at + 4]);
        u32::from_le_bytes(word)
    }

    fn put(&mut self, at: usize, value: &[u8]) {
        self.bytes[at..at + value.len()].copy_from_slice(value);
    }

    fn tot_len(&self) -> u16 {
        u16::from_le_bytes([self.bytes[at::TOT_LEN], self.bytes[at::TOT_LEN + 1]])
    }

    fn address(&self, at: usize) -> IpAddr {
        let mut octets = [0; 16];
        octets.copy_from_slice(&self.bytes[at..at + 16]);
        match self.bytes[at::FAMILY] {
            AF_INET6 => IpAddr::V6(Ipv6Addr::from(octets)),
            _ => IpAddr::V4(Ipv4Addr::new(octets[0], octets[1], octets[2], octets[3])),
        }
    }

    fn put_address(&mut self, at: usize, address: IpAddr) {
        match address {
            IpAddr::V4(address) => self.put(at, &address.octets()),
            IpAddr::V6(address) => self.put(at, &address.octets()),
        }
    }

    fn has(&self, flag: u32) -> bool {
        self.flags & flag != 0
    }
}

pub(super) fn xdp(xdp: &mut Xdp, net: &mut Net, call: &mut Call<'_>) -> Checked<u64> {
    lookup(xdp, net, call, None)
}

pub(super) fn skb(skb: &mut Skb, net: &mut Net, call: &mut Call<'_>) -> Checked<u64> {
    let len = (skb.gso.size == 0).then(|| skb.frame.len());
    lookup(skb, net, call, Some(len.unwrap_or(0)))
}

/// `len` is given for an skb: its length is checked when the program does not say another.
fn lookup<P: Placed>(packet: &P, net: &Net, call: &mut Call<'_>, len: Option<u32>) -> Checked<u64> {
    call.context(1)?;
    let size = super::size(call, 3)?;
    let params = call.range(2, size, Access::Write)?;
    let flags = call.arg(4) as u32;
    if size < SIZE || flags & !flag::ALL != 0 {
        return Ok(Errno::EINVAL.into());
    }
    let mut bytes = [0; SIZE as usize];
    bytes.copy_from_slice(call.machine.memory.raw(params, SIZE));
    if !matches!(bytes[at::FAMILY], AF_INET | AF_INET6) {
        return Ok(Errno::EAFNOSUPPORT.into());
    }
    let mut question = Params { bytes, flags };
    let node = packet.node(net);
    let check_mtu = len.is_none() || question.tot_len() != 0;
    let mut answer = next_hop(net, node, &mut question, check_mtu);
    if let (Ok(()), Some(len), false) = (&answer, len, check_mtu) {
        answer = check_len(net, node, &mut question, len);
    }
    let memory = &mut call.machine.memory;
    memory
        .raw_mut(params, SIZE)
        .copy_from_slice(&question.bytes);
    Ok(match answer {
        Ok(()) => 0,
        Err(Refusal::Not(not)) => not as u64,
        Err(Refusal::Error(errno)) => errno.into(),
    })
}

/// Whether a packet fits through the device that was found.
fn check_len(net: &Net, node: NodeId, params: &mut Params, len: u32) -> Result<(), Refusal> {
    let Some(device) = net.find(node, params.word(at::IFINDEX)) else {
        return Ok(());
    };
    let device = net.device(device);
    params.put(at::TOT_LEN, &(device.mtu as u16).to_le_bytes());
    if device.up && len <= device.longest_frame() {
        Ok(())
    } else {
        Err(Not::Fitting.into())
    }
}

/// `bpf_ipv4_fib_lookup`, `bpf_ipv6_fib_lookup`.
fn next_hop(net: &Net, node: NodeId, params: &mut Params, check_mtu: bool) -> Result<(), Refusal> {
    let (source, destination) = (params.address(at::SOURCE), params.address(at::DESTINATION));
    if stays_on_link(source) || stays_on_link(destination) {
        return Err(Not::Forwarded.into());
    }
    let input = net
        .find(node, params.word(at::IFINDEX))
        .ok_or(Refusal::Error(Errno::ENODEV))?;
    if !net.network.forwards(input, destination) {
        return Err(Not::Enabled.into());
    }
    let query = question(params, input, source, destination);
    let route = net.network.route(node, &query);
    let route = route.ok_or(Refusal::Not(Not::Forwarded))?;
    match route.kind {
        RouteKind::Unicast => {}
        RouteKind::Blackhole => return Err(Not::Blackhole.into()),
        RouteKind::Unreachable => return Err(Not::Unreachable.into()),
        RouteKind::Prohibit => return Err(Not::Prohibit.into()),
        _ => return Err(Not::Forwarded.into()),
    }
    let locked = route.mtu.filter(|_| route.mtu_locked);
    let mtu = locked.unwrap_or(net.device(route.device).mtu);
    if check_mtu && u32::from(params.tot_len()) > mtu {
        params.put(at::TOT_LEN, &(mtu as u16).to_le_bytes());
        return Err(Not::Fitting.into());
    }
    answer(net, params, &route)?;
    params.put(at::VLAN, &[0; 4]);
    if check_mtu {
        params.put(at::TOT_LEN, &(mtu as u16).to_le_bytes());
    }
    Ok(())
}

/// Addresses of IPv6 that are never forwarded (`rt6_need_strict`).
fn stays_on_link(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(_) => false,
        IpAddr::V6(address) => {
            address.is_multicast() || address.is_loopback() || address.is_unicast_link_local()
        }
    }
}

fn question(
    params: &mut Params,
    input: DeviceId,
    source: IpAddr,
    destination: IpAddr,
) -> RouteQuery {
    const MAIN: u32 = 254;
    let output = params.has(flag::OUTPUT);
    let table = if params.has(flag::DIRECT) {
        let table = if params.has(flag::TBID) {
            let table = params.word(at::VLAN);
            params.put(at::VLAN, &[0; 4]);
            // fib_get_table and fib6_get_table take 0 for the main table.
            if table == 0 { MAIN } else { table }
        } else {
            MAIN
        };
        Some(table)
    } else {
        None
    };
    let marked = params.has(flag::MARK) && table.is_none();
    RouteQuery {
        destination,
        source,
        output: output.then_some(input),
        strict: false,
        input: (!output).then_some(input),
        mark: if marked { params.word(at::SMAC) } else { 0 },
        table,
    }
}

/// Writes what the route says into the answer.
fn answer(net: &Net, params: &mut Params, route: &Route) -> Result<(), Refusal> {
    let device = net.device(route.device);
    params.put(at::METRIC, &route.metric.to_le_bytes());
    params.put(at::IFINDEX, &device.ifindex.get().to_le_bytes());
    if params.has(flag::SRC) {
        let source = net.source_of(route, params.address(at::DESTINATION));
        let source = source.ok_or(Refusal::Not(Not::Source))?;
        params.put_address(at::SOURCE, source);
    }
    if let Some(gateway) = route.gateway {
        if gateway.is_ipv6() {
            params.put(at::FAMILY, &[AF_INET6]);
        }
        params.put_address(at::DESTINATION, gateway);
    }
    if params.has(flag::SKIP_NEIGH) {
        return Ok(());
    }
    let next = params.address(at::DESTINATION);
    let mac = net
        .network
        .neighbour(route.device, next)
        .ok_or(Refusal::Not(Not::Neighbour))?;
    params.put(at::DMAC, &mac.0);
    params.put(at::SMAC, &device.mac.0);
    Ok(())
}
