//! One node of a plan: a namespace, its devices, and the programs on them.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use aya::programs::tc;

use super::contents::{self, Cpus};
use super::error::Error;
use super::events::EventSource;
use super::links::{self, Links, send_plainly};
use super::namespace::Namespace;
use super::object::{Attached, LoadedObject, Pinned, Place, Wanted};
use super::routing;
use super::sockets::Sockets;
use super::sys::packet::PacketSocket;
use super::sysctl;
use super::tap::record::INTAKE;
use super::tap::{Observer, TapError};
use crate::plan::{
    Attachment, BridgeConfig, DeviceKind, DeviceName, DevicePlan, Hook, HookKind, LOOPBACK,
    MapChange, MapValue, NodeName, NodePlan, ObjectName, SocketName, SocketProgram,
};
use crate::recording::{MapContents, MapRef, ProgramLoad};
use crate::socket::{Called, SocketCall};
use twinpath_bpf::Mount;
use twinpath_control::abi::map;
use twinpath_control::gc;

/// A node in the kernel. Dropping it takes everything apart.
pub struct Node<'a> {
    /// What it was made from.
    pub plan: &'a NodePlan,
    /// Shows a tap each frame that a device of the node takes in, after XDP and before tc.
    intake: PacketSocket,
    /// The maps that the programs write events to.
    pub events: Vec<EventSource>,
    objects: BTreeMap<ObjectName, LoadedObject>,
    attached: Vec<Attached>,
    /// Those of the node's tasks, if it has any.
    sockets: Option<Sockets>,
    links: Links,
    pins: Mount,
    namespace: Namespace,
}

/// A program without a tap.
#[derive(Debug)]
pub struct Untapped {
    /// Where it is attached.
    pub attachment: Attachment,
    /// Why it has none.
    pub error: TapError,
}

