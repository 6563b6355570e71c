//! Devices, their interface indexes, and the programs on them.

use std::sync::Arc;

use crate::plan::{Attachment, DeviceName, DevicePlan, Hook, HookKind, Ifindex, Mac};
use crate::scenario::error::{Problem, ScenarioError};
use crate::scenario::format::DeviceEntry;
use crate::scenario::source::{Located, Source};

use super::objects::Objects;

/// The index of the first device. Lower ones are the kernel's own: `lo` has 1 in each namespace.
const FIRST_INDEX: u32 = 10;

/// Longest name of a device, in bytes: `IFNAMSIZ` of `linux/if.h` less the terminator.
const NAME_LEN: usize = 15;

/// The devices with their indexes, in ascending order of these.
pub(super) fn devices(
    source: &Arc<Source>,
    entries: &[DeviceEntry],
) -> Result<Vec<DevicePlan>, ScenarioError> {
    let mut devices: Vec<DevicePlan> = Vec::new();
    let mut next = FIRST_INDEX;
    for entry in entries {
        let name = name(source, &entry.name, &devices)?;
        let index = entry.ifindex.as_ref().map_or(next, |index| *index.value());
        let ifindex = Ifindex::new(index)
            .filter(|index| index.get() > 1 && devices.iter().all(|other| other.ifindex != *index))
            .ok_or_else(|| {
                let span = entry
                    .ifindex
                    .as_ref()
                    .map_or(entry.name.span(), Located::span);
                Problem::new(
                    format!("interface index {index} is taken"),
                    "expected an index above 1 that no other device has",
                )
                .at(source, span)
            })?;
        next = index.saturating_add(1);
        devices.push(DevicePlan {
            name,
            ifindex,
            mac: entry.mac.unwrap_or_else(|| default_mac(ifindex)),
            mtu: u32::from(entry.mtu),
            addresses: entry.addresses.iter().map(|network| network.0).collect(),
        });
    }
    devices.sort_by_key(|device| device.ifindex);
    Ok(devices)
}

fn name(
    source: &Arc<Source>,
    name: &Located<String>,
    others: &[DevicePlan],
) -> Result<DeviceName, ScenarioError> {
    let wrong = |message: String, expected: &str| {
        Err(Problem::new(message, expected).at(source, name.span()))
    };
    let odd = |c: char| c.is_whitespace() || c == '/' || c == ':';
    if name.is_empty() || name.len() > NAME_LEN || name.contains(odd) || *name.value() == "lo" {
        return wrong(
            format!("`{}` cannot name a device", name.value()),
            "expected 1 to 15 bytes without blanks, `/` or `:`, and not `lo`",
        );
    }
    if others
        .iter()
        .any(|other| other.name.as_str() == name.as_str())
    {
        return wrong(
            format!("two devices are named `{}`", name.value()),
            "expected a name of its own for each device",
        );
    }
    Ok(DeviceName::new(name.as_str()))
}

/// 02:00:00:00:00:0a for the device with index 10.
fn default_mac(ifindex: Ifindex) -> Mac {
    let [a, b, c, d] = ifindex.get().to_be_bytes();
    Mac([2, 0, a, b, c, d])
}

/// The programs at the devices' hooks, in the order of the file.
pub(super) fn attachments(
    objects: &Objects,
    entries: &[DeviceEntry],
) -> Result<Vec<Attachment>, ScenarioError> {
    let mut attachments = Vec::new();
    for entry in entries {
        let hooks = [
            (HookKind::Xdp, &entry.xdp),
            (HookKind::XdpGeneric, &entry.xdp_generic),
            (HookKind::TcIngress, &entry.tc_ingress),
            (HookKind::TcEgress, &entry.tc_egress),
        ];
        for (kind, program) in hooks {
            let Some(program) = program else { continue };
            let (object, program) = objects.program(program, kind)?;
            attachments.push(Attachment {
                object,
                program,
                hook: Hook {
                    device: DeviceName::new(entry.name.as_str()),
                    kind,
                },
            });
        }
    }
    Ok(attachments)
}
