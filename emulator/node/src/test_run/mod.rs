//! One run of one program on bytes, as `BPF_PROG_TEST_RUN` makes it (`net/bpf/test_run.c`).

mod context;

use twinpath_machine::engine::UninitializedStack;
use twinpath_machine::memory::{Memory, OutOfMemory};
use twinpath_machine::{AttachType, Cost, Errno, Fault, ProgramId, ProgramType};

use crate::context::SkbField;
use crate::net::{DeviceId, NO_CGROUP, NodeId, Subject};
use crate::packet::checksum::Sum;
use crate::packet::{Checksum, ETH_HLEN, EtherType, Frame, HEADROOM, Owner, Skb, Xdp};
use crate::socket::Host;
use crate::world::World;
use context::{SKB_CONTEXT, SkbContext, XdpContext, array, too_long, word};

/// What to run, on what.
#[derive(Debug, Clone, Copy)]
pub struct TestRun<'a> {
    /// The program.
    pub program: ProgramId,
    /// The namespace that the caller is in.
    pub node: NodeId,
    /// The frame, from its link-layer header on; before it the metadata, if the context says so.
    pub data: &'a [u8],
    /// The context to start from (`ctx_in`), in the kernel's layout: `struct xdp_md` or
    /// `struct __sk_buff`. Missing bytes are zero.
    pub context: Option<&'a [u8]>,
    /// `BPF_F_TEST_SKB_CHECKSUM_COMPLETE`: the skb starts with a complete checksum.
    pub checksum_complete: bool,
}

/// What came out.
#[derive(Debug, Clone)]
pub struct TestResult {
    /// What the program returned.
    pub returned: u32,
    /// The frame afterwards (`data_out`).
    pub data: Vec<u8>,
    /// The context afterwards (`ctx_out`), when one was given.
    pub context: Option<Vec<u8>>,
    /// What the run cost, if the engine counts.
    pub cost: Option<Cost>,
    /// Reads of stack that was never written.
    pub warnings: Vec<UninitializedStack>,
}

/// Why nothing came out.
#[derive(Debug, thiserror::Error)]
pub enum TestRunError {
    /// The kernel would refuse the call.
    #[error("test run: {reason} ({errno})")]
    Refused {
        /// What is wrong with the call.
        reason: &'static str,
        /// The kernel's error.
        errno: Errno,
    },
    /// The machine has no such program.
    #[error("test run program number {}: the machine has no such program", .0.0)]
    NoProgram(ProgramId),
    /// The emulator does not run programs of this type so.
    #[error("test run: a {0} program is not supported by the emulator")]
    Unsupported(ProgramType),
    /// The program did what no verified program does.
    #[error("test run: {}", .0.kind)]
    Fault(Box<Fault>),
    /// Guest memory is full.
    #[error(transparent)]
    Memory(#[from] OutOfMemory),
}

fn refused(errno: Errno, reason: &'static str) -> TestRunError {
    TestRunError::Refused { reason, errno }
}

/// A page, in which the kernel puts the data, and what else it puts there.
const PAGE: u32 = 4096;
const SHARED_INFO: u32 = 320;
/// Pages that a packet may have besides (`MAX_SKB_FRAGS`).
const MAX_FRAGMENTS: u32 = 17;
/// Interface index of a loopback device.
const LOOPBACK: u32 = 1;
/// `NET_SKB_PAD + NET_IP_ALIGN`.
const SKB_HEADROOM: u32 = 64;

impl World {
    /// Runs a program once, outside of any device's path.
    ///
    /// # Errors
    /// When the kernel would refuse the call, or the program faults.
    pub fn test_run(&mut self, run: TestRun<'_>) -> Result<TestResult, TestRunError> {
        let program = self.machine.program(run.program);
        let program = program.ok_or(TestRunError::NoProgram(run.program))?;
        if let Some(AttachType::XdpDevmap | AttachType::XdpCpumap) = program.attach {
            let reason = "a program for the entries of a map";
            return Err(refused(Errno::EINVAL, reason));
        }
        let kind = program.kind;
        self.net.begin();
        match kind {
            ProgramType::Xdp => self.test_run_xdp(run),
            kind if is_skb(kind) => self.test_run_skb(run, kind),
            kind => Err(TestRunError::Unsupported(kind)),
        }
    }

