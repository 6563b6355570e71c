//! Groups of sockets that share a port (`net/core/sock_reuseport.c`).

use std::collections::BTreeMap;

use twinpath_machine::SocketId;

/// A group by order of creation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct GroupId(u32);

/// Sockets of which each gets a part of the flows.
#[derive(Debug, Default)]
pub(super) struct Group {
    members: Vec<SocketId>,
    /// Whether a member is connected, so that scores decide among them.
    pub(super) has_connections: bool,
    /// When a member made a SYN cookie last, on the monotonic clock.
    pub(super) cookie_ns: Option<u64>,
}

#[derive(Debug, Default)]
pub(super) struct Groups {
    groups: BTreeMap<GroupId, Group>,
    next: u32,
}

impl Groups {
    /// A group of one.
    pub(super) fn create(&mut self, member: SocketId) -> GroupId {
        let id = GroupId(self.next);
        self.next += 1;
        let group = Group {
            members: vec![member],
            ..Group::default()
        };
        self.groups.insert(id, group);
        id
    }

    pub(super) fn join(&mut self, group: GroupId, member: SocketId) {
        if let Some(group) = self.groups.get_mut(&group) {
            group.members.push(member);
        }
    }

    /// The last member takes the place of the one that leaves.
    pub(super) fn leave(&mut self, id: GroupId, member: SocketId) {
        let Some(group) = self.groups.get_mut(&id) else {
            return;
        };
        if let Some(at) = group.members.iter().position(|other| *other == member) {
            group.members.swap_remove(at);
        }
        if group.members.is_empty() {
            self.groups.remove(&id);
        }
    }

    pub(super) fn get(&self, id: GroupId) -> Option<&Group> {
        self.groups.get(&id)
    }

    pub(super) fn get_mut(&mut self, id: GroupId) -> Option<&mut Group> {
        self.groups.get_mut(&id)
    }
}

impl Group {
    /// The members from the one that a flow's hash chooses, all around
    /// (`reuseport_select_sock_by_hash`).
    pub(super) fn chosen_by(&self, hash: u32) -> impl Iterator<Item = SocketId> {
        let len = self.members.len() as u64;
        let start = ((u64::from(hash) * len) >> 32) as usize;
        let (before, after) = self.members.split_at(start);
        after.iter().chain(before).copied()
    }
}
