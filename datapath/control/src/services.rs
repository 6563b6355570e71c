//! Services as entries of `lb_services`, `lb_backends` and `lb_maglev`.

use std::collections::btree_map::Entry as Slot;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

use twinpath_abi::{
    BackendId, Family, MAGLEV_SIZE, Mac, MaglevTable, Port, RevNatIndex, ServiceKey, ServiceValue,
    map,
};

use crate::entries::{Entry, within};
use crate::maglev;
use crate::model::{Backend, ModelError, Place, Problem, Service, Transport};

pub(crate) fn entries(services: &[Service]) -> Result<Vec<Entry>, ModelError> {
    let mut taken = Taken::default();
    let mut backends = Backends::default();
    let mut virtual_ips = BTreeSet::new();
    let mut frontends = Vec::new();
    let mut tables = Vec::new();
    for (index, service) in services.iter().enumerate() {
        let number = taken.take(index, service).map_err(|problem| ModelError {
            place: Place::Service {
                index,
                name: service.name.clone(),
            },
            problem,
        })?;
        let ids = backends.of(index, service)?;
        virtual_ips.insert(service.vip);
        frontends.push(frontend(service, number, ids.len()));
        if !ids.is_empty() {
            tables.push(table(number, &ids));
        }
    }
    let mut entries = backends.entries;
    entries.extend(frontends);
    entries.extend(virtual_ips.into_iter().map(virtual_ip));
    entries.extend(tables);
    Ok(entries)
}

/// What two services must not have in common.
#[derive(Default)]
struct Taken<'a> {
    names: BTreeSet<&'a str>,
    frontends: BTreeSet<(SocketAddr, Transport)>,
}

impl<'a> Taken<'a> {
    /// Takes a service's name and frontend; returns its number.
    fn take(&mut self, index: usize, service: &'a Service) -> Result<RevNatIndex, Problem> {
        if !self.names.insert(&service.name) {
            return Err(Problem::NameTaken);
        }
        let frontend = SocketAddr::new(service.vip, service.port.get());
        if !self.frontends.insert((frontend, service.protocol)) {
            let protocol = service.protocol.protocol();
            return Err(Problem::FrontendTaken(format!("{frontend}/{protocol}")));
        }
        within(
            map::LB_MAGLEV,
            self.names.len(),
            map::max_entries::LB_MAGLEV,
        )?;
        // Small enough after that check.
        Ok(RevNatIndex(u16::try_from(index + 1).unwrap_or(u16::MAX)))
    }
}

/// All backends so far. One that several services share has one number.
#[derive(Default)]
struct Backends {
    ids: BTreeMap<(SocketAddr, Transport), (BackendId, Option<Mac>)>,
    entries: Vec<Entry>,
}

impl Backends {
    /// The numbers of a service's backends, with what each is called in the Maglev table.
    fn of(
        &mut self,
        index: usize,
        service: &Service,
    ) -> Result<Vec<(String, BackendId)>, ModelError> {
        let mut ids = BTreeMap::new();
        for (backend_index, backend) in service.backends.iter().enumerate() {
            let fail = |problem| ModelError {
                place: Place::Backend {
                    service: index,
                    name: service.name.clone(),
                    index: backend_index,
                },
                problem,
            };
            let id = self.number(service, backend).map_err(fail)?;
            let name = backend.name(service.protocol);
            if ids.insert(name.clone(), id).is_some() {
                return Err(fail(Problem::BackendTwice(name)));
            }
        }
        Ok(ids.into_iter().collect())
    }

    fn number(&mut self, service: &Service, backend: &Backend) -> Result<BackendId, Problem> {
        if backend.address.is_ipv4() != service.vip.is_ipv4() {
            return Err(Problem::FamilyDiffers {
                backend: backend.address,
                vip: service.vip,
            });
        }
        let next = u32::try_from(self.ids.len() + 1).unwrap_or(u32::MAX);
        let key = (backend.socket(), service.protocol);
        match self.ids.entry(key) {
            Slot::Occupied(known) => match *known.get() {
                (id, mac) if mac == backend.mac => Ok(id),
                _ => Err(Problem::MacDiffers(backend.name(service.protocol))),
            },
            Slot::Vacant(free) => {
                let (id, _) = *free.insert((BackendId(next), backend.mac));
                let value = backend.value(service.protocol);
                self.entries.push(Entry::new(map::LB_BACKENDS, &id, &value));
                within(
                    map::LB_BACKENDS,
                    self.entries.len(),
                    map::max_entries::LB_BACKENDS,
                )?;
                Ok(id)
            }
        }
    }
}

impl Backend {
    fn socket(&self) -> SocketAddr {
        SocketAddr::new(self.address, self.port.get())
    }

    /// What the backend is called where its name decides.
    fn name(&self, protocol: Transport) -> String {
        format!("{}/{}", self.socket(), protocol.protocol())
    }

    fn value(&self, protocol: Transport) -> twinpath_abi::Backend {
        twinpath_abi::Backend {
            address: self.address.into(),
            port: Port::new(self.port.get()),
            proto: protocol.protocol(),
            flags: 0,
            cluster_id: 0,
            zone: 0,
            family: Family::of(self.address),
            mac: self.mac.unwrap_or(Mac::NONE),
            reserved: 0,
        }
    }
}

/// The entry of the frontend.
fn frontend(service: &Service, number: RevNatIndex, backends: usize) -> Entry {
    let port = Port::new(service.port.get());
    let key = ServiceKey::new(service.vip, port, service.protocol.protocol());
    let count = u16::try_from(backends).unwrap_or(u16::MAX);
    Entry::new(map::LB_SERVICES, &key, &service_value(number, count))
}

/// The entry of a virtual IP as a whole.
fn virtual_ip(vip: IpAddr) -> Entry {
    let value = service_value(RevNatIndex(0), 0);
    Entry::new(map::LB_SERVICES, &ServiceKey::wildcard(vip), &value)
}

fn service_value(rev_nat_index: RevNatIndex, count: u16) -> ServiceValue {
    ServiceValue {
        backend_id: BackendId(0),
        count,
        rev_nat_index,
        flags: 0,
        flags2: 0,
        qcount: 0,
    }
}

/// The Maglev table over a service's backends.
fn table(number: RevNatIndex, backends: &[(String, BackendId)]) -> Entry {
    let names: Vec<_> = backends.iter().map(|(name, _)| name.as_str()).collect();
    let mut table = MaglevTable {
        backends: [BackendId(0); MAGLEV_SIZE],
    };
    let slots = maglev::populate(&names, maglev::TableSize::DATAPATH);
    for (slot, backend) in table.backends.iter_mut().zip(slots) {
        if let Some((_, id)) = backends.get(backend) {
            *slot = *id;
        }
    }
    Entry::new(map::LB_MAGLEV, &number, &table)
}
