//! One case, three arms: the kernel, the checked engine, rbpf.

use std::os::fd::AsRawFd;

use twinpath_bpf::TestInput;
use twinpath_machine::engine::{Checked, Context, Engine, Invocation, Rbpf};
use twinpath_machine::isa::{Insn, pseudo};
use twinpath_machine::memory::{BEFORE, Field, Layout, Object, ObjectKind};
use twinpath_machine::{
    Call, Cpu, Environment, Fault, HelperId, Machine, MachineOptions, Placement, Pointer, Program,
    ProgramId, ProgramType,
};

use super::asm::{Width, alu_k, cond, exit, jump_x, lddw, ldx, mov, movr, op, stx};
use super::kernel::{Block, load};

/// Bytes of the space that r9 points to: r0 to r8 at first, then memory for the body.
pub const SPACE: usize = 256;
/// Where the body's memory begins in the space.
pub const MEMORY: i16 = 128;
/// Bytes of each packet.
pub const PACKET: usize = 64;

/// What a body is given and what it leaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    /// r0 to r8.
    pub registers: [u64; 9],
    /// Memory at r9 + [`MEMORY`].
    pub memory: Vec<u8>,
    /// The packet.
    pub packet: Vec<u8>,
}

impl Default for State {
    fn default() -> Self {
        Self {
            registers: [0; 9],
            memory: vec![0; SPACE - MEMORY as usize],
            packet: (0..PACKET as u8).collect(),
        }
    }
}

/// What the body finds besides r0 to r8 and r9.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Needs {
    /// Nothing.
    Registers,
    /// The packet's start in r8; r7 is lost.
    Packet,
    /// The context in r6, as packet loads of classic BPF want it.
    Context,
}

/// A body to run.
#[derive(Clone)]
pub struct Case {
    pub kind: ProgramType,
    pub needs: Needs,
    /// The body: it runs to its end, exits nowhere and leaves r9 (and r8 or r6 if it needs them) alone.
    pub body: Vec<Insn>,
    /// Functions after the program.
    pub functions: Vec<Insn>,
    pub start: State,
}

impl std::fmt::Debug for Case {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "{} program, body needs {:?}", self.kind, self.needs)?;
        let functions = self.functions.iter();
        for insn in self.body.iter().chain(functions) {
            let Insn {
                code,
                dst,
                src,
                off,
                imm,
            } = insn;
            writeln!(f, "    insn({code:#04x}, {dst}, {src}, {off}, {imm:#x})")?;
        }
        writeln!(f, "registers {:x?}", self.start.registers)?;
        writeln!(f, "memory {:02x?}", self.start.memory)?;
        write!(f, "packet {:02x?}", self.start.packet)
    }
}

impl Case {
    pub fn new(body: Vec<Insn>) -> Self {
        Self {
            kind: ProgramType::SocketFilter,
            needs: Needs::Registers,
            body,
            functions: Vec::new(),
            start: State::default(),
        }
    }

    /// The whole program; `space` is the reference to the space.
    pub fn program(&self, space: i32) -> Vec<Insn> {
        let mut insns = Vec::new();
        match self.needs {
            Needs::Registers => {}
            Needs::Packet => {
                let data = if self.kind == ProgramType::Xdp { 0 } else { 76 };
                insns.extend([
                    ldx(Width::W, 8, 1, data),
                    ldx(Width::W, 7, 1, data + 4),
                    movr(0, 8),
                    alu_k(true, op::ADD, 0, PACKET as i32, 0),
                    jump_x(true, cond::JLE, 0, 7, 2),
                    mov(0, 1),
                    exit(),
                ]);
            }
            Needs::Context => insns.push(movr(6, 1)),
        }
        insns.extend(lddw(9, pseudo::MAP_VALUE, u64::from(space as u32)));
        let own = self.own_registers();
        insns.extend(own.clone().map(|r| ldx(Width::D, r, 9, i16::from(r) * 8)));
        insns.extend(&self.body);
        insns.extend(own.map(|r| stx(Width::D, 9, i16::from(r) * 8, r)));
        insns.extend([mov(0, 0), exit()]);
        insns.extend(&self.functions);
        insns
    }

