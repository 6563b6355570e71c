//! Devices, by rtnetlink.

use std::os::fd::{AsFd, AsRawFd};

use rtnetlink::packet_route::link::{InfoData, InfoKind, InfoVeth, LinkAttribute, LinkMessage};
use rtnetlink::{Handle, LinkMessageBuilder, LinkUnspec, LinkVeth};
use tokio::task::JoinHandle;

use super::error::Error;
use super::namespace::Namespace;
use super::readiness::Readiness;
use super::sys::ethtool::disable_offloads;
use super::sys::packet::PacketSocket;
use super::sysctl;
use crate::plan::DevicePlan;

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

    /// Makes a device in this namespace, and its far end in another. Both are down.
    ///
    /// # Errors
    /// The kernel's: a name or index that is taken, an MTU or address that it does not accept.
    pub async fn add_veth(&self, device: &DevicePlan, far_end: &FarEnd<'_>) -> Result<(), Error> {
        let peer = queues(LinkMessageBuilder::<LinkUnspec>::default())
            .name(&far_end.name)
            .index(far_end.ifindex)
            .address(far_end.mac.to_vec())
            .mtu(device.mtu)
            .setns_by_fd(far_end.namespace.as_fd().as_raw_fd())
            .build();
        let message = queues(LinkMessageBuilder::<LinkVeth>::new_with_info_kind(
            InfoKind::Veth,
        ))
        .name(device.name.as_str())
        .index(device.ifindex.get())
        .address(device.mac.0.to_vec())
        .mtu(device.mtu)
        .set_info_data(InfoData::Veth(InfoVeth::Peer(peer)))
        .build();
        self.add(message, device.name.as_str()).await
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

    /// Brings a device up.
    ///
    /// # Errors
    /// The kernel's.
    pub async fn up(&self, ifindex: u32) -> Result<(), Error> {
        self.handle
            .link()
            .set(LinkUnspec::new_with_index(ifindex).up().build())
            .execute()
            .await
            .map_err(Error::netlink(format!("bring device {ifindex} up")))
    }

    /// Gives a device its addresses, and returns when it takes in what is for them. The thread must be in the
    /// device's namespace, and both ends of the device must be up.
    ///
    /// # Errors
    /// The kernel's.
    pub async fn add_addresses(&self, device: &DevicePlan) -> Result<(), Error> {
        if device
            .addresses
            .iter()
            .any(|address| address.addr().is_ipv6())
        {
            sysctl::allow_ipv6(device.name.as_str())?;
        }
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
    /// The namespace that it is in.
    pub namespace: &'a Namespace,
}

/// One queue each way: a frame has one way through, and no more memory is taken than it needs.
fn queues<T>(builder: LinkMessageBuilder<T>) -> LinkMessageBuilder<T> {
    builder
        .append_extra_attribute(LinkAttribute::NumTxQueues(1))
        .append_extra_attribute(LinkAttribute::NumRxQueues(1))
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
