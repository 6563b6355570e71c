//! Devices, by rtnetlink.

use std::io::ErrorKind;
use std::net::IpAddr;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use futures::TryStreamExt;
use rtnetlink::packet_route::link::{
    InfoBridge, InfoData, InfoKind, LinkAttribute, LinkMessage, State,
};
use rtnetlink::packet_route::neighbour::NeighbourFlags;
use rtnetlink::{Handle, LinkMessageBuilder, LinkUnspec};
use tokio::task::JoinHandle;

use super::error::Error;
use super::namespace::Namespace;
use super::readiness::Readiness;
use super::sys::ethtool::disable_offloads;
use super::sys::packet::PacketSocket;
use crate::plan::{DevicePlan, Mac};

/// The kernel's workers need no longer, however much else there is to do.
const CARRIER_LIMIT: Duration = Duration::from_secs(30);

/// The loopback device's index, in each namespace.
pub const LOOPBACK: u32 = 1;

/// A netlink connection to the namespace in which it was opened.
pub struct Links {
    handle: Handle,
    connection: JoinHandle<()>,
}

impl Links {
    /// Opens a connection to the namespace that this thread is in.
    ///
    /// # Errors
    /// The kernel's.
    pub fn open() -> Result<Self, Error> {
        let (connection, handle, _) =
            rtnetlink::new_connection().map_err(Error::system("open a netlink socket"))?;
        Ok(Self {
            handle,
            connection: tokio::spawn(connection),
        })
    }

    /// Makes a device.
    ///
    /// # Errors
    /// The kernel's.
    pub async fn add(&self, message: LinkMessage, name: &str) -> Result<(), Error> {
        let what = format!("make device `{name}`");
        self.handle
            .link()
            .add(message)
            .execute()
            .await
            .map_err(Error::netlink(what))
    }

    /// Makes a device a port of a bridge.
    ///
    /// # Errors
    /// The kernel's.
    pub async fn join(&self, port: u32, bridge: u32) -> Result<(), Error> {
        let message = LinkUnspec::new_with_index(port).controller(bridge).build();
        self.set(
            message,
            &format!("make device {port} a port of device {bridge}"),
        )
        .await
    }

    /// Sets the MTU of a bridge, which otherwise follows those of its ports.
    ///
    /// # Errors
    /// The kernel's.
    pub async fn set_mtu(&self, device: &DevicePlan) -> Result<(), Error> {
        let message = LinkUnspec::new_with_index(device.ifindex.get())
            .mtu(device.mtu)
            .build();
        let what = format!("give device `{}` an MTU of {}", device.name, device.mtu);
        self.set(message, &what).await
    }

    /// Has a bridge forget what it has learned.
    ///
    /// # Errors
    /// The kernel's.
    pub async fn forget(&self, bridge: u32) -> Result<(), Error> {
        let flush = InfoData::Bridge(vec![InfoBridge::FdbFlush]);
        let message = LinkMessageBuilder::<LinkUnspec>::new_with_info_kind(InfoKind::Bridge)
            .index(bridge)
            .set_info_data(flush)
            .build();
        let change = self.handle.link().change(message).execute().await;
        change.map_err(Error::netlink(format!("have bridge {bridge} forget")))
    }

    async fn set(&self, message: LinkMessage, what: &str) -> Result<(), Error> {
        let set = self.handle.link().set(message).execute().await;
        set.map_err(Error::netlink(what))
    }

    /// Tells a tunnel device where a station is.
    ///
    /// # Errors
    /// The kernel's.
    pub async fn add_station(
        &self,
        device: &DevicePlan,
        mac: Mac,
        end: IpAddr,
    ) -> Result<(), Error> {
        let neighbours = self.handle.neighbours();
        let request = neighbours.add_bridge(device.ifindex.get(), &mac.0);
        let request = request.destination(end).flags(NeighbourFlags::Own);
        let what = format!("add station {mac} at {end} to device `{}`", device.name);
        request.execute().await.map_err(Error::netlink(what))
    }