    /// Registers that the body may use freely.
    pub fn own_registers(&self) -> impl Iterator<Item = u8> + Clone + use<> {
        let needs = self.needs;
        (0..9).filter(move |&register| match needs {
            Needs::Registers => true,
            Needs::Packet => register != 8,
            Needs::Context => register != 6,
        })
    }

    fn space(&self) -> Vec<u8> {
        let mut space = vec![0; SPACE];
        for (bytes, value) in space
            .as_chunks_mut::<8>()
            .0
            .iter_mut()
            .zip(self.start.registers)
        {
            *bytes = value.to_le_bytes();
        }
        space[MEMORY as usize..].copy_from_slice(&self.start.memory);
        space
    }

    fn end(&self, space: &[u8], packet: Vec<u8>) -> State {
        let mut registers = [0; 9];
        for (value, bytes) in registers.iter_mut().zip(space.as_chunks::<8>().0) {
            *value = u64::from_le_bytes(*bytes);
        }
        State {
            registers,
            memory: space[MEMORY as usize..].to_vec(),
            packet,
        }
    }
}

/// The running kernel.
pub struct KernelArm {
    space: Block,
}

impl KernelArm {
    /// None when the kernel cannot be asked.
    pub fn new() -> Option<Self> {
        match twinpath_bpf::missing() {
            None => {
                twinpath_bpf::one_process_at_a_time();
                let space = Block::new(SPACE);
                Some(Self { space })
            }
            Some(reason) => {
                eprintln!("without the kernel: {reason}");
                None
            }
        }
    }

    /// What the kernel makes of a case; its refusal as text.
    pub fn run(&self, case: &Case) -> Result<State, String> {
        let insns = case.program(self.space.0.as_raw_fd());
        let program = load(case.kind, 0, &insns)?;
        self.space.set(&case.space());
        let run = program
            .test_run(TestInput::packet(&case.start.packet))
            .unwrap();
        assert_eq!(run.code, 0, "the packet is too short");
        let mut packet = run.packet;
        if case.kind == ProgramType::SocketFilter {
            // The test run gives such packets back with zeros for the Ethernet header.
            packet[..14].copy_from_slice(&case.start.packet[..14]);
        }
        Ok(case.end(&self.space.get(), packet))
    }
}

static XDP: Layout = Layout {
    name: "xdp_md",
    size: 24,
    fields: &[Field::packet("data", 0), Field::packet("data_end", 4)],
};
static SKB: Layout = Layout {
    name: "__sk_buff",
    size: 192,
    fields: &[Field::packet("data", 76), Field::packet("data_end", 80)],
};

/// A packet as classic loads see it: from its first visible byte on, and by negative offsets from the
/// network and link-layer headers (`SKF_NET_OFF`, `SKF_LL_OFF` in `linux/filter.h`).
struct Packet {
    frame: Vec<u8>,
    /// Where the program's view begins.
    start: i32,
}

impl Environment for Packet {
    fn provides(&self, _helper: HelperId, _program: ProgramType) -> bool {
        false
    }

    fn helper(&mut self, call: &mut Call<'_>) -> twinpath_machine::Checked<u64> {
        Err(call.refuse(1, "no such helper"))
    }

    fn load_packet(&mut self, _machine: &Machine, offset: i32, into: &mut [u8]) -> Option<()> {
        const SKF_NET_OFF: i32 = -0x10_0000;
        const SKF_LL_OFF: i32 = -0x20_0000;
        let start = match offset {
            0.. => self.start.checked_add(offset)?,
            SKF_NET_OFF.. => ETHERNET + (offset - SKF_NET_OFF),
            SKF_LL_OFF.. => offset - SKF_LL_OFF,
            _ => return None,
        };
        let start = usize::try_from(start).ok()?;
        into.copy_from_slice(self.frame.get(start..start + into.len())?);
        Some(())
    }
}

const ETHERNET: i32 = 14;

/// One of the emulator's engines, with a machine of its own.
pub struct EmulatorArm {
    engine: Box<dyn Engine>,
    placement: Placement,
    machine: Machine,
    space: Pointer,
    packet: u32,
    context: u32,
    programs: u32,
}

impl EmulatorArm {
    pub fn checked() -> Self {
        Self::new(Box::new(Checked::default()), Placement::Anywhere)
    }

    pub fn rbpf() -> Self {
        Self::new(Box::new(Rbpf::default()), Placement::Identity)
    }

