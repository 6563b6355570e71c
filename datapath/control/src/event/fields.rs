//! Events as named values, for reports.

use twinpath_abi::{DebugNotify, DebugPoint, NotifyCapture, NotifyHead, TracePoint};

use super::{Event, Summary, monitor, reason_text};
use crate::describe::{Fields, named};

impl Event {
    /// The event's fields, in an order fit for a report.
    pub fn fields(&self) -> Fields {
        match self {
            Self::Drop(record) => {
                let notify = &record.notify;
                let mut fields = vec![("reason", reason(notify.head.subtype))];
                fields.extend(head(&notify.head));
                fields.extend([
                    ("destination-endpoint", notify.dst_id.to_string()),
                    ("source-identity", notify.src_label.to_string()),
                    ("destination-identity", notify.dst_label.to_string()),
                    ("ifindex", notify.ifindex.to_string()),
                    ("place", monitor::place(notify)),
                ]);
                fields.extend(self.capture(&notify.capture));
                fields.push(("time", format!("{}ns", notify.timestamp)));
                fields
            }
            Self::Trace(record) => {
                let notify = &record.notify;
                let point = TracePoint::from_code(notify.head.subtype).map(TracePoint::name);
                let mut fields = vec![("trace", named(point, notify.head.subtype))];
                fields.extend(head(&notify.head));
                fields.extend([
                    ("destination-endpoint", notify.dst_id.to_string()),
                    ("source-identity", notify.src_label.to_string()),
                    ("destination-identity", notify.dst_label.to_string()),
                    ("ifindex", notify.ifindex.to_string()),
                    ("state", monitor::state(notify)),
                ]);
                fields.extend(monitor::origin(notify).map(|ip| ("orig-ip", ip.to_string())));
                fields.extend(self.capture(&notify.capture));
                fields.push(("time", format!("{}ns", notify.timestamp)));
                fields
            }
            Self::Verdict(record) => {
                let notify = &record.notify;
                let mut fields = vec![("action", monitor::action(notify).to_owned())];
                if let Ok(code) = u8::try_from(notify.verdict.saturating_neg()) {
                    fields.extend((code > 0).then(|| ("reason", reason(code))));
                }
                fields.extend(head(&notify.head));
                fields.extend([
                    ("direction", monitor::direction(notify)),
                    ("match", monitor::matched(notify)),
                    ("remote-identity", notify.remote_label.to_string()),
                    ("protocol", notify.proto.to_string()),
                    ("port", notify.dst_port.to_string()),
                    ("cookie", notify.cookie.to_string()),
                ]);
                fields.extend(self.capture(&notify.capture));
                fields
            }
            Self::Debug(notify) => debug(notify),
        }
    }

    fn capture(&self, capture: &NotifyCapture) -> Fields {
        vec![
            ("length", capture.len_orig.to_string()),
            ("captured", capture.len_cap.to_string()),
            ("packet", Summary::new(self.packet()).to_string()),
        ]
    }
}

fn head(head: &NotifyHead) -> Fields {
    vec![
        ("flow", format!("{:#x}", head.hash)),
        ("source-endpoint", head.source.to_string()),
    ]
}

fn reason(code: u8) -> String {
    format!("{code} ({})", reason_text(code))
}

fn debug(notify: &DebugNotify) -> Fields {
    let point = DebugPoint::from_code(notify.head.subtype).map(DebugPoint::text);
    let mut fields = vec![("debug", named(point, notify.head.subtype))];
    fields.extend(head(&notify.head));
    let arguments = [notify.arg1, notify.arg2, notify.arg3];
    fields.extend(arguments.map(|argument| ("", format!("{argument:#x}"))));
    fields
}