    fn test_run_xdp(&mut self, run: TestRun<'_>) -> Result<TestResult, TestRunError> {
        let context = XdpContext::read(run)?;
        let len = run.data.len() as u32;
        let max = PAGE - HEADROOM + context.metadata - SHARED_INFO;
        let linear = context.linear.min(max);
        if len < context.metadata + ETH_HLEN {
            return Err(refused(Errno::EINVAL, "the data is shorter than a header"));
        }
        let device = self.xdp_device(run.node, &context)?;
        let loopback = self.net.find(run.node, LOOPBACK);
        if len > linear + MAX_FRAGMENTS * PAGE {
            return Err(refused(Errno::ENOMEM, "the data is too long"));
        }
        let headroom = HEADROOM - context.metadata;
        let (pool, memory) = (&mut self.net.pool, &mut self.machine.memory);
        let mut frame = Frame::new(pool, memory, run.data, headroom, 0)?;
        frame.lay_out(pool, memory, headroom, linear, max - linear);
        let meta = frame.data();
        frame.set_data(meta + context.metadata);
        let mut subject = Subject::Xdp(Xdp {
            device,
            frame,
            meta,
            ingress: self.net.ifindex(device).get(),
            egress: 0,
            // Only the loopback device's queue lets pages grow here.
            fragment_size: (Some(device) == loopback).then_some(PAGE),
            rx_queue: context.rx_queue,
        });
        let outcome = self
            .net
            .execute(&mut self.machine, run.program, &mut subject);
        let outcome = outcome.map_err(TestRunError::Fault)?;
        let Subject::Xdp(xdp) = subject else {
            return Err(TestRunError::Unsupported(ProgramType::Xdp));
        };
        let whole = xdp.metadata() + xdp.frame.len();
        let data = self.machine.memory.raw(xdp.meta, whole).to_vec();
        let result = TestResult {
            returned: outcome.result as u32,
            data,
            context: run.context.map(|_| context.write(&xdp)),
            cost: outcome.counted.then_some(outcome.cost),
            warnings: outcome.warnings,
        };
        xdp.frame.free(&mut self.net.pool);
        Ok(result)
    }

    /// `xdp_convert_md_to_buff`.
    fn xdp_device(&self, node: NodeId, context: &XdpContext) -> Result<DeviceId, TestRunError> {
        match context.ingress {
            0 if context.rx_queue != 0 => {
                Err(refused(Errno::EINVAL, "a receive queue of no device"))
            }
            index => match self.net.find(node, index.max(LOOPBACK)) {
                None => Err(refused(Errno::ENODEV, "no such device")),
                Some(_) if context.rx_queue != 0 => {
                    Err(refused(Errno::EINVAL, "no such receive queue"))
                }
                Some(device) => Ok(device),
            },
        }
    }

    fn test_run_skb(
        &mut self,
        run: TestRun<'_>,
        kind: ProgramType,
    ) -> Result<TestResult, TestRunError> {
        let len = run.data.len() as u32;
        if !(ETH_HLEN..=PAGE - SKB_HEADROOM - SHARED_INFO).contains(&len) {
            return Err(refused(Errno::EINVAL, "the data is too short or too long"));
        }
        if run
            .context
            .is_some_and(|bytes| too_long(bytes, SKB_CONTEXT))
        {
            return Err(refused(Errno::E2BIG, "the context is too long"));
        }
        let mut skb = self.test_skb(run)?;
        let context = run.context.map(|bytes| SkbContext::read(bytes, &mut skb));
        let context = context.transpose()?;
        let link = matches!(kind, ProgramType::SchedCls | ProgramType::SchedAct);
        if link {
            skb.frame.push(ETH_HLEN);
        }
        // Without a context it stays 0.
        let given = context.map(|context| context.wire_len);
        if given == Some(0) {
            skb.wire_len = skb.frame.len();
        } else if given.is_some() && skb.wire_len < skb.frame.len() {
            return Err(refused(Errno::EINVAL, "wire_len is less than the length"));
        }
        if run.checksum_complete {
            let at = skb.network_header;
            let covered = skb.frame.data() + skb.frame.len() - at;
            let sum = Sum::of(self.machine.memory.raw(at, covered), Sum(0));
            (skb.checksum, skb.sum) = (Checksum::Complete, sum);
        }
        let mut subject = Subject::Skb(skb);
        let outcome = self
            .net
            .execute(&mut self.machine, run.program, &mut subject);
        if kind == ProgramType::CgroupSkb {
            self.machine.maps.forget_cgroup(NO_CGROUP);
        }
        let outcome = outcome.map_err(TestRunError::Fault)?;
        let Subject::Skb(mut skb) = subject else {
            return Err(TestRunError::Unsupported(kind));
        };
        if !link {
            let memory = &mut self.machine.memory;
            let room = skb.reserve_head(memory, ETH_HLEN);
            room.map_err(|errno| refused(errno, "no room for a header"))?;
            skb.frame.push(ETH_HLEN);
            memory.raw_mut(skb.frame.data(), ETH_HLEN).fill(0);
        }
        if run.checksum_complete {
            self.check_sum(&skb)?;
        }
        let data = skb.frame.bytes(&self.machine.memory).to_vec();
        let result = TestResult {
            returned: outcome.result as u32,
            data,
            context: context.map(|context| context.write(&skb)),
            cost: outcome.counted.then_some(outcome.cost),
            warnings: outcome.warnings,
        };
        skb.frame.free(&mut self.net.pool);
        Ok(result)
    }

