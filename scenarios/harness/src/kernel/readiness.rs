//! When a device takes in what is for its IPv6 addresses.
//!
//! An address that was added does not count yet. It stays tentative until work queues of the kernel have come to it:
//! one for the device's link (`net/core/link_watch.c`), without which the device is not ready for IPv6, then one for
//! duplicate address detection (`net/ipv6/addrconf.c`), also where that is turned off. The last thing that happens is
//! that the address gets its route in the local table, which the kernel announces.

use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use rtnetlink::packet_core::NetlinkPayload;
use rtnetlink::packet_route::RouteNetlinkMessage;
use rtnetlink::packet_route::route::{RouteAddress, RouteAttribute, RouteMessage, RouteType};
use rtnetlink::{MulticastGroup, new_multicast_connection};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::error::Error;
use crate::plan::DevicePlan;

/// The kernel's workers need no longer, however much else there is to do.
const LIMIT: Duration = Duration::from_secs(30);

/// Listens for the routes of a device's addresses.
pub struct Readiness(Option<Listening>);

struct Listening {
    connection: JoinHandle<()>,
    /// Ends when each address has its route.
    all: JoinHandle<io::Result<()>>,
}

impl Readiness {
    /// Begins to listen, in the namespace that this thread is in, before the device has its addresses.
    ///
    /// # Errors
    /// The kernel's.
    pub fn of(device: &DevicePlan) -> Result<Self, Error> {
        let addresses = device.addresses.iter();
        let mut missing: BTreeSet<Ipv6Addr> = addresses
            .filter_map(|address| match address.addr() {
                IpAddr::V6(address) => Some(address),
                IpAddr::V4(_) => None,
            })
            .collect();
        if missing.is_empty() {
            return Ok(Self(None));
        }
        let (connection, _, mut news) = new_multicast_connection(&[MulticastGroup::Ipv6Route])
            .map_err(Error::system("open a netlink socket"))?;
        let all = async move {
            while !missing.is_empty() {
                let (message, _) = news.recv().await.map_err(io::Error::other)?;
                if let NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewRoute(route)) =
                    message.payload
                    && let Some(address) = local_address(&route)
                {
                    missing.remove(&address);
                }
            }
            Ok(())
        };
        Ok(Self(Some(Listening {
            connection: tokio::spawn(connection),
            all: tokio::spawn(all),
        })))
    }

    /// Returns when each address has its route.
    ///
    /// # Errors
    /// When the kernel does not come to that.
    pub async fn wait(&mut self) -> io::Result<()> {
        match &mut self.0 {
            Some(listening) => timeout(LIMIT, &mut listening.all).await??,
            None => Ok(()),
        }
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.connection.abort();
        self.all.abort();
    }
}

/// The address that a route of the local table is for.
fn local_address(route: &RouteMessage) -> Option<Ipv6Addr> {
    if route.header.kind != RouteType::Local {
        return None;
    }
    route
        .attributes
        .iter()
        .find_map(|attribute| match attribute {
            RouteAttribute::Destination(RouteAddress::Inet6(address)) => Some(*address),
            _ => None,
        })
}