    /// Returns when a device that was brought up sends what it is given: what has a wire does so only when a work
    /// queue of the kernel has noticed that its other end is up, too (`net/core/link_watch.c`).
    ///
    /// # Errors
    /// The kernel's, and when it does not come to that.
    pub async fn wait_for_carrier(&self, device: &DevicePlan) -> Result<(), Error> {
        let what = || format!("wait for the wire of device `{}`", device.name);
        let deadline = Instant::now() + CARRIER_LIMIT;
        loop {
            let links = self.handle.link().get();
            let mut found = links.match_index(device.ifindex.get()).execute();
            let link = found.try_next().await.map_err(Error::netlink(what()))?;
            let ready = link.is_some_and(|link| {
                let mut attributes = link.attributes.iter();
                attributes.any(|attribute| *attribute == LinkAttribute::OperState(State::Up))
            });
            if ready {
                return Ok(());
            }
            if Instant::now() > deadline {
                return Err(Error::system(what())(ErrorKind::TimedOut.into()));
            }
            tokio::task::yield_now().await;
        }
    }

    /// What sends further requests.
    pub fn handle(&self) -> &Handle {
        &self.handle
    }

    /// Brings a device up that passes on what it gets: joined segments stay joined.
    ///
    /// # Errors
    /// The kernel's.
    pub async fn up(&self, ifindex: u32) -> Result<(), Error> {
        self.bring_up(LinkUnspec::new_with_index(ifindex), ifindex)
            .await
    }

    /// Brings a device up to which sockets give one segment at a time: no program sees several as one packet that is
    /// longer than the device takes.
    ///
    /// # Errors
    /// The kernel's.
    pub async fn up_for_sockets(&self, ifindex: u32) -> Result<(), Error> {
        let link = LinkUnspec::new_with_index(ifindex);
        let link = link.append_extra_attribute(LinkAttribute::GsoMaxSegs(1));
        self.bring_up(link, ifindex).await
    }

    async fn bring_up(
        &self,
        link: LinkMessageBuilder<LinkUnspec>,
        ifindex: u32,
    ) -> Result<(), Error> {
        let what = format!("bring device {ifindex} up");
        self.set(link.up().build(), &what).await
    }

    /// Gives a device its addresses, and returns when it takes in what is for them. The thread must be in the
    /// device's namespace, and both ends of the device must be up.
    ///
    /// # Errors
    /// The kernel's.
    pub async fn add_addresses(&self, device: &DevicePlan) -> Result<(), Error> {
        let mut ready = Readiness::of(device)?;
        for address in &device.addresses {
            self.handle
                .address()
                .add(device.ifindex.get(), address.addr(), address.prefix_len())
                .execute()
                .await
                .map_err(Error::netlink(format!(
                    "give device `{}` the address {address}",
                    device.name
                )))?;
        }
        ready.wait().await.map_err(Error::system(format!(
            "wait for the IPv6 addresses of device `{}`",
            device.name
        )))
    }
}

impl Drop for Links {
    fn drop(&mut self) {
        self.connection.abort();
    }
}

/// The other end of a device's wire.
pub struct FarEnd<'a> {
    /// Its name.
    pub name: String,
    /// Its index.
    pub ifindex: u32,
    /// Its hardware address.
    pub mac: [u8; 6],
    /// Largest packet without the Ethernet header, in bytes.
    pub mtu: u32,
    /// The namespace that it is in.
    pub namespace: &'a Namespace,
}

/// Turns off what would keep a device from sending the bytes of a frame as they will be on the wire. `socket` is
/// of the device's namespace.
///
/// # Errors
/// The kernel's.
pub fn send_plainly(socket: &PacketSocket, device: &str) -> Result<(), Error> {
    disable_offloads(socket.as_fd(), device).map_err(Error::system(format!(
        "turn off the offloads of device `{device}`"
    )))
}
