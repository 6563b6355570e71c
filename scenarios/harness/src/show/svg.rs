//! The picture in lines: a box for each node, in it a box for each device, wires between them, and switches below.

use std::fmt::Write;

use crate::plan::{DeviceKind, DevicePlan, NodePlan, Plan, Port, Segment};

use super::{addresses, far_end, port, programs};

const WIDTH: usize = 380;
const GAP: usize = 140;
const MARGIN: usize = 20;
const HEAD: usize = 36;
const LINE: usize = 16;
const PADDING: usize = 10;
/// What a switch takes below the nodes.
const SWITCH: usize = 44;
/// Between the boxes of two devices.
const SPACE: usize = 12;

/// A device's place in the picture.
struct Placed<'a> {
    port: Port,
    device: &'a DevicePlan,
    x: usize,
    y: usize,
    lines: Vec<String>,
}

impl Placed<'_> {
    fn height(&self) -> usize {
        2 * PADDING + LINE * self.lines.len()
    }

    fn right(&self) -> usize {
        self.x + WIDTH - 2 * PADDING
    }

    fn middle(&self) -> usize {
        self.y + self.height() / 2
    }
}

/// The network of a plan as an SVG image.
pub fn svg(plan: &Plan) -> String {
    let mut placed = Vec::new();
    let mut bottoms = Vec::new();
    for (number, node) in plan.nodes.iter().enumerate() {
        bottoms.push(place(plan, node, number, &mut placed));
    }
    let bottom = bottoms.iter().max().copied().unwrap_or(HEAD);
    let height = bottom + MARGIN + plan.segments.len() * SWITCH;
    let width = 2 * MARGIN + plan.nodes.len() * (WIDTH + GAP);
    let mut out = String::new();
    // Writing to a string cannot fail.
    let _ = draw(&mut out, plan, &placed, &bottoms, (width, height));
    out
}

/// Places a node's devices, and tells where they end.
fn place<'a>(
    plan: &Plan,
    node: &'a NodePlan,
    number: usize,
    placed: &mut Vec<Placed<'a>>,
) -> usize {
    let x = MARGIN + GAP / 2 + number * (WIDTH + GAP) + PADDING;
    let mut y = MARGIN + HEAD;
    for device in &node.devices {
        let mut lines = vec![format!("{} ({})", device.name, device.ifindex)];
        let answers = plan.responders.contains_key(&port(node, &device.name));
        let says = matches!(
            device.kind,
            DeviceKind::Ipip(_) | DeviceKind::Vxlan(_) | DeviceKind::Bridge(_)
        );
        if answers || says {
            lines.push(far_end(plan, node, device));
        }
        if !device.addresses.is_empty() {
            lines.push(addresses(device));
        }
        lines.extend(programs(node, device.name.as_str()));
        let new = Placed {
            port: port(node, &device.name),
            device,
            x,
            y,
            lines,
        };
        y += new.height() + SPACE;
        placed.push(new);
    }
    y
}

