//! Pointers to sockets: what lies behind them, which of them a program must give back.

use twinpath_machine::memory::{BEFORE, Layout, Memory, Object, ObjectKind};
use twinpath_machine::{
    Call, Checked, FaultKind, Placement, Pointer, Resource, SocketId, SocketRef,
};

use super::table::Sockets;
use crate::context::{SOCK_SIZE, sock, write_sock, write_tcp_sock};
use crate::net::Net;

/// What a pointer to a socket shows (`PTR_TO_SOCK_COMMON`, `PTR_TO_SOCKET`, `PTR_TO_TCP_SOCK`,
/// `PTR_TO_BTF_ID`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum View {
    /// What all kinds of sockets have.
    Common,
    /// A full socket.
    Full,
    /// A full TCP socket's counters.
    Tcp,
    /// The kernel's own structure.
    Kernel,
}

/// Where pointers to the kernel's own structures point: outside of guest memory, for nothing is there.
const KERNEL_BASE: u32 = 0x0800_0000;
/// Bytes between two of them.
const KERNEL_STEP: u32 = 8;

impl View {
    fn layout(self) -> &'static Layout {
        match self {
            Self::Common => &sock::COMMON,
            Self::Full => &sock::FULL,
            Self::Tcp => &sock::TCP,
            Self::Kernel => &sock::KERNEL,
        }
    }

    fn of(layout: &Layout) -> Option<Self> {
        let views = [Self::Common, Self::Full, Self::Tcp, Self::Kernel];
        views
            .into_iter()
            .find(|view| std::ptr::eq(view.layout(), layout))
    }
}

impl Sockets {
    /// What a view of a socket shows, written anew.
    pub(crate) fn object(&self, memory: &mut Memory, id: SocketId, view: View) -> Object {
        let mut base = 0;
        if let Some(socket) = self.get(id) {
            base = match view {
                View::Common | View::Full => socket.image,
                View::Tcp => socket.image + SOCK_SIZE,
                View::Kernel => KERNEL_BASE + (id.0 as u32).wrapping_mul(KERNEL_STEP),
            };
            write_sock(memory, socket.image, socket);
            write_tcp_sock(memory, socket.image + SOCK_SIZE, socket);
        }
        let kind = ObjectKind::Struct(view.layout());
        Object::new(kind, base, 0, BEFORE)
    }

    /// Writes anew what pointers to a socket show, after it has changed.
    pub(crate) fn refresh(&self, memory: &mut Memory, id: SocketId) {
        self.object(memory, id, View::Full);
    }

    /// The socket behind a pointer, and what the pointer shows; none when it points elsewhere.
    pub(crate) fn behind(&self, memory: &Memory, pointer: Pointer) -> Option<(SocketId, View)> {
        let object = memory.object(pointer);
        let address = pointer.address();
        let view = match object.kind {
            ObjectKind::Struct(layout) if object.base == address => View::of(layout)?,
            ObjectKind::Nothing if memory.placement() == Placement::Identity => {
                self.native(address)
            }
            _ => return None,
        };
        let id = match view {
            View::Common | View::Full => self.at(address)?,
            View::Tcp => self.at(address.wrapping_sub(SOCK_SIZE))?,
            View::Kernel => {
                let number = address.checked_sub(KERNEL_BASE)? / KERNEL_STEP;
                self.get(SocketId(u64::from(number)))?.id
            }
        };
        Some((id, view))
    }

    /// What a native pointer shows, which carries no object: its address must do.
    fn native(&self, address: u32) -> View {
        if self.at(address).is_some() {
            View::Full
        } else if self.at(address.wrapping_sub(SOCK_SIZE)).is_some() {
            View::Tcp
        } else {
            View::Kernel
        }
    }

    /// Gives a program a pointer to a socket.
    fn give(&self, call: &mut Call<'_>, id: SocketId, view: View) -> Pointer {
        let memory = &mut call.machine.memory;
        let mut object = self.object(memory, id, view);
        object.made_at = call.at;
        memory.push(object)
    }

