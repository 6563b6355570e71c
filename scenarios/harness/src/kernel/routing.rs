//! Neighbours, routes and rules of a node, by rtnetlink.

use std::future::Future;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use futures::{StreamExt, TryStreamExt};
use rtnetlink::packet_core::{
    NLM_F_ACK, NLM_F_APPEND, NLM_F_CREATE, NLM_F_REQUEST, NetlinkMessage, NetlinkPayload,
};
use rtnetlink::packet_route::RouteNetlinkMessage;
use rtnetlink::packet_route::route::{
    RouteAttribute, RouteMessage, RouteMetric, RouteScope, RouteType,
};
use rtnetlink::packet_route::rule::{RuleAction as Action, RuleAttribute};
use rtnetlink::{Handle, RouteMessageBuilder};
use twinpath_node::{RouteKind, RuleAction};

use super::error::Error;
use super::links::LOOPBACK;
use crate::plan::{DeviceName, NeighbourConfig, NodePlan, RouteConfig, RuleConfig};

/// Tells the kernel of a node's neighbours, routes and rules. The devices have their addresses.
///
/// # Errors
/// When a name refers to nothing, or the kernel refuses.
pub async fn tell(handle: &Handle, node: &NodePlan) -> Result<(), Error> {
    for neighbour in &node.neighbours {
        let index = index(node, &neighbour.device)?;
        attempt(
            format!(
                "add neighbour {} of node `{}`",
                neighbour.address, node.name
            ),
            add_neighbour(handle, index, neighbour),
        )
        .await?;
    }
    for route in &node.routes {
        let index = match &route.device {
            Some(name) => Some(index(node, name)?),
            None if route.kind == RouteKind::Local => Some(LOOPBACK),
            None => None,
        };
        attempt(
            format!("add the route to {} on node `{}`", route.to, node.name),
            add_route(handle, index, route),
        )
        .await?;
    }
    for rule in &node.rules {
        attempt(
            format!("add rule {} on node `{}`", rule.priority, node.name),
            add_rule(handle, rule),
        )
        .await?;
    }
    Ok(())
}

/// Has TCP acknowledge each segment at once on its ways, and send nothing again as long as a run may last. What it does otherwise depends on how much time passes between two segments.
///
/// # Errors
/// When the kernel refuses.
pub async fn steady(handle: &Handle) -> Result<(), Error> {
    let what = || "have the routes acknowledge at once".to_owned();
    let v4 = RouteMessageBuilder::<Ipv4Addr>::new().build();
    let v6 = RouteMessageBuilder::<Ipv6Addr>::new().build();
    for family in [v4, v6] {
        let found: Result<Vec<RouteMessage>, _> =
            handle.route().get(family).execute().try_collect().await;
        let routes = found.map_err(Error::netlink(what()))?;
        let mut routes: Vec<_> = routes.into_iter().filter(carries_connections).collect();
        for route in &mut routes {
            attempt(what(), handle.route().del(route.clone()).execute()).await?;
            acknowledge_at_once(route);
            attempt(what(), append(handle, route.clone())).await?;
        }
    }
    Ok(())
}

/// Whether it leads to other hosts, or to the host itself.
fn carries_connections(route: &RouteMessage) -> bool {
    let on_loopback = |attribute: &RouteAttribute| *attribute == RouteAttribute::Oif(LOOPBACK);
    match route.header.kind {
        RouteType::Unicast => !route.attributes.iter().any(on_loopback),
        RouteType::Local => true,
        _ => false,
    }
}

/// `quickack 1 rto_min lock 15s`
fn acknowledge_at_once(route: &mut RouteMessage) {
    /// `RTAX_RTO_MIN`, in milliseconds. A socket that is closed stays one for three and a half of these, if that is longer
    /// than the minute for which ends of connections are remembered (`tcp_fin_time`).
    const RTO_MIN: u32 = 13;
    const LONGEST: u32 = 15_000;
    let mut metrics = Vec::new();
    route.attributes.retain_mut(|attribute| match attribute {
        RouteAttribute::Metrics(known) => {
            metrics.append(known);
            false
        }
        RouteAttribute::CacheInfo(_) => false,
        _ => true,
    });
    let mut locked = 1 << RTO_MIN;
    metrics.retain(|metric| match metric {
        RouteMetric::Lock(lock) => {
            locked |= lock;
            false
        }
        _ => true,
    });
    metrics.extend([
        RouteMetric::Lock(locked),
        RouteMetric::RtoMin(LONGEST),
        RouteMetric::QuickAck(1),
    ]);
    route.header.flags = Default::default();
    route.attributes.push(RouteAttribute::Metrics(metrics));
}