fn draw(
    out: &mut String,
    plan: &Plan,
    placed: &[Placed<'_>],
    bottoms: &[usize],
    (width, height): (usize, usize),
) -> std::fmt::Result {
    writeln!(
        out,
        r#"<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" font-family="monospace" font-size="12">"#
    )?;
    writeln!(
        out,
        r#"<rect width="{width}" height="{height}" fill="white"/>"#
    )?;
    for (number, (node, bottom)) in plan.nodes.iter().zip(bottoms).enumerate() {
        let x = MARGIN + GAP / 2 + number * (WIDTH + GAP);
        writeln!(
            out,
            r##"<rect x="{x}" y="{MARGIN}" width="{WIDTH}" height="{}" rx="8" fill="#f4f6f8" stroke="#5a6872"/>"##,
            bottom - MARGIN
        )?;
        let name = escaped(&format!("node {}", node.name));
        let (x, y) = (x + PADDING, MARGIN + 23);
        writeln!(
            out,
            r#"<text x="{x}" y="{y}" font-weight="bold" font-size="14">{name}</text>"#
        )?;
    }
    for device in placed {
        self::device(out, plan, device)?;
    }
    for [a, b] in &plan.wires {
        wire(out, placed, a, b)?;
    }
    for bridge in placed {
        ports(out, placed, bridge)?;
    }
    let bottom = bottoms.iter().max().copied().unwrap_or(HEAD);
    for (number, segment) in plan.segments.iter().enumerate() {
        let y = bottom + MARGIN / 2 + number * SWITCH;
        switch(out, placed, segment, number, (y, width))?;
    }
    writeln!(out, "</svg>")
}

fn device(out: &mut String, plan: &Plan, placed: &Placed<'_>) -> std::fmt::Result {
    let (x, y) = (placed.x, placed.y);
    let (width, height) = (WIDTH - 2 * PADDING, placed.height());
    let fill = match placed.device.kind {
        DeviceKind::Veth => "#ffffff",
        DeviceKind::Ipip(_) | DeviceKind::Vxlan(_) => "#e4eef9",
        DeviceKind::Bridge(_) => "#f3e8f7",
        DeviceKind::Dummy => "#eeeeee",
    };
    writeln!(
        out,
        r##"<rect x="{x}" y="{y}" width="{width}" height="{height}" rx="4" fill="{fill}" stroke="#9aa7b0"/>"##
    )?;
    for (number, line) in placed.lines.iter().enumerate() {
        let (x, y) = (x + PADDING, y + PADDING + LINE * number + 12);
        let line = escaped(line);
        writeln!(out, r#"<text x="{x}" y="{y}">{line}</text>"#)?;
    }
    if plan.is_edge(&placed.port.node, placed.device) {
        let (to, y) = (x - PADDING - 30, placed.middle());
        writeln!(
            out,
            r##"<line x1="{x}" y1="{y}" x2="{to}" y2="{y}" stroke="#1f7a3f" stroke-width="2"/><circle cx="{to}" cy="{y}" r="4" fill="#1f7a3f"/>"##
        )?;
    }
    Ok(())
}

/// A wire between two devices: on the side where the other one is, or to the right of both.
fn wire(out: &mut String, placed: &[Placed<'_>], a: &Port, b: &Port) -> std::fmt::Result {
    let find = |port: &Port| placed.iter().find(|placed| placed.port == *port);
    let (Some(a), Some(b)) = (find(a), find(b)) else {
        return Ok(());
    };
    let (a, b) = if a.x <= b.x { (a, b) } else { (b, a) };
    let (from, start) = (a.right(), a.middle());
    let end = b.middle();
    let (turn, to) = match a.x == b.x {
        true => (from + 25, b.right()),
        false => (from + PADDING + GAP / 3, b.x),
    };
    writeln!(
        out,
        r##"<polyline points="{from},{start} {turn},{start} {turn},{end} {to},{end}" fill="none" stroke="#b3541e" stroke-width="2"/>"##
    )
}

/// Lines from a bridge to its ports, within their node.
fn ports(out: &mut String, placed: &[Placed<'_>], bridge: &Placed<'_>) -> std::fmt::Result {
    let DeviceKind::Bridge(config) = &bridge.device.kind else {
        return Ok(());
    };
    let is_port = |device: &&Placed<'_>| {
        let mut ports = config.ports.iter();
        device.port.node == bridge.port.node
            && ports.any(|name| name == device.port.device.as_str())
    };
    for port in placed.iter().filter(is_port) {
        let (x, turn) = (bridge.right(), bridge.right() + PADDING / 2);
        let (from, to) = (port.middle(), bridge.middle());
        writeln!(
            out,
            r##"<polyline points="{x},{from} {turn},{from} {turn},{to} {x},{to}" fill="none" stroke="#7b4397" stroke-width="2"/>"##
        )?;
    }
    Ok(())
}

/// A switch, with a line down to it from each device.
fn switch(
    out: &mut String,
    placed: &[Placed<'_>],
    segment: &Segment,
    number: usize,
    (y, width): (usize, usize),
) -> std::fmt::Result {
    const HEIGHT: usize = 26;
    /// Between the lines of two switches.
    const STEP: usize = 8;
    let long = width - 2 * MARGIN;
    writeln!(
        out,
        r##"<rect x="{MARGIN}" y="{y}" width="{long}" height="{HEIGHT}" rx="4" fill="#fbeee6" stroke="#b3541e"/>"##
    )?;
    let (x, text) = (MARGIN + PADDING, y + 17);
    writeln!(out, r#"<text x="{x}" y="{text}">switch</text>"#)?;
    for port in placed
        .iter()
        .filter(|device| segment.ports.contains(&device.port))
    {
        let (from, middle) = (port.right(), port.middle());
        let turn = from + 2 * PADDING + number * STEP;
        writeln!(
            out,
            r##"<polyline points="{from},{middle} {turn},{middle} {turn},{y}" fill="none" stroke="#b3541e" stroke-width="2"/>"##
        )?;
    }
    Ok(())
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}
