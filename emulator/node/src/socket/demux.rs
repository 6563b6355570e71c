//! To which socket a packet goes, `sk_lookup` programs asked (`bpf_sk_lookup_run_v4`).

use twinpath_machine::memory::{Memory, Object};
use twinpath_machine::{AttachType, SocketId};

use super::Sockets;
use super::calls::SocketCalls;
use super::hook::{Choice, SocketSubject};
use super::lookup::Query;
use super::pointer::View;
use super::types::{Protocol, State};
use crate::context::{write_selected, write_sk_lookup};

/// What the programs of a namespace say about a packet.
enum Advice {
    /// Nothing: the tables decide.
    None,
    /// This socket.
    Socket(Choice),
    /// No socket.
    Refuse,
}

impl SocketCalls<'_> {
    /// The socket that a packet goes to, if any.
    ///
    /// A program that faults on the way counts as one that refuses; the fault is among the runs.
    pub(crate) fn find_socket(&mut self, query: &Query) -> Option<SocketId> {
        self.net.sockets.expire(self.machine);
        match query.flow.protocol {
            Protocol::Tcp => self
                .net
                .sockets
                .find_connection(query)
                .or_else(|| self.advised(query, |sockets| sockets.find_listener(query))),
            Protocol::Udp => {
                let exact = self.net.sockets.find_datagram(query);
                let state = exact
                    .and_then(|id| self.net.sockets.get(id))
                    .map(|socket| socket.state);
                if state == Some(State::Established) {
                    return exact;
                }
                self.advised(query, |sockets| {
                    exact.or_else(|| sockets.find_datagram_any(query))
                })
            }
            Protocol::None => None,
        }
    }

    fn advised(
        &mut self,
        query: &Query,
        otherwise: impl FnOnce(&Sockets) -> Option<SocketId>,
    ) -> Option<SocketId> {
        match self.ask(query) {
            Advice::None => otherwise(&self.net.sockets),
            Advice::Refuse => None,
            Advice::Socket(choice) => {
                let id = choice.socket?;
                if choice.alone {
                    return Some(id);
                }
                let socket = self.net.sockets.get(id)?;
                let member = self.net.sockets.choose_in_group(socket, &query.flow);
                Some(member.unwrap_or(id))
            }
        }
    }

    /// `BPF_PROG_SK_LOOKUP_RUN_ARRAY`
    fn ask(&mut self, query: &Query) -> Advice {
        const SK_DROP: u32 = 0;
        const SK_PASS: u32 = 1;
        let namespace = self.net.sockets.namespace(query.node);
        let programs = namespace.map_or_else(Vec::new, |namespace| namespace.lookups.clone());
        let mut chosen = Choice::default();
        let mut refused = false;
        for program in programs {
            let at = self.net.next_context();
            let mut subject = SocketSubject::new(AttachType::SkLookup, query.node);
            subject.flow = Some(query.flow);
            subject.choice = chosen;
            write_sk_lookup(&mut self.machine.memory, at, &query.flow, query.device);
            let bound = self
                .net
                .sockets
                .write_choice(&mut self.machine.memory, at, chosen);
            let result = self.run_recorded(program, &mut subject, bound.as_slice());
            match result {
                Ok(SK_PASS) if subject.choice.socket.is_some() => chosen = subject.choice,
                Ok(SK_DROP) | Err(_) => refused = true,
                Ok(_) => {}
            }
        }
        match chosen.socket {
            Some(_) => Advice::Socket(chosen),
            None if refused => Advice::Refuse,
            None => Advice::None,
        }
    }
}

impl Sockets {
    /// Writes into a `sk_lookup` program's context which socket is chosen; what the field points to.
    pub(crate) fn write_choice(
        &self,
        memory: &mut Memory,
        at: u32,
        choice: Choice,
    ) -> Option<Object> {
        let object = choice.socket.map(|id| self.object(memory, id, View::Full));
        write_selected(memory, at, object.map_or(0, |object| object.base));
        object
    }
}
