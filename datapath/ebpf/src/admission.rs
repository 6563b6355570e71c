//! Whether a packet may pass an endpoint's end: conntrack and policy together, for both directions and for
//! the node itself.

use twinpath_abi::{Direction, Mark, Port, TracePoint, TraceReason};

use crate::apart::{apart, plain, small};
use crate::conntrack::{self, Opening, State};
use crate::drops::{Drop, drop_packet};
use crate::events::{self, Flow, Trace};
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

impl Admitted {
    /// What is told of it at a place.
    #[inline(always)]
    pub fn trace(&self, point: TracePoint) -> Trace {
        Trace {
            reason: self.reason,
            report: self.report,
            ..Trace::at(point)
        }
    }
}

apart! {
    /// Lets a packet pass or not. Answers pass because of their connection, and what comes to the endpoint from the proxy
    /// in front of it because that has been asked; others if the policy allows them. They open a connection if they
    /// belong to none.
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
        let proxied = match subject.direction {
            Direction::Ingress => ctx.mark(),
            Direction::Egress => Mark::default(),
        };
        if let State::Reply | State::Related = connection.state {
            if proxied.is_from_proxy_egress() {
                return Ok(Admitted { proxy_port: NO_PROXY, ..admitted });
            }
            return Ok(admitted);
        }
        let proxy_port = if proxied.is_from_proxy_ingress() {
            NO_PROXY
        } else {
            ask(ctx, flow, l4, subject, connection.state)?.proxy_port
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

const NO_PROXY: Port = Port::new(0);

plain! {
    /// What a policy that lets a packet pass says of its way.
    pub struct Leave {
        pub unused: u16,
        /// The proxy that it goes to; 0 for none.
        pub proxy_port: Port,
    }
}

small!(Leave);

apart! {
    /// Asks the policy.
    fn ask as admission_ask(
        ctx: &Tc,
        flow: &Flow,
        l4: &L4,
        subject: &Subject,
        state: State,
    ) -> Result<Leave, Drop> {
        let verdict = policy::check(subject, l4);
        if !matches!(state, State::Established) || verdict.denial.is_some() {
            events::policy_verdict(ctx, flow, l4, subject, &verdict);
        }
        let proxy_port = match verdict.denial {
            None => verdict.proxy_port,
            Some(_) if subject.audits() => NO_PROXY,
            Some(reason) => {
                return Err(Drop { reason, ..drop_packet!(Admission, PolicyDenied) });
            }
        };
        Ok(Leave { unused: 0, proxy_port })
    }
}
