//! A policy has decided.

use std::fmt;

use twinpath_abi::{Direction, DropReason, NotifyType, PolicyMatch, VerdictNotify, VerdictRecord};

use super::{EventError, expect_type, expect_version, record, summary};
use crate::describe::{Fields, named};

/// A policy verdict: whose policy, about whom, and the head of the packet.
///
/// Its `Display` is a line such as
///
/// ```text
/// Policy verdict log: flow 0x1f3ac2b1 local EP ID 2, remote ID 1001, proto tcp, ingress, action allow, auth: disabled, match L3-L4, 10.0.1.1:40000 -> 10.0.1.2:80 tcp SYN
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerdictEvent {
    record: VerdictRecord,
}

impl VerdictEvent {
    /// Decodes a record of the ring buffer.
    ///
    /// # Errors
    /// The bytes are no policy verdict of this version.
    pub fn parse(bytes: &[u8]) -> Result<Self, EventError> {
        let record: VerdictRecord = record(bytes)?;
        expect_type(NotifyType::PolicyVerdict, record.notify.head.r#type)?;
        expect_version(VerdictNotify::VERSION, record.notify.capture.version)?;
        Ok(Self { record })
    }

    /// Everything that the event says of the decision.
    pub fn notify(&self) -> &VerdictNotify {
        &self.record.notify
    }

    /// `allow`, `deny`, `audit`, or `redirect` to a proxy.
    pub fn action(&self) -> &'static str {
        match self.notify().verdict {
            _ if self.notify().flags.is_audited() => "audit",
            0 => "allow",
            port if port > 0 => "redirect",
            _ => "deny",
        }
    }

    fn reason(&self) -> Option<DropReason> {
        let code = u8::try_from(self.notify().verdict.checked_neg()?).ok()?;
        DropReason::from_code(code)
    }

    fn direction(&self) -> &'static str {
        let direction = self.notify().flags.direction();
        direction.map_or("unknown direction", Direction::name)
    }

    fn found(&self) -> &'static str {
        let found = self.notify().flags.found();
        found.map_or("unknown", PolicyMatch::name)
    }

    /// The event's fields, in an order fit for a report.
    pub fn fields(&self) -> Fields {
        let notify = self.notify();
        let mut fields = vec![
            ("endpoint", notify.head.source.to_string()),
            ("direction", self.direction().to_owned()),
            ("remote-identity", notify.remote_label.to_string()),
            ("action", self.action().to_owned()),
            ("verdict", named(self.reason(), notify.verdict)),
            ("match", self.found().to_owned()),
            ("protocol", notify.proto.to_string()),
            ("port", notify.dst_port.to_string()),
            ("auth", notify.auth_type.to_string()),
            ("flow", format!("{:#x}", notify.head.hash)),
            ("packet", summary(self.record.captured())),
        ];
        if notify.cookie != 0 {
            fields.push(("cookie", notify.cookie.to_string()));
        }
        fields
    }
}

impl fmt::Display for VerdictEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let notify = self.notify();
        write!(
            f,
            "Policy verdict log: flow {:#x} local EP ID {}, remote ID {}, proto {}, {}, action {}, \
             auth: {}, match {}, {}",
            notify.head.hash,
            notify.head.source,
            notify.remote_label,
            notify.proto,
            self.direction(),
            self.action(),
            if notify.auth_type == 0 {
                "disabled"
            } else {
                "required"
            },
            self.found(),
            summary(self.record.captured()),
        )
    }
}
