//! Whether a packet may pass an endpoint's end: conntrack and policy together, for both directions and for
//! the node itself.

use twinpath_abi::{Identity, Port, TraceReason};

use crate::conntrack::{self, Opening, State};
use crate::drops::{Drop, drop_packet};
use crate::events::{self, Flow};
use crate::parse::{L3, L4};
use crate::policy::{self, Subject};
use crate::tc::Tc;

/// A packet that may pass.
#[derive(Clone, Copy)]
pub struct Admitted {
    pub reason: TraceReason,
    /// Trace events about it are not left out.
    pub report: bool,
    /// The proxy that it goes to; 0 for none.
    pub proxy_port: Port,
}

/// Lets a packet pass or not. Answers pass because of their connection; others if the policy allows them,
/// and they open a connection if they belong to none.
#[inline(always)]
pub fn admit(
    ctx: &Tc,
    flow: &Flow,
    l3: &L3,
    l4: &L4,
    subject: &Subject,
    source: Identity,
) -> Result<Admitted, Drop> {
    let connection = conntrack::lookup(ctx, l3, l4, subject.direction);
    let admitted = Admitted {
        reason: connection.state.reason(),
        report: connection.report,
        proxy_port: connection.proxy_port,
    };
    if let State::Reply | State::Related = connection.state {
        return Ok(admitted);
    }
    let verdict = policy::check(subject, l4);
    let known = matches!(connection.state, State::Established);
    if !known || verdict.denial.is_some() {
        events::policy_verdict(ctx, flow, l4, subject, &verdict);
    }
    let proxy_port = match verdict.denial {
        None => verdict.proxy_port,
        Some(_) if subject.audits() => Port::new(0),
        Some(reason) => {
            return Err(Drop {
                reason,
                ..drop_packet!(Admission, PolicyDenied)
            });
        }
    };
    if let State::New = connection.state {
        let opening = Opening {
            direction: subject.direction,
            source,
            proxy_port,
        };
        conntrack::create(ctx, l3, l4, &opening)?;
    }
    Ok(Admitted {
        proxy_port,
        ..admitted
    })
}
