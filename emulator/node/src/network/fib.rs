//! Longest-prefix lookups in tables, and which table is looked in (`net/ipv4/fib_trie.c`,
//! `net/ipv6/ip6_fib.c`, `net/core/fib_rules.c`).

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::ops::ControlFlow;

use super::routes::{TABLE_DEFAULT, TABLE_LOCAL, TABLE_MAIN};
use super::{Prefix, Route, RouteKind, RouteQuery, Rule, RuleAction};
use crate::net::DeviceId;

/// One table's routes of one address family.
#[derive(Debug, Default)]
struct Table {
    /// By ascending metric, then in the order of addition.
    routes: BTreeMap<Prefix, Vec<Route>>,
    /// How many networks have prefixes of a length.
    lengths: BTreeMap<u8, u32>,
}

impl Table {
    fn add(&mut self, route: Route) {
        let Some(prefix) = Prefix::new(route.network, route.prefix) else {
            return;
        };
        let routes = self.routes.entry(prefix).or_default();
        if routes.is_empty() {
            *self.lengths.entry(prefix.len()).or_default() += 1;
        }
        let at = routes.partition_point(|other| other.metric <= route.metric);
        routes.insert(at, route);
    }

    fn at(&self, address: IpAddr, len: u8) -> &[Route] {
        let prefix = Prefix::new(address, len);
        let routes = prefix.and_then(|prefix| self.routes.get(&prefix));
        routes.map_or(&[], Vec::as_slice)
    }
}

/// Tables and rules of a node.
#[derive(Debug)]
pub(super) struct Fib {
    loopback: DeviceId,
    /// By number, and whether it is of IPv6.
    tables: BTreeMap<(u32, bool), Table>,
    /// Rules other than the kernel's own, in the order in which they are asked.
    rules: Vec<Rule>,
    /// Whether somebody has said that an IPv4 address is local which is not the node's.
    own_local_routes: bool,
}

/// What a table says.
enum Answer {
    Route(Route),
    /// Nothing: the next rule is asked.
    None,
}

impl Fib {
    pub(super) fn new(loopback: DeviceId) -> Self {
        Self {
            loopback,
            tables: BTreeMap::new(),
            rules: Vec::new(),
            own_local_routes: false,
        }
    }

    /// Adds a route that somebody asked for.
    pub(super) fn add_route(&mut self, route: Route) {
        self.own_local_routes |= route.kind == RouteKind::Local && route.network.is_ipv4();
        self.add_brought_route(route);
    }

    pub(super) fn has_own_local_routes(&self) -> bool {
        self.own_local_routes
    }

    /// Adds a route that an address brings with it.
    pub(super) fn add_brought_route(&mut self, route: Route) {
        let key = (route.table, route.network.is_ipv6());
        self.tables.entry(key).or_default().add(route);
    }

    pub(super) fn add_rule(&mut self, rule: Rule) {
        let at = (self.rules).partition_point(|other| other.priority <= rule.priority);
        self.rules.insert(at, rule);
    }

    /// Whether rules other than the kernel's own decide for a family.
    pub(super) fn has_rules(&self, ipv6: bool) -> bool {
        self.rules.iter().any(|rule| rule.ipv6 == ipv6)
    }

    /// All routes.
    pub(super) fn routes(&self) -> impl Iterator<Item = &Route> {
        let tables = self.tables.values();
        tables.flat_map(|table| table.routes.values().flatten())
    }

    pub(super) fn lookup(&self, query: &RouteQuery, down: &BTreeSet<DeviceId>) -> Option<Route> {
        let ipv6 = query.destination.is_ipv6();
        let of = |tables: &[u32]| match self.search(tables, query, down) {
            Answer::Route(route) => Some(route),
            Answer::None => None,
        };
        // Without rules of its own, a node's IPv4 routes of both tables are in one trie.
        let merged = !ipv6 && !self.has_rules(false);
        match query.table {
            Some(TABLE_LOCAL | TABLE_MAIN) if merged => of(&[TABLE_LOCAL, TABLE_MAIN]),
            Some(table) => of(&[table]),
            None if merged => of(&[TABLE_LOCAL, TABLE_MAIN]).or_else(|| of(&[TABLE_DEFAULT])),
            None => self.by_rules(query, of),
        }
    }