    /// The skb before the context is looked at: its data begins behind the Ethernet header.
    fn test_skb(&mut self, run: TestRun<'_>) -> Result<Skb, TestRunError> {
        let (pool, memory) = (&mut self.net.pool, &mut self.machine.memory);
        let tailroom = PAGE - SKB_HEADROOM - SHARED_INFO - run.data.len() as u32;
        let frame = Frame::new(pool, memory, run.data, SKB_HEADROOM, tailroom)?;
        let index = run
            .context
            .map_or(0, |bytes| word(bytes, SkbField::Ifindex));
        let device = self
            .net
            .find(run.node, index.max(LOOPBACK))
            .ok_or_else(|| refused(Errno::ENODEV, "no such device"))?;
        let mut skb = Skb::new(frame, device);
        skb.take_ethernet(&self.machine.memory, self.net.device(device).link());
        let shortest = match skb.protocol {
            EtherType::IPV4 => 20,
            EtherType::IPV6 => 40,
            _ => 0,
        };
        if skb.frame.len() < shortest {
            return Err(refused(Errno::EINVAL, "the network header is cut off"));
        }
        skb.network_header = skb.frame.data();
        self.net.place(&mut skb, device);
        skb.at_ingress = false;
        skb.owner = owner(&skb, &self.machine.memory);
        self.net
            .lend_socket(&mut self.machine, run.node, &mut skb)?;
        Ok(skb)
    }

    fn check_sum(&self, skb: &Skb) -> Result<(), TestRunError> {
        let at = skb.network_header;
        let end = skb.frame.data() + skb.frame.len();
        // Linux 6.18 crashes when the packet ends before its network header.
        let covered = end
            .checked_sub(at)
            .map(|len| self.machine.memory.raw(at, len));
        if covered.is_some_and(|bytes| skb.sum.fold() == Sum::of(bytes, Sum(0)).fold()) {
            return Ok(());
        }
        let reason = "the complete checksum does not cover the packet any more";
        Err(refused(Errno::EBADMSG, reason))
    }
}

/// Whether programs of a type run on an skb.
const fn is_skb(kind: ProgramType) -> bool {
    matches!(
        kind,
        ProgramType::SchedCls
            | ProgramType::SchedAct
            | ProgramType::SocketFilter
            | ProgramType::CgroupSkb
            | ProgramType::LwtIn
            | ProgramType::LwtOut
            | ProgramType::LwtXmit
    )
}

/// What a test run's socket says: its own end is the packet's source.
fn owner(skb: &Skb, memory: &Memory) -> Owner {
    const AF_INET: u16 = 2;
    const AF_INET6: u16 = 10;
    let bytes = skb.frame.bytes(memory);
    let ipv4 = |at| Host {
        v4: array::<4>(bytes, at).into(),
        ..Host::UNSPECIFIED
    };
    let ipv6 = |at| Host {
        v6: array::<16>(bytes, at).into(),
        ..Host::UNSPECIFIED
    };
    let nobody = Host::UNSPECIFIED;
    let (family, local, remote) = match skb.protocol {
        EtherType::IPV4 => (AF_INET, ipv4(12), ipv4(16)),
        EtherType::IPV6 => (AF_INET6, ipv6(8), ipv6(24)),
        _ => (0, nobody, nobody),
    };
    Owner {
        family,
        local,
        remote,
        ..Owner::default()
    }
}