    pub fn both() -> [Self; 2] {
        [Self::checked(), Self::rbpf()]
    }

    pub fn name(&self) -> &'static str {
        self.engine.name()
    }

    fn new(engine: Box<dyn Engine>, placement: Placement) -> Self {
        let mut machine = Machine::new(MachineOptions {
            placement,
            memory: 1 << 22,
            ..MachineOptions::default()
        })
        .unwrap();
        let space = machine.memory.allocate(SPACE as u64).unwrap();
        let kind = ObjectKind::Buffer("the test's memory");
        let object = Object::new(kind, space, SPACE as u32, BEFORE);
        Self {
            space: machine.memory.add_static(object),
            packet: machine.memory.allocate(PACKET as u64).unwrap(),
            context: machine.memory.allocate(192).unwrap(),
            machine,
            engine,
            placement,
            programs: 0,
        }
    }

    /// A machine keeps its programs: now and then a new one.
    fn renew(&mut self) {
        self.programs += 1;
        if self.programs == 2000 {
            *self = match self.placement {
                Placement::Anywhere => Self::checked(),
                Placement::Identity => Self::rbpf(),
            };
        }
    }

    fn load(&mut self, case: &Case) -> ProgramId {
        let space = self.space;
        let program = Program::bare("test", case.kind, case.program(0), &|kind, _, offset| {
            (kind == pseudo::MAP_VALUE).then_some(space.0 + offset as u64)
        });
        self.machine.add_program(program.unwrap())
    }

    /// What the engine makes of a case.
    pub fn run(&mut self, case: &Case) -> Result<State, Box<Fault>> {
        self.renew();
        let program = self.load(case);
        let (packet, len) = (self.packet, PACKET as u32);
        let memory = &mut self.machine.memory;
        memory
            .raw_mut(self.space.address(), SPACE as u32)
            .copy_from_slice(&case.space());
        memory
            .raw_mut(packet, len)
            .copy_from_slice(&case.start.packet);
        let layout = if case.kind == ProgramType::Xdp {
            &XDP
        } else {
            &SKB
        };
        for (field, value) in layout.fields.iter().zip([packet, packet + len]) {
            let at = self.context + u32::from(field.offset);
            memory.raw_mut(at, 4).copy_from_slice(&value.to_le_bytes());
        }
        let invocation = Invocation {
            program,
            cpu: Cpu(0),
            context: Context::Struct(self.context, layout),
            packet: Some((packet, packet + len)),
            bound: &[],
        };
        // A socket filter's packet begins behind the Ethernet header.
        let start = if case.kind == ProgramType::SocketFilter {
            ETHERNET
        } else {
            0
        };
        let frame = case.start.packet.clone();
        let mut environment = Packet { frame, start };
        self.engine
            .run(&mut self.machine, &mut environment, &invocation)?;
        let memory = &self.machine.memory;
        let space = memory.raw(self.space.address(), SPACE as u32);
        Ok(case.end(space, memory.raw(packet, len).to_vec()))
    }
}

/// All arms.
pub struct Arms {
    pub kernel: Option<KernelArm>,
    pub engines: [EmulatorArm; 2],
}

impl Arms {
    pub fn new() -> Self {
        Self {
            kernel: KernelArm::new(),
            engines: EmulatorArm::both(),
        }
    }

    /// What both engines make of a case, and the kernel if it can be asked; they must agree.
    pub fn run(&mut self, case: &Case) -> Result<State, String> {
        let [checked, rbpf] = &mut self.engines;
        let checked = checked
            .run(case)
            .map_err(|fault| format!("checked: {:?}", fault.kind))?;
        let rbpf = rbpf
            .run(case)
            .map_err(|fault| format!("rbpf: {:?}", fault.kind))?;
        if checked != rbpf {
            return Err(format!(
                "the engines differ:\nchecked {checked:x?}\nrbpf    {rbpf:x?}"
            ));
        }
        if let Some(kernel) = &self.kernel {
            let kernel = kernel
                .run(case)
                .map_err(|refusal| format!("the kernel: {refusal}"))?;
            if kernel != checked {
                return Err(format!("kernel  {kernel:x?}\nengines {checked:x?}"));
            }
        }
        Ok(checked)
    }
}