    /// `fib_rules_lookup`, the kernel's own rules among the others.
    fn by_rules(&self, query: &RouteQuery, of: impl Fn(&[u32]) -> Option<Route>) -> Option<Route> {
        let built_in = [
            (0, TABLE_LOCAL),
            (32766, TABLE_MAIN),
            (32767, TABLE_DEFAULT),
        ];
        let mut built_in = built_in.into_iter().peekable();
        let mut rules = self.rules.iter().peekable();
        loop {
            let next = built_in.peek().map(|(priority, _)| *priority);
            let own = rules
                .peek()
                .filter(|rule| next.is_none_or(|next| rule.priority < next));
            if own.is_some() {
                let rule = rules.next()?;
                if rule.fits(query, self.loopback) {
                    match self.act(rule, &of) {
                        ControlFlow::Continue(()) => {}
                        ControlFlow::Break(route) => return route,
                    }
                }
                continue;
            }
            let (_, table) = built_in.next()?;
            if let Some(route) = of(&[table]) {
                return Some(route);
            }
        }
    }

    /// What a rule says; nothing when the next is to be asked.
    fn act(&self, rule: &Rule, of: impl Fn(&[u32]) -> Option<Route>) -> ControlFlow<Option<Route>> {
        let kind = match rule.action {
            RuleAction::Table(table) => {
                return of(&[table]).map_or(ControlFlow::Continue(()), |route| {
                    ControlFlow::Break(Some(route))
                });
            }
            // "Network unreachable", as where no table has an answer.
            RuleAction::Unreachable => return ControlFlow::Break(None),
            RuleAction::Blackhole => RouteKind::Blackhole,
            RuleAction::Prohibit => RouteKind::Prohibit,
        };
        let any = if rule.ipv6 {
            IpAddr::V6(std::net::Ipv6Addr::UNSPECIFIED)
        } else {
            IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED)
        };
        ControlFlow::Break(Some(Route {
            kind,
            table: 0,
            ..Route::new(any, 0, self.loopback)
        }))
    }

    /// The longest prefix of several tables, of one length that of the first table.
    fn search(&self, tables: &[u32], query: &RouteQuery, down: &BTreeSet<DeviceId>) -> Answer {
        let ipv6 = query.destination.is_ipv6();
        let table = |number: &u32| self.tables.get(&(*number, ipv6));
        let mut below = u8::MAX;
        loop {
            let longest = |table: &Table| {
                table
                    .lengths
                    .range(..below)
                    .next_back()
                    .map(|(len, _)| *len)
            };
            let Some(len) = tables.iter().filter_map(table).filter_map(longest).max() else {
                return Answer::None;
            };
            let here = tables.iter().filter_map(table);
            let mut here = here.flat_map(|table| table.at(query.destination, len));
            let first = here.clone().find(|route| usable(route, query, down));
            // Of those with the same metric, one by the device that was asked for.
            let preferred = first.and_then(|first| {
                here.find(|route| route.metric == first.metric && leaves(route, query))
            });
            if let Some(route) = preferred.or(first) {
                return match route.kind {
                    RouteKind::Throw => Answer::None,
                    _ => Answer::Route(*route),
                };
            }
            below = len;
        }
    }
}

/// Whether a packet may take a route; one to nowhere has no device that could be the wrong one.
fn usable(route: &Route, query: &RouteQuery, down: &BTreeSet<DeviceId>) -> bool {
    let nowhere = route.kind.leads_nowhere();
    let any_device = query.destination.is_ipv6() && !query.strict;
    let by_device = any_device || leaves(route, query);
    nowhere || (by_device && !down.contains(&route.device))
}

fn leaves(route: &Route, query: &RouteQuery) -> bool {
    query.output.is_none_or(|device| route.device == device)
}
