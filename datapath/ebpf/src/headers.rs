//! The headers of a packet at tc, and what they tell of its flow. They are filled in where they are: a copy would be
//! another one on the caller's stack.

use crate::apart::apart;
use crate::drops::Drop;
use crate::events::Flow;
use crate::fragment;
use crate::layers::{L3, L4};
use crate::parse;
use crate::tc::Tc;

apart! {
    /// The network layer, if it is IP; tells whether it is.
    pub fn ip as headers_ip(ctx: &Tc, flow: &mut Flow, l3: &mut L3) -> Result<bool, Drop> {
        let packet = ctx.pull();
        let l2 = parse::l2(&packet)?;
        let found = parse::l3(&packet, &l2, &mut flow.tuple)?;
        if let Some(found) = found {
            *l3 = found;
        }
        Ok(found.is_some())
    }
}

apart! {
    /// The transport layer, or that of the packet that this one is a fragment of.
    pub fn transport as headers_transport(
        ctx: &Tc,
        flow: &mut Flow,
        l3: &L3,
        l4: &mut L4,
    ) -> Result<(), Drop> {
        *l4 = fragment::l4(ctx, &flow.tuple, l3)?;
        l4.tell(&mut flow.tuple);
        Ok(())
    }
}
