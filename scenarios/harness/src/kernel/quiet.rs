//! When a node has nothing more to do.
//!
//! The thread of a run and all that its frames set off share one CPU. A frame that is sent on a veth is put into
//! a queue of that CPU, either the receiving device's own (its NAPI instance, which devices with native XDP and
//! all far ends have) or the CPU's backlog; the receive softirq polls the queues in turn. Whatever a frame sets
//! off there, a redirect, an `XDP_TX`, a clone, is again put into one of these queues of this CPU, at the latest
//! when the poll of the queue ends and the XDP bulk queues are flushed. veth devices have no queueing discipline
//! that could keep a frame. So the node is quiet when all of the CPU's queues are empty.
//!
//! Usually that is so when `sendto` returns, because the softirq runs inline. But the softirq may be left to
//! `ksoftirqd`, a thread of its own, in which case frames still wait. A barrier finds out: a frame to the
//! loopback device of the edge goes through the CPU's backlog, behind what waits there. While this thread runs
//! no queue is being polled, and the softirq polls the queues in the order in which they were scheduled, each
//! for some frames, and puts those that are not done at the end. When one barrier has come back, the backlog has
//! been polled; if it had been scheduled before some other queue, it now stands behind that one. When a second
//! barrier has come back, each queue that was scheduled before the first has been polled.
//!
//! Such a pair of barriers is a cycle. A frame that waited when a cycle began was taken from its queue during
//! the cycle, and that shows: it meets a tap, which records it. The one place where nobody
//! looks is an XDP program without a tap (see [`tap`](super::tap)); what that sends on arrives at a far end,
//! where a tap is, one queue later. So if two cycles in a row recorded nothing, nothing waited.
//!
//! Outside of this argument are timers, work queues and threads of the kernel that a program can set off
//! (`bpf_timer`, cpumaps), and receive packet steering, which is off in a new namespace.

use std::io;

use tokio::io::unix::AsyncFd;

use super::links::LOOPBACK;
use super::sys::awaitable::awaitable;
use super::sys::packet::PacketSocket;

/// IEEE 802 "local experimental 1".
const ETHERTYPE: u16 = 0x88b5;
const ETHERNET_HEADER: usize = 14;

/// Cycles without anything new after which nothing can be waiting.
pub const SILENT_CYCLES: u32 = 2;
/// Barriers in a cycle.
const BARRIERS: u32 = 2;

/// Sends frames behind those that wait, and waits for them.
pub struct Barrier {
    socket: AsyncFd<PacketSocket>,
    number: u64,
}

impl Barrier {
    /// Sets up the barrier in the namespace that this thread is in, whose loopback device must be up.
    ///
    /// # Errors
    /// The kernel's.
    pub fn open() -> io::Result<Self> {
        let socket = PacketSocket::listen(ETHERTYPE, Some(LOOPBACK))?;
        Ok(Self {
            socket: awaitable(socket)?,
            number: 0,
        })
    }

    /// Passes when each queue of this CPU has been polled.
    ///
    /// # Errors
    /// The kernel's.
    pub async fn cycle(&mut self) -> io::Result<()> {
        for _ in 0..BARRIERS {
            self.pass().await?;
        }
        Ok(())
    }

    async fn pass(&mut self) -> io::Result<()> {
        self.number += 1;
        let mut frame = [0; ETHERNET_HEADER + 8];
        frame[12..14].copy_from_slice(&ETHERTYPE.to_be_bytes());
        frame[ETHERNET_HEADER..].copy_from_slice(&self.number.to_ne_bytes());
        self.socket.get_ref().send(LOOPBACK, &frame)?;
        loop {
            let mut ready = self.socket.readable().await?;
            let mut buffer = [0; ETHERNET_HEADER + 8];
            match ready.get_inner().receive(&mut buffer)? {
                // An earlier one can be here if the wait for it was given up.
                Some(_) if buffer != frame => {}
                Some(_) => return Ok(()),
                None => ready.clear_ready(),
            }
        }
    }
}
