//! Parts of a recording as one line each, the same in every report.

use crate::decode::Fields;
use crate::frame;
use crate::recording::{
    Answer, Cost, DropReason, End, Hop, Metadata, ProgramFault, ProgramLoad, SocketHop,
};
use twinpath_node::Vlan;

/// A hop: where, which program, what it returned, the frame after it and what is kept beside that.
pub fn hop(hop: &Hop) -> String {
    let beside = metadata(&hop.metadata);
    let beside: Vec<String> = beside
        .into_iter()
        .map(|(name, value)| format!("{name} {value}"))
        .collect();
    let beside = match beside.is_empty() {
        true => String::new(),
        false => format!(" [{}]", beside.join(", ")),
    };
    format!(
        "{} {} -> {}: {}{beside}",
        hop.node.with(&hop.hook),
        hop.program,
        hop.outcome(),
        frame::line(&hop.bytes)
    )
}

/// A run of a program at a hook of sockets: where, which, and what it returned.
pub fn socket_hop(hop: &SocketHop) -> String {
    let SocketHop { hook, program, .. } = hop;
    let line = match &hop.returned {
        Ok(code) => format!("{hook} {program} -> {code}"),
        Err(ProgramFault(fault)) => format!("{hook} {program} -> fault: {fault}"),
    };
    hop.node.with(line)
}

/// What is kept beside a frame, but for what is not set.
pub fn metadata(metadata: &Metadata) -> Fields {
    let mut fields = Fields::new();
    let mut add = |name: &str, value: String| fields.push((name.to_owned(), value));
    let Metadata {
        mark,
        priority,
        tc_index,
        cb,
        vlan,
        tunnel,
    } = metadata;
    if *mark != 0 {
        add("mark", format!("{mark:#x}"));
    }
    if *priority != 0 {
        add("priority", priority.to_string());
    }
    if *tc_index != 0 {
        add("tc_index", format!("{tc_index:#x}"));
    }
    for (index, word) in cb.as_chunks::<4>().0.iter().enumerate() {
        let word = u32::from_ne_bytes(*word);
        if word != 0 {
            add(&format!("cb[{index}]"), format!("{word:#x}"));
        }
    }
    if let Some(Vlan { protocol, tci }) = vlan {
        add("vlan beside", format!("{protocol:?} {tci:#x}"));
    }
    if let Some(key) = tunnel {
        add("tunnel.id", key.id.to_string());
        add("tunnel.src", key.source.to_string());
        add("tunnel.dst", key.destination.to_string());
        add("tunnel.tos", format!("{:#04x}", key.tos));
        add("tunnel.ttl", key.ttl.to_string());
        add("tunnel.label", format!("{:#07x}", key.label));
    }
    fields
}

/// What a responder sent.
pub fn answer(answer: &Answer) -> String {
    format!("{} <- {}", answer.port, frame::line(&answer.bytes))
}

/// An end with the frame that arrived there, or why it was dropped.
pub fn end(end: &End) -> String {
    match end {
        End::Left { bytes, .. } | End::Stack { bytes, .. } => {
            format!("{}: {}", way(end), frame::line(bytes))
        }
        // The hop before it says as much.
        End::Dropped {
            reason: None | Some(DropReason::Verdict | DropReason::Fault),
            ..
        } => way(end),
        End::Dropped {
            reason: Some(reason),
            ..
        } => format!("{}: {reason}", way(end)),
    }
}

/// An end without the frame.
pub fn way(end: &End) -> String {
    match end {
        End::Left { node, device, .. } => format!("leaves {}", node.with(device)),
        End::Stack { node, device, .. } => format!("stack, from {}", node.with(device)),
        End::Dropped { node, hook, .. } => format!("dropped at {}", node.with(hook)),
    }
}

/// So many of something: `1 event`, `2 events`.
pub fn counted(count: impl TryInto<u64>, one: &str, several: &str) -> String {
    let count = count.try_into().unwrap_or(u64::MAX);
    format!("{count} {}", if count == 1 { one } else { several })
}

/// The same of events; nothing of none.
pub fn events(count: usize) -> String {
    match count {
        0 => String::new(),
        count => counted(count, "event", "events"),
    }
}

/// What a program run cost.
pub fn cost(cost: Cost) -> String {
    [
        counted(cost.instructions, "instruction", "instructions"),
        counted(cost.helpers, "helper call", "helper calls"),
        counted(cost.map_operations, "map operation", "map operations"),
    ]
    .join(", ")
}

/// What the kernel made of a program.
pub fn load(load: &ProgramLoad) -> String {
    let mut text = format!(
        "{} in {:.1} ms",
        load.program,
        load.time.as_secs_f64() * 1e3
    );
    if let Some(verified) = load.verified {
        text += &format!(", {verified} instructions verified");
    }
    if let Some(bytes) = load.machine_code {
        text += &format!(", {bytes} bytes of machine code");
    }
    text
}
