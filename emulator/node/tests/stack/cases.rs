//! Tables of cases: each line is a packet and what is special about it.

mod bridges;
mod forwarding;
mod fragments;
mod hooks;
mod local;
mod neighbours;
mod tunnels;

use twinpath_node::RouteKind;

use super::compare::{Case, hold};
use super::frames::Packet;
use super::kernel::skip;
use super::net::{Network, Port, Stimulus, host, mac};

/// A router between two networks, each with a host beyond an edge, of IPv4 and IPv6.
struct Router {
    network: Network,
    /// The edge towards `10.0.0.2` and `fd00::2`.
    left: Port,
    /// The edge towards `10.1.0.2` and `fd00:1::2`.
    right: Port,
}

fn router() -> Router {
    let mut network = Network::default();
    let node = network.node();
    network.nodes[node].settings.forward_ipv6 = true;
    let left = network.device(node, &["10.0.0.1/24", "fd00::1/64"]);
    let right = network.device(node, &["10.1.0.1/24", "fd00:1::1/64"]);
    for (port, addresses, number) in [
        (left, ["10.0.0.2", "fd00::2"], 1),
        (right, ["10.1.0.2", "fd00:1::2"], 2),
    ] {
        for address in addresses {
            network.neighbour(port, address, host(number));
        }
    }
    Router {
        network,
        left,
        right,
    }
}

/// A packet from the host on the left.
fn from_left(packet: Packet) -> Stimulus {
    let packet = Packet {
        to: mac(0, 0),
        from: host(1),
        ..packet
    };
    Stimulus::Frame(Port { node: 0, device: 0 }, packet.frame())
}

fn case(name: &str, network: Network, stimuli: Vec<(&str, Stimulus)>) -> Case {
    let stimuli = stimuli
        .into_iter()
        .map(|(word, stimulus)| (word.to_owned(), stimulus));
    Case {
        name: name.to_owned(),
        network,
        stimuli: stimuli.collect(),
    }
}

const ALL_KINDS: [RouteKind; 4] = [
    RouteKind::Blackhole,
    RouteKind::Unreachable,
    RouteKind::Prohibit,
    RouteKind::Throw,
];
