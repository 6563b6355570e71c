//! The picture in lines: a box for each node, in it a box for each device, and wires and tunnels between them.

use std::fmt::Write;

use crate::plan::{DeviceKind, DevicePlan, NodePlan, Plan, Port};

use super::{addresses, far_end, port, programs};

const WIDTH: usize = 380;
const GAP: usize = 140;
const MARGIN: usize = 20;
const HEAD: usize = 36;
const LINE: usize = 16;
const PADDING: usize = 10;
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
    let height = bottoms.iter().max().copied().unwrap_or(HEAD) + MARGIN;
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
        if answers || matches!(device.kind, DeviceKind::Vxlan(_)) {
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
    writeln!(out, "</svg>")
}

fn device(out: &mut String, plan: &Plan, placed: &Placed<'_>) -> std::fmt::Result {
    let (x, y) = (placed.x, placed.y);
    let (width, height) = (WIDTH - 2 * PADDING, placed.height());
    let fill = match placed.device.kind {
        DeviceKind::Veth => "#ffffff",
        DeviceKind::Vxlan(_) => "#e4eef9",
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
    let right = |placed: &Placed<'_>| placed.x + WIDTH - 2 * PADDING;
    let (from, start) = (right(a), a.middle());
    let end = b.middle();
    let (turn, to) = match a.x == b.x {
        true => (from + 25, right(b)),
        false => (from + PADDING + GAP / 3, b.x),
    };
    writeln!(
        out,
        r##"<polyline points="{from},{start} {turn},{start} {turn},{end} {to},{end}" fill="none" stroke="#b3541e" stroke-width="2"/>"##
    )
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}
