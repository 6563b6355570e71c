//! What can keep a plan from running.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use aya::programs::ProgramError;

use super::probe::Missing;
use super::tap::TapError;
use crate::plan::{DeviceName, Hook, NodeName, ObjectName, Port};
use crate::responder::Endless;

/// What can keep a plan from running in the kernel.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// This machine, or this process on it, cannot do it.
    #[error("use the kernel: {}", list(.0, "; "))]
    Missing(Vec<Missing>),
    /// A system call failed.
    #[error("{what}: {source}")]
    System {
        /// What was being done.
        what: String,
        /// Why it failed.
        source: io::Error,
    },
    /// The kernel refused a change to its network configuration.
    #[error("{what}: {source}")]
    Netlink {
        /// What was being done.
        what: String,
        /// Why it failed.
        source: rtnetlink::Error,
    },
    /// The taps could not be set up.
    #[error("set up the taps: {0}")]
    Tap(#[from] TapError),
    /// The plan names a node that it does not have.
    #[error("find node `{0}` in the plan")]
    UnknownNode(NodeName),
    /// A stimulus at a device whose far end is not the harness.
    #[error("let a frame arrive at `{0}`: what is at its other end is the plan's own")]
    NoEdge(Port),
    /// Answers without end.
    #[error("{0}")]
    Endless(#[from] Endless),
    /// The plan names a device that the node does not have.
    #[error("find device `{device}` on node `{node}`")]
    UnknownDevice {
        /// The node.
        node: NodeName,
        /// The device.
        device: DeviceName,
    },
    /// The plan names an object that the node does not have.
    #[error("find object `{object}` on node `{node}`")]
    UnknownObject {
        /// The node.
        node: NodeName,
        /// The object.
        object: ObjectName,
    },
    /// A device asks for an index that no device can have.
    #[error(
        "give device `{device}` the interface index {ifindex}: it must lie in 2..=2147483647, 1 is the loopback device's"
    )]
    Ifindex {
        /// The device.
        device: DeviceName,
        /// What was asked for.
        ifindex: u32,
    },
    /// A device asks for an index that another one has.
    #[error("give device `{device}` the interface index {ifindex}: `{taken_by}` has it")]
    IfindexTaken {
        /// The device.
        device: DeviceName,
        /// What was asked for.
        ifindex: u32,
        /// The one that has it: an earlier device of the plan, or one that a module of the kernel puts into each
        /// new namespace (the sysctl `net.core.fb_tunnels_only_for_init_net` keeps it from that).
        taken_by: String,
    },
    /// The object is not one that can be loaded.
    #[error("load {}: {}", path.display(), chain(&**.source))]
    Load {
        /// Where the object was read from.
        path: PathBuf,
        /// Why not.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The verifier refused a program.
    #[error("load program `{program}` of {}: {error}\n{}", path.display(), log_end(.log))]
    Refused {
        /// The program.
        program: String,
        /// Where the object was read from.
        path: PathBuf,
        /// The system call's error.
        error: io::Error,
        /// All that the verifier said; see [`Error::verifier_log`].
        log: String,
    },
    /// The object has no such program.
    #[error("find program `{program}` in {}: it has {}", path.display(), names(.has))]
    UnknownProgram {
        /// What was asked for.
        program: String,
        /// Where the object was read from.
        path: PathBuf,
        /// The programs that it has.
        has: Vec<String>,
    },
    /// The object has no such map.
    #[error("find map `{map}` in {}: it has {}", path.display(), names(.has))]
    UnknownMap {
        /// What was asked for.
        map: String,
        /// Where the object was read from.
        path: PathBuf,
        /// The maps that it has.
        has: Vec<String>,
    },
    /// A program in a section whose name says nothing about the program's type.
    #[error("load program `{program}` of {}: the name of section `{section}` tells no type of program", path.display())]
    UnknownSection {
        /// The program.
        program: String,
        /// Where the object was read from.
        path: PathBuf,
        /// The section.
        section: String,
    },
    /// A program at a hook of another kind.
    #[error("attach program `{program}` at {hook}: it is of type {kind}")]
    WrongHook {
        /// The program.
        program: String,
        /// Where it was to go.
        hook: Hook,
        /// Its type, as the kernel calls it.
        kind: String,
    },
    /// The kernel does not attach a program there.
    #[error("attach program `{program}` at {hook}: {}", chain(.source))]
    Attach {
        /// The program.
        program: String,
        /// Where it was to go.
        hook: Hook,
        /// Why not.
        source: Box<ProgramError>,
    },
    /// A key or value of the wrong size.
    #[error("write map `{map}`: the {what} has {given} bytes, the map's have {expected}")]
    Size {
        /// The map.
        map: String,
        /// Key or value.
        what: &'static str,
        /// Bytes in the plan.
        given: usize,
        /// Bytes in the map.
        expected: usize,
    },
    /// A map whose elements are not plain bytes.
    #[error("write map `{map}`: maps of type {kind} are not written by value")]
    UnsupportedMap {
        /// The map.
        map: String,
        /// The number of its type.
        kind: u32,
    },
    /// A frame that cannot arrive at the device.
    #[error(
        "let packet {} arrive at `{device}` of `{node}`: a frame of {length} bytes, the device takes 14 to {most}",
        .number + 1
    )]
    FrameLength {
        /// The place in the plan's list, from 0.
        number: usize,
        /// The node.
        node: NodeName,
        /// The device.
        device: DeviceName,
        /// Bytes in the frame.
        length: usize,
        /// Bytes that the MTU allows.
        most: usize,
    },
    /// Things kept happening.
    #[error(
        "see the end of packet {}: the network did not become quiet within {limit:?}, as if packets went round or became \
         ever more",
        .number + 1
    )]
    NotQuiet {
        /// The place in the plan's list, from 0.
        number: usize,
        /// How long was waited.
        limit: Duration,
    },
    /// Of several frames that were sent at once none was ever like this one.
    #[error(
        "tell to which of the {count} packets up to packet {} this belongs: {frame}; without `--batch`, one is sent at a time",
        .number + 1
    )]
    Stranger {
        /// The place of the last one in the plan's list, from 0.
        number: usize,
        /// How many were sent.
        count: usize,
        /// What was seen, in words.
        frame: String,
    },
    /// A record of what happened was lost, so that the recording would lack something.
    #[error(
        "record packet {}: {count} {what} lost, as more happened at once than can be read; so it is when packets go round",
        .number + 1
    )]
    Lost {
        /// The place in the plan's list, from 0.
        number: usize,
        /// How many.
        count: u64,
        /// What kind of record.
        what: String,
    },
}

