//! Endpoints of this node: what they may send, and delivery to them.

use twinpath_abi::{
    DeviceEndpoint, EndpointInfo, EndpointKey, Family, FlowTuple, Identity, TailCall,
};

use crate::apart::apart;
use crate::context::Context as _;
use crate::drops::{Drop, drop_packet};
use crate::events::Flow;
use crate::fate::Fate;
use crate::l3::Hop;
use crate::layers::{L2, L3};
use crate::maps;
use crate::tc::{Cb, Delivery, Tc, WriteError};
use crate::wire::at;

/// The endpoint behind the device that the packet came in by.
#[inline(always)]
pub fn sender(ctx: &Tc, flow: &mut Flow) -> Option<&'static DeviceEndpoint> {
    let sender = maps::sender(ctx.ifindex())?;
    flow.source = sender.lxc_id;
    flow.src_label = sender.sec_id;
    Some(sender)
}

/// Refuses a frame whose source address is not the sender's own.
#[inline(always)]
pub fn check_mac(sender: &DeviceEndpoint, l2: &L2) -> Result<(), Drop> {
    if sender.mac != l2.src {
        return Err(drop_packet!(Endpoint, InvalidSourceMac));
    }
    Ok(())
}

/// Refuses a packet whose source address is not the sender's own.
#[inline(always)]
pub fn check_source(sender: &DeviceEndpoint, flow: &FlowTuple) -> Result<(), Drop> {
    let (own, flag) = match flow.family {
        Family::V6 => (sender.ipv6, DeviceEndpoint::HAS_V6),
        _ => (sender.ipv4, DeviceEndpoint::HAS_V4),
    };
    if sender.flags & flag == 0 || own != flow.saddr {
        return Err(drop_packet!(Endpoint, InvalidSourceIp));
    }
    Ok(())
}

/// The endpoint of this node that the packet is for.
#[inline(always)]
pub fn destination(flow: &FlowTuple) -> Option<&'static EndpointInfo> {
    maps::endpoint(EndpointKey::from_parts(flow.daddr, flow.family))
}

/// Has the policy of the endpoint that the packet is for decide about it.
#[inline(always)]
pub fn deliver(ctx: &Tc, sender: Identity, delivery: Delivery) -> Fate {
    ctx.set_cb(Cb::SourceIdentity, sender.0);
    ctx.set_cb(Cb::Delivery, delivery as u32);
    Fate::Program(TailCall::PolicyIngress)
}

apart! {
    /// Rewrites the packet to go to the endpoint, as the node's router would send it on.
    pub fn route as endpoint_route(ctx: &Tc, l3: &L3, endpoint: &EndpointInfo) -> Result<(), Drop> {
        let hop = Hop::after(l3)?;
        let write = || {
            l3.write_hop(ctx, hop.ttl)?;
            ctx.store_balanced(at::ETHERNET_DST, &endpoint.mac.0)?;
            ctx.store_balanced(at::ETHERNET_SRC, &endpoint.node_mac.0)
        };
        write().map_err(|WriteError| drop_packet!(Endpoint, WriteError))
    }
}
