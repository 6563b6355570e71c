//! Whether a packet may pass an endpoint's end: conntrack and policy together, for both directions and for
//! the node itself.

use twinpath_abi::{Port, TraceReason};

use crate::apart::{apart, plain, small};
use crate::conntrack::{self, Opening, State};
use crate::drops::{Drop, drop_packet};
use crate::events::{self, Flow};
use crate::icmp;
use crate::layers::L4;
use crate::policy::{self, Subject};
use crate::tc::Tc;

plain! {
    /// A packet that may pass.
    pub struct Admitted {
        pub reason: TraceReason,
        /// Trace events about it are not left out.
        pub report: bool,
        /// The proxy that it goes to; 0 for none.
        pub proxy_port: Port,
    }
}

small!(Admitted);

apart! {
    /// Lets a packet pass or not. Answers pass because of their connection; others if the policy allows them,
    /// and they open a connection if they belong to none.
    pub fn admit as admission_admit(
        ctx: &Tc,
        flow: &Flow,
        l4: &L4,
        subject: &Subject,
    ) -> Result<Admitted, Drop> {
        let connection = if icmp::is_error(l4) {
            conntrack::related(ctx, flow, l4, subject.direction)
        } else {
            conntrack::lookup(ctx, flow, l4, subject.direction)
        };
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
                unused: 0,
                proxy_port,
                source: flow.src_label,
            };
            conntrack::create(ctx, flow, l4, &opening)?;
        }
        Ok(Admitted {
            proxy_port,
            ..admitted
        })
    }
}
