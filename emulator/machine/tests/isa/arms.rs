//! One case, three arms: the kernel, the checked engine, rbpf.

use std::os::fd::AsRawFd;

use twinpath_bpf::{Map as KernelMap, MapShape, TestInput};
use twinpath_machine::engine::{Checked, Context, Engine, Invocation, Rbpf};
use twinpath_machine::isa::pseudo;
use twinpath_machine::memory::{BEFORE, Field, Layout, Object, ObjectKind};
use twinpath_machine::{
    Call, Cpu, Environment, Fault, HelperId, Machine, MachineOptions, Map, MapDef, MapId, MapType,
    Placement, Pointer, Program, ProgramId, ProgramType,
};

use super::case::{Case, JUMPS, PACKET, SPACE, State};
use super::kernel::{Block, load};

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
        // Programs of one type alone may be in an array.
        let shape = MapShape {
            kind: MapType::ProgArray as u32,
            value_size: 4,
            ..MapShape::array(4, JUMPS as u32)
        };
        let jumps = case
            .jumps()
            .then(|| KernelMap::create("jumps", shape).unwrap());
        let reference = jumps.as_ref().map_or(0, AsRawFd::as_raw_fd);
        let programs = case.programs(self.space.0.as_raw_fd(), reference);
        let programs = programs.iter().map(|insns| load(case.kind, 0, insns));
        let programs = programs.collect::<Result<Vec<_>, _>>()?;
        if let Some(jumps) = &jumps {
            for (slot, program) in (0u32..).zip(&programs) {
                let fd = program.as_raw_fd() as u32;
                let set = jumps.update(&slot.to_ne_bytes(), &fd.to_ne_bytes(), 0);
                set.unwrap();
            }
        }
        let program = &programs[0];
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
    jumps: MapId,
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
        let jumps = MapDef::new(MapType::ProgArray, 4, 4, JUMPS as u32);
        let jumps = Map::new(jumps, &mut machine.memory, 1).unwrap();
        Self {
            jumps: machine.maps.push(jumps),
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
        let space =
            |kind, _, offset| (kind == pseudo::MAP_VALUE).then_some(space.0 + offset as u64);
        let programs = case.programs(0, self.jumps.0 as i32).into_iter();
        let programs =
            programs.map(|insns| Program::bare("test", case.kind, insns, &space).unwrap());
        let programs: Vec<_> = programs
            .map(|program| self.machine.add_program(program))
            .collect();
        for slot in 0..JUMPS {
            let entry = programs.get(slot).copied();
            self.machine.maps[self.jumps]
                .set_program(slot as u32, entry)
                .unwrap();
        }
        programs[0]
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
