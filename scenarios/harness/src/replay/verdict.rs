//! What programs that take packets return, by their type.

use std::fmt;

use twinpath_machine::ProgramType;

use crate::plan::HookKind;
use crate::recording;

/// A program's return value, read as the kernel reads it for the program's type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    kind: ProgramType,
    /// The return value.
    pub code: i32,
}

/// `__cgroup_bpf_run_filter_skb` of `kernel/bpf/cgroup.c`.
const CGROUP_NAMES: &[(i32, &str)] = &[
    (0, "drop"),
    (1, "keep"),
    (2, "drop, congested"),
    (3, "keep, congested"),
];

/// `enum bpf_ret_code` of `linux/bpf.h`.
const LWT_NAMES: &[(i32, &str)] = &[
    (0, "BPF_OK"),
    (2, "BPF_DROP"),
    (7, "BPF_REDIRECT"),
    (128, "BPF_LWT_REROUTE"),
];

/// Whether a packet of a capture, with its link-layer header, is something that a test run gives to programs of a
/// type.
pub const fn takes_packets(kind: ProgramType) -> bool {
    matches!(
        kind,
        ProgramType::Xdp
            | ProgramType::SchedCls
            | ProgramType::SchedAct
            | ProgramType::SocketFilter
            | ProgramType::CgroupSkb
            | ProgramType::LwtIn
            | ProgramType::LwtOut
            | ProgramType::LwtXmit
    )
}

impl Verdict {
    /// What a program of a type returned.
    pub const fn new(kind: ProgramType, code: i32) -> Self {
        Self { kind, code }
    }

    /// The name in the kernel's headers, in words where it has none there (`drop` and `keep`, of a socket
    /// filter and a cgroup's), or the number.
    pub fn name(self) -> String {
        let hook = |hook| {
            let code = self.code;
            recording::Verdict { hook, code }.name()
        };
        match self.kind {
            ProgramType::Xdp => hook(HookKind::Xdp),
            ProgramType::SchedCls | ProgramType::SchedAct => hook(HookKind::TcIngress),
            ProgramType::SocketFilter if self.code == 0 => "drop".to_owned(),
            ProgramType::SocketFilter => "keep".to_owned(),
            ProgramType::CgroupSkb => self.among(CGROUP_NAMES),
            _ => self.among(LWT_NAMES),
        }
    }

    fn among(self, names: &[(i32, &str)]) -> String {
        let found = names.iter().find(|(code, _)| *code == self.code);
        found.map_or_else(|| self.code.to_string(), |(_, name)| (*name).to_owned())
    }

    /// As much of the packet as goes on after this verdict.
    pub fn lets_on(self, packet: &[u8]) -> Option<&[u8]> {
        /// `TC_ACT_SHOT`, `TC_ACT_STOLEN`, `TC_ACT_QUEUED`, `TC_ACT_TRAP`.
        const TC_KEPT: [i32; 4] = [2, 4, 5, 8];
        let on = match self.kind {
            ProgramType::Xdp => (2..=4).contains(&self.code),
            ProgramType::SchedCls | ProgramType::SchedAct => !TC_KEPT.contains(&self.code),
            ProgramType::SocketFilter => {
                // The number of bytes to keep of what the program saw, which is the packet behind its
                // link-layer header.
                let kept = (self.code as u32 as usize).saturating_add(ETH_HLEN);
                return (self.code != 0).then(|| &packet[..kept.min(packet.len())]);
            }
            ProgramType::CgroupSkb => self.code & 1 == 1,
            _ => [0, 7, 128].contains(&self.code),
        };
        on.then_some(packet)
    }
}

/// Bytes of an Ethernet header.
const ETH_HLEN: usize = 14;

impl fmt::Display for Verdict {
    /// The name; a socket filter's with the number of bytes.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.kind, self.code) {
            (ProgramType::SocketFilter, code) if code > 0 => write!(f, "keep {code}"),
            (ProgramType::SocketFilter, code) if code < 0 => f.write_str("keep all"),
            _ => f.pad(&self.name()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_type_has_its_names_and_lets_on_what_the_kernel_would() {
        use ProgramType as P;
        let packet = [0; 60];
        for (kind, code, shown, left) in [
            (P::Xdp, 0, "XDP_ABORTED", None),
            (P::Xdp, 2, "XDP_PASS", Some(60)),
            (P::Xdp, 4, "XDP_REDIRECT", Some(60)),
            (P::Xdp, 5, "5", None),
            (P::SchedCls, -1, "TC_ACT_UNSPEC", Some(60)),
            (P::SchedCls, 2, "TC_ACT_SHOT", None),
            (P::SchedAct, 4, "TC_ACT_STOLEN", None),
            (P::SocketFilter, 0, "drop", None),
            (P::SocketFilter, 20, "keep 20", Some(34)),
            (P::SocketFilter, 65535, "keep 65535", Some(60)),
            (P::SocketFilter, -1, "keep all", Some(60)),
            (P::CgroupSkb, 0, "drop", None),
            (P::CgroupSkb, 3, "keep, congested", Some(60)),
            (P::LwtIn, 0, "BPF_OK", Some(60)),
            (P::LwtXmit, 2, "BPF_DROP", None),
            (P::LwtXmit, 128, "BPF_LWT_REROUTE", Some(60)),
        ] {
            let verdict = Verdict::new(kind, code);
            assert_eq!(verdict.to_string(), shown);
            assert_eq!(verdict.lets_on(&packet).map(<[u8]>::len), left, "{shown}");
        }
    }
}