/// Adds a route behind those to the same place.
async fn append(handle: &Handle, route: RouteMessage) -> Result<(), rtnetlink::Error> {
    let mut request = NetlinkMessage::from(RouteNetlinkMessage::NewRoute(route));
    request.header.flags = NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE | NLM_F_APPEND;
    let mut answers = handle.clone().request(request)?;
    while let Some(answer) = answers.next().await {
        if let NetlinkPayload::Error(error) = answer.payload
            && error.code.is_some()
        {
            return Err(rtnetlink::Error::NetlinkError(error));
        }
    }
    Ok(())
}

async fn attempt(
    what: String,
    request: impl Future<Output = Result<(), rtnetlink::Error>>,
) -> Result<(), Error> {
    request.await.map_err(Error::netlink(what))
}

fn index(node: &NodePlan, name: &str) -> Result<u32, Error> {
    let device = DeviceName::new(name);
    let index = node.ifindex(&device).map(|index| index.get());
    index.ok_or_else(|| Error::UnknownDevice {
        node: node.name.clone(),
        device,
    })
}

async fn add_neighbour(
    handle: &Handle,
    index: u32,
    neighbour: &NeighbourConfig,
) -> Result<(), rtnetlink::Error> {
    let neighbours = handle.neighbours();
    let request = neighbours.add(index, neighbour.address);
    // A frame of the kernel's own may have asked for it already.
    let request = request.link_layer_address(&neighbour.mac.0).replace();
    request.execute().await
}

async fn add_route(
    handle: &Handle,
    index: Option<u32>,
    route: &RouteConfig,
) -> Result<(), rtnetlink::Error> {
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
    let invalid = |error| rtnetlink::Error::InvalidNla(format!("{error}"));
    let mut message = RouteMessageBuilder::<IpAddr>::new()
        .destination_prefix(route.to.address(), route.to.len())
        .map_err(invalid)?
        .table_id(route.table)
        .kind(kind);
    if let Some(index) = index {
        message = message.output_interface(index);
    }
    if let Some(gateway) = route.gateway {
        message = message.gateway(gateway).map_err(invalid)?;
    }
    if let Some(metric) = route.metric {
        message = message.priority(metric);
    }
    if let Some(source) = route.source {
        message = message.pref_source(source).map_err(invalid)?;
    }
    if route.kind == RouteKind::Local {
        message = message.scope(RouteScope::Host);
    } else if route.gateway.is_none() && route.device.is_some() && route.to.address().is_ipv4() {
        message = message.scope(RouteScope::Link);
    }
    if let Some(mtu) = route.mtu {
        /// `RTAX_MTU`
        const MTU: u32 = 2;
        let lock = if route.mtu_locked { 1 << MTU } else { 0 };
        let metrics = vec![RouteMetric::Lock(lock), RouteMetric::Mtu(mtu)];
        let attributes = &mut message.get_mut().attributes;
        attributes.push(RouteAttribute::Metrics(metrics));
    }
    handle.route().add(message.build()).execute().await
}

async fn add_rule(handle: &Handle, rule: &RuleConfig) -> Result<(), rtnetlink::Error> {
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
    let from = rule.from.map(|prefix| (prefix.address(), prefix.len()));
    let to = rule.to.map(|prefix| (prefix.address(), prefix.len()));
    if rule.ipv6 {
        let mut request = request.v6();
        if let Some((IpAddr::V6(address), len)) = from {
            request = request.source_prefix(address, len);
        }
        if let Some((IpAddr::V6(address), len)) = to {
            request = request.destination_prefix(address, len);
        }
        mark(&mut request.message_mut().attributes, rule);
        request.execute().await
    } else {
        let mut request = request.v4();
        if let Some((IpAddr::V4(address), len)) = from {
            request = request.source_prefix(address, len);
        }
        if let Some((IpAddr::V4(address), len)) = to {
            request = request.destination_prefix(address, len);
        }
        mark(&mut request.message_mut().attributes, rule);
        request.execute().await
    }
}

fn mark(attributes: &mut Vec<RuleAttribute>, rule: &RuleConfig) {
    if let Some((mark, mask)) = rule.mark {
        attributes.push(RuleAttribute::FwMark(mark));
        attributes.push(RuleAttribute::FwMask(mask));
    }
}