    /// Gives a program a pointer to a socket, which it must release.
    pub(crate) fn hold(&mut self, call: &mut Call<'_>, id: SocketId, view: View) -> u64 {
        let pointer = self.give(call, id, view);
        let references = &mut call.machine.references;
        references.acquire(Resource::Socket, pointer, call.at);
        pointer.0
    }

    /// Gives a program another view of a socket that it has a pointer to, valid as long as that one.
    pub(crate) fn derive(&mut self, call: &mut Call<'_>, from: Pointer, view: View) -> u64 {
        let Some((id, _)) = self.behind(&call.machine.memory, from) else {
            return 0;
        };
        let pointer = self.give(call, id, view);
        let root = self.root(from);
        if call.machine.references.get(root).is_some() {
            self.derived.push((pointer, root));
        }
        pointer.0
    }

    /// Gives a program a pointer to another socket, which it need not release.
    pub(crate) fn lend(&self, call: &mut Call<'_>, id: SocketId, view: View) -> u64 {
        self.give(call, id, view).0
    }

    /// A program begins to run; it has no pointers yet.
    pub(crate) fn enter(&mut self) {
        self.outer.push(self.derived.len());
    }

    /// The program that began last has ended.
    pub(crate) fn leave(&mut self) {
        self.derived.truncate(self.outer.pop().unwrap_or(0));
    }

    /// The pointer that a pointer was derived from, or itself.
    fn root(&self, pointer: Pointer) -> Pointer {
        let mut derived = self.derived.iter().rev();
        let found = derived.find(|(derived, _)| *derived == pointer);
        found.map_or(pointer, |(_, root)| *root)
    }

    /// Takes a held socket back, and every pointer to it that came from the same call.
    ///
    /// # Errors
    /// When the program does not hold it.
    pub(crate) fn release(&mut self, call: &mut Call<'_>, pointer: Pointer) -> Checked<()> {
        let root = self.root(pointer);
        let held = call.machine.references.get(root);
        if held.is_none_or(|held| held.resource != Resource::Socket) {
            return Err(call.refuse(
                1,
                format!("{pointer:?} is not a socket that the program holds"),
            ));
        }
        call.machine.references.release(root);
        let (helper, at) = (call.helper, call.at);
        let memory = &mut call.machine.memory;
        let mut close = |pointer| memory.release(pointer, Resource::Socket.what(), helper, at);
        close(root);
        self.derived.retain(|(derived, of)| {
            if *of == root {
                close(*derived);
            }
            *of != root
        });
        Ok(())
    }
}

impl Net {
    /// What a map's helper gets for a pointer to a socket.
    pub(crate) fn socket_behind(&self, memory: &Memory, pointer: Pointer) -> Option<SocketRef> {
        let (id, _) = self.sockets.behind(memory, pointer)?;
        let full = self.sockets.get(id)?.state.is_full();
        Some(SocketRef { id, full })
    }

    /// The socket that an argument of a helper points to.
    ///
    /// # Errors
    /// When it does not point to one.
    pub(crate) fn socket_argument(
        &self,
        call: &Call<'_>,
        number: u8,
    ) -> Checked<(SocketId, View, Pointer)> {
        let pointer = Pointer(call.arg(number));
        let memory = &call.machine.memory;
        if let Some((id, view)) = self.sockets.behind(memory, pointer) {
            return Ok((id, view, pointer));
        }
        Err(not_a_socket(call, number, pointer))
    }
}

#[cold]
fn not_a_socket(call: &Call<'_>, number: u8, pointer: Pointer) -> Box<FaultKind> {
    if pointer.is_null() {
        return call.refuse(number, "null, where the kernel wants a socket");
    }
    match call.machine.memory.object(pointer).kind {
        ObjectKind::Released { what, at, .. } => call.refuse(
            number,
            format!("{what} that was given back by instruction {at}"),
        ),
        _ => call.refuse(number, format!("{pointer:?} is not a socket")),
    }
}