/// Lines of a verifier's log that a message shows.
const LOG_LINES: usize = 20;

impl Error {
    /// Describes a failed system call.
    pub(crate) fn system(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        move |source| Self::System { what, source }
    }

    /// Describes a failed netlink request.
    pub(super) fn netlink(what: impl Into<String>) -> impl FnOnce(rtnetlink::Error) -> Self {
        let what = what.into();
        move |source| Self::Netlink { what, source }
    }

    /// Whether the kernel knows nothing of what it was asked for (`EOPNOTSUPP`).
    pub(super) fn is_unsupported(&self) -> bool {
        const EOPNOTSUPP: i32 = 95;
        match self {
            Self::Netlink {
                source: rtnetlink::Error::NetlinkError(message),
                ..
            } => message.raw_code() == -EOPNOTSUPP,
            _ => false,
        }
    }

    /// All that the verifier said about a program that it refused.
    pub fn verifier_log(&self) -> Option<&str> {
        match self {
            Self::Refused { log, .. } => Some(log),
            _ => None,
        }
    }
}

/// The end of a verifier's log, where the reason stands.
fn log_end(log: &str) -> String {
    let lines: Vec<&str> = log.lines().filter(|line| !line.trim().is_empty()).collect();
    let hidden = lines.len().saturating_sub(LOG_LINES);
    let mut text = String::from("the end of the verifier's log");
    if hidden > 0 {
        text += &format!(" ({hidden} lines before it)");
    }
    text.push(':');
    // Where in the source it was, when that is further up.
    let is_source = |line: &&&str| line.starts_with("; ");
    if !lines[hidden..].iter().any(|line| is_source(&line))
        && let Some(line) = lines[..hidden].iter().rev().find(is_source)
    {
        text += &format!("\n  {line}\n  ...");
    }
    for line in &lines[hidden..] {
        text += "\n  ";
        text += line;
    }
    text
}

fn names(names: &[String]) -> String {
    match names {
        [] => String::from("none"),
        names => names
            .iter()
            .map(|name| format!("`{name}`"))
            .collect::<Vec<_>>()
            .join(", "),
    }
}

fn list<T: ToString>(items: &[T], separator: &str) -> String {
    items
        .iter()
        .map(T::to_string)
        .collect::<Vec<_>>()
        .join(separator)
}

/// An error and what it came from, in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let more = error.to_string();
        if !text.contains(&more) {
            text += ": ";
            text += &more;
        }
        source = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_shows_the_end_of_the_log() {
        let log: String = (0..30).map(|line| format!("line {line}\n")).collect();
        let error = Error::Refused {
            program: "entry".into(),
            path: "dp.o".into(),
            error: io::Error::from_raw_os_error(libc::EACCES),
            log: log.clone(),
        };
        let text = error.to_string();
        assert!(text.starts_with(
            "load program `entry` of dp.o: Permission denied (os error 13)\nthe end of the verifier's log (10 lines before it):\n  line 10\n"
        ), "{text}");
        assert!(text.ends_with("\n  line 29"), "{text}");
        assert_eq!(error.verifier_log(), Some(log.as_str()));
    }

    #[test]
    fn a_refusal_shows_the_source_line_before_the_end_of_the_log() {
        let lines = |count: usize| "0: (b7) r0 = 0\n".repeat(count);
        let log = format!("; a @ a.c:1\n; b @ a.c:2\n{}", lines(30));
        let shown = log_end(&log);
        assert!(
            shown.starts_with(
                "the end of the verifier's log (12 lines before it):\n  ; b @ a.c:2\n  ...\n  0:"
            ),
            "{shown}"
        );
        let shown = log_end(&format!("{}; c @ a.c:3\n{}", lines(30), lines(3)));
        assert!(!shown.contains("..."), "{shown}");
    }

    #[test]
    fn an_unknown_name_shows_what_there_is() {
        let has = vec!["a".to_owned(), "b".to_owned()];
        let error = Error::UnknownMap {
            map: "c".into(),
            path: "dp.o".into(),
            has,
        };
        assert_eq!(error.to_string(), "find map `c` in dp.o: it has `a`, `b`");
        let error = Error::UnknownProgram {
            program: "c".into(),
            path: "dp.o".into(),
            has: Vec::new(),
        };
        assert_eq!(error.to_string(), "find program `c` in dp.o: it has none");
    }
}
