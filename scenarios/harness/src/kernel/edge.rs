//! The far ends of all devices: where stimuli enter and what leaves is seen.

use std::io;
use std::os::fd::OwnedFd;

use super::error::Error;
use super::links::{FarEnd, LOOPBACK, Links, send_plainly};
use super::namespace::Namespace;
use super::quiet::Barrier;
use super::sys::packet::PacketSocket;
use super::sysctl;
use super::tap::Observer;
use super::tap::record::BEHIND_FAR_END;
use crate::plan::{DevicePlace, DevicePlan, Joined, Plan};

/// The namespace of the far ends.
pub struct Edge {
    ends: Vec<Wire>,
    /// The taps on the far ends.
    watches: Vec<OwnedFd>,
    /// The tap behind those: a program may put a packet there.
    behind: Option<PacketSocket>,
    injector: PacketSocket,
    /// The same for segments that are joined.
    joiner: PacketSocket,
    /// Shows when everything is over.
    pub barrier: Barrier,
    links: Links,
    namespace: Namespace,
}

/// The far end of a device's wire.
#[derive(Debug, Clone)]
struct Wire {
    /// The places of the node in the plan and of the device on the node.
    device: DevicePlace,
    name: String,
    ifindex: u32,
}

/// Far ends get indexes from here on.
const FIRST_IFINDEX: u32 = 1000;

impl Edge {
    /// Makes the namespace and leaves this thread in it.
    ///
    /// # Errors
    /// The kernel's.
    pub async fn open() -> Result<Self, Error> {
        let namespace = Namespace::create()
            .map_err(Error::system("make a network namespace for the far ends"))?;
        sysctl::calm_namespace()?;
        let links = Links::open()?;
        links.up(LOOPBACK).await?;
        Ok(Self {
            ends: Vec::new(),
            watches: Vec::new(),
            behind: None,
            injector: PacketSocket::open().map_err(Error::system("open a packet socket"))?,
            joiner: PacketSocket::offloading().map_err(Error::system("open a packet socket"))?,
            barrier: Barrier::open().map_err(Error::system("open a packet socket"))?,
            links,
            namespace,
        })
    }

    /// Puts this thread into the namespace.
    ///
    /// # Errors
    /// The kernel's.
    pub fn enter(&self) -> Result<(), Error> {
        self.namespace
            .enter()
            .map_err(Error::system("enter the namespace of the far ends"))
    }

    /// Gives a device a far end that is yet to be made.
    pub fn reserve(&mut self, device: DevicePlace, plan: &DevicePlan) -> FarEnd<'_> {
        let number = self.ends.len() as u32;
        // The kernel hurries to get a veth pair going only if the ends' indexes differ.
        let mut far = FIRST_IFINDEX + 2 * number;
        if far == plan.ifindex.get() {
            far += 1;
        }
        let name = format!("far{number}");
        self.ends.push(Wire {
            device,
            name: name.clone(),
            ifindex: far,
        });
        let [.., a, b] = number.to_be_bytes();
        FarEnd {
            name,
            ifindex: far,
            mac: [0x02, 0xfe, 0, 0, a, b],
            mtu: plan.mtu,
            namespace: &self.namespace,
        }
    }

    /// Puts a tap on each far end and brings it up. What gets segments that are joined goes on cutting them only where a
    /// program in the other end's driver asks for that. This thread must be in the namespace.
    ///
    /// # Errors
    /// The kernel's.
    pub async fn connect(&mut self, plan: &Plan, observer: &Observer) -> Result<(), Error> {
        let behind = observer.watch_received(BEHIND_FAR_END, Some(LOOPBACK))?;
        self.behind = Some(behind);
        for end in &self.ends {
            let node = &plan.nodes[end.device.node];
            let device = &node.devices[end.device.device];
            if !plan.joins_segments(&node.name, &device.name) {
                send_plainly(&self.injector, &end.name)?;
            }
            let what = format!("put a tap on the far end `{}`", end.name);
            let watch = observer
                .watch_device(end.ifindex)
                .map_err(Error::system(what))?;
            self.watches.push(watch);
            self.links.up(end.ifindex).await?;
        }
        Ok(())
    }

    /// The device whose far end has this index.
    pub fn device_at(&self, far_ifindex: u32) -> Option<DevicePlace> {
        let end = self.ends.iter().find(|end| end.ifindex == far_ifindex);
        end.map(|end| end.device)
    }

    /// Lets a frame arrive at a device.
    ///
    /// # Errors
    /// The kernel's.
    pub fn send_to(
        &self,
        device: DevicePlace,
        frame: &[u8],
        joined: Option<&Joined>,
    ) -> io::Result<()> {
        let end = self.ends.iter().find(|end| end.device == device);
        let end = end.ok_or(io::ErrorKind::NotFound)?;
        match joined {
            Some(joined) => self.joiner.send_joined(end.ifindex, frame, joined),
            None => self.injector.send(end.ifindex, frame),
        }
    }
}