impl<'a> Node<'a> {
    /// Makes the node's namespace, the `number`th of the plan's, and leaves this thread in it.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn create(plan: &'a NodePlan, number: usize, observer: &Observer) -> Result<Self, Error> {
        let name = &plan.name;
        let namespace = Namespace::create().map_err(Error::system(format!(
            "make a network namespace for node `{name}`"
        )))?;
        sysctl::calm_namespace()?;
        Ok(Self {
            plan,
            intake: observer.watch_received(INTAKE + number as u32, None)?,
            events: Vec::new(),
            objects: BTreeMap::new(),
            attached: Vec::new(),
            sockets: None,
            links: Links::open()?,
            pins: Mount::bpf().map_err(Error::system("make a BPF file system"))?,
            namespace,
        })
    }

    /// Its namespace.
    pub fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    /// The netlink connection to its namespace.
    pub fn links(&self) -> &Links {
        &self.links
    }

    /// Puts this thread into the node's namespace.
    ///
    /// # Errors
    /// The kernel's.
    pub fn enter(&self) -> Result<(), Error> {
        self.namespace.enter().map_err(Error::system(format!(
            "enter the namespace of node `{}`",
            self.plan.name
        )))
    }

    /// Brings the devices up. This thread must be in the node's namespace.
    ///
    /// # Errors
    /// The kernel's.
    pub async fn bring_up(&self) -> Result<(), Error> {
        for (device, bridge) in self.bridges() {
            for port in &bridge.ports {
                let port = self.ifindex(&DeviceName::new(port))?;
                self.links.join(port, device.ifindex.get()).await?;
            }
            self.links.set_mtu(device).await?;
        }
        for device in &self.plan.devices {
            if device.kind != DeviceKind::Dummy {
                send_plainly(&self.intake, device.name.as_str())?;
            }
        }
        sysctl::set_node(self.plan)?;
        if self.plan.settings.loopback {
            sysctl::allow_ipv6(LOOPBACK)?;
            self.links.up_for_sockets(links::LOOPBACK).await?;
        }
        for device in &self.plan.devices {
            self.links.up_for_sockets(device.ifindex.get()).await?;
        }
        Ok(())
    }

    /// Gives the devices, which are up at both ends, their addresses, and the node its neighbours, routes and rules; those
    /// are steady if sockets are to send by them. This thread must be in the node's namespace.
    ///
    /// # Errors
    /// The kernel's.
    pub async fn configure(&self, calls: bool) -> Result<(), Error> {
        for device in &self.plan.devices {
            if matches!(device.kind, DeviceKind::Veth | DeviceKind::Bridge(_)) {
                self.links.wait_for_carrier(device).await?;
            }
            self.links.add_addresses(device).await?;
        }
        routing::tell(self.links.handle(), self.plan).await?;
        if calls {
            routing::steady(self.links.handle()).await?;
        }
        Ok(())
    }

    fn bridges(&self) -> impl Iterator<Item = (&'a DevicePlan, &'a BridgeConfig)> {
        let devices = self.plan.devices.iter();
        devices.filter_map(|device| match &device.kind {
            DeviceKind::Bridge(bridge) => Some((device, bridge)),
            _ => None,
        })
    }

    /// Has the bridges forget what the kernel's own frames have taught them.
    ///
    /// # Errors
    /// The kernel's.
    pub async fn forget(&self) -> Result<(), Error> {
        for (device, _) in self.bridges() {
            self.links.forget(device.ifindex.get()).await?;
        }
        Ok(())
    }

    /// Loads the objects and the programs that are attached, and writes the maps: those that are per CPU, for the
    /// CPU on which the run happens.
    ///
    /// # Errors
    /// When the plan asks for what the objects lack, or the kernel refuses.
    pub fn load(&mut self, cpu: usize) -> Result<(), Error> {
        let name = &self.plan.name;
        let mut pinned = Pinned::new();
        for plan in &self.plan.objects {
            let wanted = Wanted {
                programs: Some(self.plan.programs_of(&plan.name)),
                ..Wanted::default()
            };
            let object = LoadedObject::load(plan, wanted, &mut pinned)?;
            self.objects.insert(plan.name.clone(), object);
        }
        for attachment in &self.plan.attachments {
            object_of(&mut self.objects, name, &attachment.object)?.verify(&attachment.program)?;
        }
        for write in &self.plan.maps {
            let object = object_of(&mut self.objects, name, &write.object)?;
            match &write.value {
                MapValue::Program(program) => object.hold(&write.map, &write.key, program)?,
                // With a tap, when programs are attached.
                MapValue::Target { .. } => {}
                MapValue::Bytes(value) => {
                    let map = object.map(&write.map)?;
                    contents::write(map, &write.map, &write.key, value, Cpus::Only(cpu))?;
                }
            }
        }
        if let Some(cell) = &self.plan.clock {
            object_of(&mut self.objects, name, &cell.object)?.map(&cell.map)?;
        }
        for (object, loaded) in &self.objects {
            self.events
                .extend(EventSource::all_of(loaded, name, object)?);
        }
        Ok(())
    }

    fn ifindex(&self, name: &DeviceName) -> Result<u32, Error> {
        let ifindex = self.plan.ifindex(name).map(|ifindex| ifindex.get());
        ifindex.ok_or_else(|| Error::UnknownDevice {
            node: self.plan.name.clone(),
            device: name.clone(),
        })
    }

    /// Attaches the programs in the plan's order, each with a tap, the first of which gets the given number, the
    /// next one the next. Tells at which hooks there could be no tap. This thread must be in the node's namespace.
    ///
    /// # Errors
    /// When a program does not fit its hook, or the kernel refuses.
    pub fn attach(&mut self, first_tap: u32, observer: &Observer) -> Result<Vec<Untapped>, Error> {
        let plan = self.plan;
        for device in self.devices_with_filters() {
            let what = format!("prepare device `{device}` for tc filters");
            tc::qdisc_add_clsact(device.as_str())
                .map_err(|error| Error::system(what)(io::Error::other(error)))?;
        }
        let mut untapped = Vec::new();
        let mut priorities: BTreeMap<&Hook, u16> = BTreeMap::new();
        for (tap, attachment) in (first_tap..).zip(&plan.attachments) {
            let Attachment {
                object,
                program,
                hook,
            } = attachment;
            let ifindex = self.ifindex(&hook.device)?;
            let priority = priorities.entry(hook).or_default();
            *priority += 1;
            let object = object_of(&mut self.objects, &plan.name, object)?;
            object.verify(program)?;
            let tapped = object.tap(program, tap, observer);
            if hook.kind == HookKind::XdpDevmap {
                let tapped = tapped.map(Some).or_else(|error| {
                    let attachment = attachment.clone();
                    untapped.push(Untapped { attachment, error });
                    Ok::<_, Error>(None)
                })?;
                let writes = plan.maps.iter();
                let entries = writes.filter(|write| {
                    write.object == attachment.object && write.value.target() == Some(ifindex)
                });
                for entry in entries {
                    object.redirect(entry, program, tapped.as_ref())?;
                }
                continue;
            }
            let place = Place {
                hook,
                ifindex,
                priority: *priority,
                pins: &self.pins,
            };
            let (tapped, error) = match tapped {
                Ok(tapped) => (Some(tapped), None),
                Err(error) => (None, Some(error)),
            };
            self.attached.push(object.attach(&place, program, tapped)?);
            untapped.extend(error.map(|error| Untapped {
                attachment: attachment.clone(),
                error,
            }));
        }
        Ok(untapped)
    }

    /// Readies the node for socket calls, and attaches the programs that they meet, each with a tap, the first of which
    /// gets the given number. Tells of which programs there could be no tap.
    ///
    /// # Errors
    /// When a program does not fit its hook, or the kernel refuses.
    pub fn admit_calls(
        &mut self,
        first_tap: u32,
        observer: &Observer,
    ) -> Result<Vec<(&'a SocketProgram, TapError)>, Error> {
        let plan = self.plan;
        let sockets = self.sockets.insert(Sockets::create()?);
        let mut untapped = Vec::new();
        for (tap, attached) in (first_tap..).zip(&plan.socket_programs) {
            let object = object_of(&mut self.objects, &plan.name, &attached.object)?;
            object.verify(&attached.program)?;
            match object.tap_at_sockets(attached, tap, observer) {
                Ok(tapped) => sockets.attach(&tapped, attached, &self.namespace)?,
                Err(error) => {
                    let program = object.verify(&attached.program)?;
                    sockets.attach(program, attached, &self.namespace)?;
                    untapped.push((attached, error));
                }
            }
        }
        Ok(untapped)
    }

    /// Makes a socket call of the node's task, or of one of its pods. This thread must be in the namespace of whose it is.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn call(&mut self, socket: &SocketName, call: &SocketCall) -> Result<Called, Error> {
        let Some(sockets) = &mut self.sockets else {
            return Err(Error::UnknownNode(self.plan.name.clone()));
        };
        match call {
            SocketCall::Put { map, key } => {
                let mut objects = self.objects.values();
                let object = objects.find(|object| object.maps().contains_key(map));
                let object = object.or(self.objects.values().next());
                let object = object.ok_or_else(|| Error::UnknownNode(self.plan.name.clone()))?;
                sockets.put(socket, object.map(map)?, key)
            }
            call => sockets.call(socket, call),
        }
    }

    /// Asks what has come of a connection that was begun. This thread must be in the namespace of whose it is.
    ///
    /// # Errors
    /// When it cannot be asked.
    pub fn connected(&mut self, socket: &SocketName, to: SocketAddr) -> Result<Called, Error> {
        match &mut self.sockets {
            Some(sockets) => sockets.connected(socket, to),
            None => Err(Error::UnknownNode(self.plan.name.clone())),
        }
    }

    fn devices_with_filters(&self) -> BTreeSet<&'a DeviceName> {
        let hooks = self
            .plan
            .attachments
            .iter()
            .map(|attachment| &attachment.hook);
        hooks
            .filter(|hook| matches!(hook.kind, HookKind::TcIngress | HookKind::TcEgress))
            .map(|hook| &hook.device)
            .collect()
    }

    /// Sets the clock that the programs read, if they read one.
    ///
    /// # Errors
    /// The kernel's, and when the map's value is not a `u64`.
    pub fn set_clock(&mut self, at: Duration) -> Result<(), Error> {
        let Some(cell) = &self.plan.clock else {
            return Ok(());
        };
        let map = object_of(&mut self.objects, &self.plan.name, &cell.object)?.map(&cell.map)?;
        let nanoseconds = u64::try_from(at.as_nanos()).unwrap_or(u64::MAX);
        let now = nanoseconds.to_ne_bytes();
        contents::write(map, &cell.map, &cell.key, &now, Cpus::All)
    }

    /// Changes the objects' maps.
    ///
    /// # Errors
    /// When there is no such map, or the kernel refuses.
    pub fn change(&mut self, changes: &[MapChange]) -> Result<(), Error> {
        for change in changes {
            let (MapChange::Write { map, .. } | MapChange::Delete { map, .. }) = change;
            let name = &map.map;
            let store = object_of(&mut self.objects, &self.plan.name, &map.object)?.map(name)?;
            match change {
                MapChange::Write { key, value, .. } => {
                    contents::write(store, name, key, value, Cpus::All)?;
                }
                MapChange::Delete { key, .. } => contents::delete(store, name, key)?,
            }
        }
        Ok(())
    }

    /// Takes away what has expired of an object's connections and translations.
    ///
    /// # Errors
    /// When there is no such object, or the kernel refuses.
    pub fn collect(&mut self, object: &ObjectName, now: Duration) -> Result<(), Error> {
        let object = object_of(&mut self.objects, &self.plan.name, object)?;
        let read = |name: &str| match object.maps().get(name) {
            Some(map) => contents::read(map)
                .map(Option::unwrap_or_default)
                .map_err(Error::system(format!("read map `{name}`"))),
            None => Ok(MapContents::default()),
        };
        let (connections, translations) = (read(map::CT)?, read(map::SNAT)?);
        let garbage = gc::garbage(connections.plain(), translations.plain(), gc::seconds(now));
        for (name, key) in garbage.keys() {
            contents::delete(object.map(name)?, name, key)?;
        }
        Ok(())
    }

    /// How the programs were loaded, object by object.
    pub fn loads(&self) -> impl Iterator<Item = ProgramLoad> {
        self.objects.iter().flat_map(move |(name, object)| {
            let loads = object.loads().iter();
            loads.map(move |load| load.on(self.plan.name.clone(), name.clone()))
        })
    }

    /// What stands in the objects' maps.
    ///
    /// # Errors
    /// The kernel's.
    pub fn maps(&self) -> Result<BTreeMap<MapRef, MapContents>, Error> {
        let mut maps = BTreeMap::new();
        for (name, object) in &self.objects {
            for (map, data) in object.maps() {
                let what = format!("read map `{map}`");
                let contents = contents::read(data).map_err(Error::system(what))?;
                let reference = MapRef {
                    node: self.plan.name.clone(),
                    object: name.clone(),
                    map: map.clone(),
                };
                maps.extend(contents.map(|contents| (reference, contents)));
            }
        }
        Ok(maps)
    }
}

impl Drop for Node<'_> {
    fn drop(&mut self) {
        // aya takes tc filters away by the device's index in the namespace that the thread is in. In another
        // one that could be somebody else's device; the filters go with the namespace then.
        if self.namespace.enter().is_err() {
            std::mem::forget(std::mem::take(&mut self.attached));
        }
    }
}

fn object_of<'o>(
    objects: &'o mut BTreeMap<ObjectName, LoadedObject>,
    node: &NodeName,
    name: &ObjectName,
) -> Result<&'o mut LoadedObject, Error> {
    objects.get_mut(name).ok_or_else(|| Error::UnknownObject {
        node: node.clone(),
        object: name.clone(),
    })
}
