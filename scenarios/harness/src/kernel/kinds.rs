//! The kinds of devices that a kernel may be built without.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use rtnetlink::packet_route::link::LinkMessage;
use rtnetlink::{LinkBridge, LinkDummy, LinkMessageBuilder, LinkUnspec, LinkVxlan};

use super::devices;
use super::error::Error;
use super::links::Links;
use super::namespace::Namespace;
use super::probe;
use super::run::apart;
use crate::plan::{DeviceKind, IpipConfig, Plan};

/// A kind of device. Without veth nothing runs at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Bridge,
    Dummy,
    Ipip,
    Vxlan,
}

/// A kind of device that a plan has and the running kernel has not, by the kernel's name for it. Each kind is tried once,
/// in a namespace that is gone afterwards; where nothing can be tried, nothing is missing.
pub(crate) fn missing_device(plan: &Plan) -> Option<&'static str> {
    let devices = plan.nodes.iter().flat_map(|node| &node.devices);
    let kinds = devices.filter_map(|device| Kind::of(&device.kind));
    let switches = plan.segments.iter().map(|_| Kind::Bridge);
    let missing = kinds.chain(switches).find(|kind| !kind.is_known());
    missing.map(Kind::name)
}

impl Kind {
    const fn of(kind: &DeviceKind) -> Option<Self> {
        match kind {
            DeviceKind::Veth => None,
            DeviceKind::Bridge(_) => Some(Self::Bridge),
            DeviceKind::Dummy => Some(Self::Dummy),
            DeviceKind::Ipip(_) => Some(Self::Ipip),
            DeviceKind::Vxlan(_) => Some(Self::Vxlan),
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Bridge => "bridge",
            Self::Dummy => "dummy",
            Self::Ipip => "ipip",
            Self::Vxlan => "vxlan",
        }
    }

    fn message(self) -> LinkMessage {
        const NAME: &str = "probe";
        match self {
            Self::Bridge => LinkBridge::new(NAME).build(),
            Self::Dummy => LinkDummy::new(NAME).build(),
            Self::Ipip => {
                let link = LinkMessageBuilder::<LinkUnspec>::default().name(NAME);
                devices::ipip(link.build(), &IpipConfig::default())
            }
            Self::Vxlan => LinkVxlan::new(NAME, 1).port(4789).build(),
        }
    }

    fn is_known(self) -> bool {
        static KNOWN: Mutex<BTreeMap<Kind, bool>> = Mutex::new(BTreeMap::new());
        let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
        *known.entry(self).or_insert_with(|| self.can_be_made())
    }

    fn can_be_made(self) -> bool {
        let made = apart("probe", |_| {
            let _namespace =
                Namespace::create().map_err(Error::system("make a network namespace"))?;
            let runtime = probe::runtime().map_err(Error::system("start a runtime"))?;
            runtime.block_on(async { Links::open()?.add(self.message(), self.name()).await })
        });
        made.map_or_else(|error| !error.is_unsupported(), |()| true)
    }
}
