//! The picture in letters.

use std::fmt::Write;

use crate::plan::{LOOPBACK, NodePlan, Plan};

use super::{addresses, far_end, programs, routes, socket_programs};

/// The network of a plan, node by node.
pub fn text(plan: &Plan) -> String {
    let mut text = format!("{}\n", plan.name);
    for node in &plan.nodes {
        // Writing to a string cannot fail.
        let _ = self::node(&mut text, plan, node);
    }
    text
}

fn node(out: &mut String, plan: &Plan, node: &NodePlan) -> std::fmt::Result {
    writeln!(out, "\n{}", node.name)?;
    let width = node.devices.iter().map(|device| device.name.as_str().len());
    let width = width.max().unwrap_or_default();
    for device in &node.devices {
        let line = format!(
            "  {:width$} ({}) ── {}  {}",
            device.name,
            device.ifindex,
            far_end(plan, node, device),
            addresses(device),
        );
        writeln!(out, "{}", line.trim_end())?;
        for program in programs(node, device.name.as_str()) {
            writeln!(out, "  {:width$}   {program}", "")?;
        }
    }
    for program in programs(node, LOOPBACK) {
        writeln!(out, "  {LOOPBACK}: {program}")?;
    }
    for program in socket_programs(node) {
        writeln!(out, "  sockets: {program}")?;
    }
    for route in routes(node) {
        writeln!(out, "  {route}")?;
    }
    Ok(())
}
