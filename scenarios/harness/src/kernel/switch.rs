//! Switches: each a bridge in a namespace of its own, whose ports are the far ends of the devices of a segment.

use super::devices;
use super::error::Error;
use super::links::{FarEnd, Links};
use super::namespace::Namespace;
use super::sys::packet::PacketSocket;
use super::sysctl;
use super::tap::Observer;
use super::tap::record::SWITCH;
use crate::plan::{DevicePlan, Mac};

/// What joins the devices of a segment.
pub struct Switch {
    /// The indexes of the ports.
    ports: Vec<u32>,
    /// Shows a tap what is on its way: nothing is quiet before that has arrived.
    _watch: PacketSocket,
    links: Links,
    namespace: Namespace,
}

const NAME: &str = "switch";
/// The first indexes are those of devices that modules for tunnels put into each namespace.
const IFINDEX: u32 = 999;
/// Ports get indexes from here on.
const FIRST_PORT: u32 = 1000;

impl Switch {
    /// Makes the namespace with the bridge, which has no ports yet, and leaves this thread in it.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub async fn create(observer: &Observer) -> Result<Self, Error> {
        let namespace =
            Namespace::create().map_err(Error::system("make a network namespace for a switch"))?;
        sysctl::calm_namespace()?;
        let watch = observer.watch_received(SWITCH, None)?;
        let links = Links::open()?;
        let bridge = devices::bridge(NAME, IFINDEX, Mac([0x02, 0xfd, 0, 0, 0, 0]));
        links.add(bridge, NAME).await?;
        links.up(IFINDEX).await?;
        Ok(Self {
            ports: Vec::new(),
            _watch: watch,
            links,
            namespace,
        })
    }

    /// Gives a device a port that is yet to be made.
    pub fn reserve(&mut self, plan: &DevicePlan) -> FarEnd<'_> {
        let number = self.ports.len() as u16 + 1;
        // The kernel hurries to get a veth pair going only if the ends' indexes differ.
        let mut ifindex = FIRST_PORT + 2 * u32::from(number);
        if ifindex == plan.ifindex.get() {
            ifindex += 1;
        }
        self.ports.push(ifindex);
        let [high, low] = number.to_be_bytes();
        FarEnd {
            name: format!("port{number}"),
            ifindex,
            mac: [0x02, 0xfd, 0, 0, high, low],
            mtu: plan.mtu,
            namespace: &self.namespace,
        }
    }

    /// Puts this thread into the namespace.
    ///
    /// # Errors
    /// The kernel's.
    pub fn enter(&self) -> Result<(), Error> {
        self.namespace
            .enter()
            .map_err(Error::system("enter the namespace of a switch"))
    }

    /// Joins the ports, which are there now. This thread must be in the namespace.
    ///
    /// # Errors
    /// The kernel's.
    pub async fn connect(&self) -> Result<(), Error> {
        for port in &self.ports {
            self.links.join(*port, IFINDEX).await?;
            self.links.up(*port).await?;
        }
        Ok(())
    }

    /// Forgets what the kernel's own frames have taught it.
    ///
    /// # Errors
    /// The kernel's.
    pub async fn forget(&self) -> Result<(), Error> {
        self.links.forget(IFINDEX).await
    }
}
