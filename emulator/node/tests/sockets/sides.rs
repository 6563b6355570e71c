//! A script in the kernel and in the emulator.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use twinpath_bpf::{
    Map, MapShape, MapSource, Program, ProgramSource, Refusal, Socket, Types, link, load_btf,
};
use twinpath_machine::engine::Checked;
use twinpath_machine::isa::{Insn, encode};
use twinpath_machine::maps::Value;
use twinpath_machine::{
    AttachType, Cpu, Errno, Machine, MachineOptions, Map as GuestMap, MapDef, MapFlags, MapId,
    MapType, Program as GuestProgram, ProgramId, ProgramType, SocketId,
};
use twinpath_node::{
    AttachMode, CgroupId, Connected, DeviceConfig, Ifindex, Mac, NodeConfig, NodeId, Protocol,
    Socket as TwinSocket, SocketError, Task, World,
};

use super::place::DEVICES;
use super::recorder::{self, Maps, Ports, Recorder};
use super::script::{Script, Setting, Slot, Step};
use super::sys;

/// Entries of maps for sockets.
const SOCKETS: u32 = 3;

/// What is sent.
const HELLO: &[u8] = b"hello";

/// What came of a script: a line for each call, then what the programs wrote down.
pub type Lines = Vec<String>;

fn done<T>(result: Result<T, i32>, show: impl FnOnce(T) -> String) -> String {
    match result {
        Ok(value) => show(value),
        Err(errno) => format!("errno {errno}"),
    }
}

fn returned(value: i32) -> String {
    if value == 0 {
        "done".to_owned()
    } else {
        format!("returned {value}")
    }
}

/// A map and programs on it, attached until they are dropped.
pub struct Attached {
    pub map: Map,
    _links: Vec<OwnedFd>,
}

/// Loads and attaches programs to the cgroup.
pub fn attach(cgroup: i32, programs: &[Recorder]) -> Attached {
    let map = Map::create("recorder", MapShape::array(recorder::SIZE as u32, 1)).unwrap();
    let (sockets, cgroups) = (socket_storage(), cgroup_storage());
    let (by_index, by_key) = (of_sockets(MapType::SockMap), of_sockets(MapType::SockHash));
    let maps = Maps {
        records: map.as_raw_fd(),
        sockets: sockets.as_raw_fd(),
        cgroups: cgroups.as_raw_fd(),
        by_index: by_index.as_raw_fd(),
        by_key: by_key.as_raw_fd(),
    };
    let link = |recorder: &Recorder| {
        recorder.assert_harmless();
        let hook = recorder.hook as u32;
        let insns = encode(&recorder.program(maps));
        let source = ProgramSource::new("recorder", recorder.program_type() as u32, &insns);
        let program = Program::load(&source.for_hook(hook))
            .unwrap_or_else(|Refusal { error, log }| panic!("{recorder:?}: {error}: {log}"));
        link(program.as_fd(), cgroup as u32, hook, 0).unwrap()
    };
    let links = programs.iter().map(link).collect();
    Attached { map, _links: links }
}

/// The kernel's map of a number for each socket.
fn socket_storage() -> Map {
    const NO_PREALLOC: u32 = 1;
    let types = load_btf(&integers()).unwrap();
    let source = MapSource {
        name: "sockets",
        shape: MapShape {
            kind: MapType::SkStorage as u32,
            key_size: 4,
            value_size: 8,
            max_entries: 0,
            flags: NO_PREALLOC,
        },
        extra: 0,
        inner: None,
        types: Some(Types {
            btf: types.as_fd(),
            key: 1,
            value: 2,
        }),
    };
    Map::from_source(&source).unwrap()
}

/// The kernel's map of a number for each cgroup and hook.
fn cgroup_storage() -> Map {
    let shape = MapShape {
        kind: MapType::CgroupStorage as u32,
        key_size: 16,
        value_size: 8,
        max_entries: 0,
        flags: 0,
    };
    Map::create("cgroups", shape).unwrap()
}

/// The kernel's map for sockets of one type or the other.
fn of_sockets(kind: MapType) -> Map {
    let shape = MapShape {
        kind: kind as u32,
        key_size: 4,
        value_size: 4,
        max_entries: SOCKETS,
        flags: 0,
    };
    Map::create("sockets", shape).unwrap()
}

/// Types: an integer of four bytes, and one of eight.
fn integers() -> Vec<u8> {
    const INT: u32 = 1 << 24;
    let words = |size: u32| [1, INT, size, size * 8];
    let types = [words(4), words(8)].concat();
    let strings = b"\0int\0";
    let (header, length) = (24u32, types.len() as u32 * 4);
    let header = [header, 0, length, length, strings.len() as u32];
    let mut btf = vec![0x9f, 0xeb, 1, 0];
    btf.extend(
        header
            .iter()
            .chain(&types)
            .flat_map(|word| word.to_ne_bytes()),
    );
    btf.extend(strings);
    btf
}

/// Runs a script in the kernel, in the thread's namespace and cgroup.
pub fn in_kernel(cgroup: i32, script: &Script) -> Lines {
    let attached = attach(cgroup, &script.programs);
    let mut sockets: BTreeMap<Slot, Socket> = BTreeMap::new();
    let mut ports = Ports::default();
    let mut lines = Vec::new();
    for step in &script.steps {
        let line = kernel_step(&mut sockets, &mut ports, *step);
        lines.push(format!("{step:?}: {line}"));
    }
    let value = attached.map.lookup(&[0; 4]).unwrap().unwrap();
    drop(sockets);
    lines.extend(recorder::read(&value, &mut ports));
    lines
}

pub fn kernel_step(sockets: &mut BTreeMap<Slot, Socket>, ports: &mut Ports, step: Step) -> String {
    const EBADF: i32 = 9;
    if let Step::Open(slot, family, protocol) = step {
        sockets.remove(&slot);
        return done(
            Socket::open(family.number(), protocol.socket_type()),
            |socket| {
                sockets.insert(slot, socket);
                "done".to_owned()
            },
        );
    }
    if let Step::Close(slot) = step {
        return match sockets.remove(&slot) {
            Some(_) => "done".to_owned(),
            None => format!("errno {EBADF}"),
        };
    }
    let slot = slot(step);
    let Some(socket) = sockets.get(&slot) else {
        return format!("errno {EBADF}");
    };
    match step {
        Step::Set(_, setting) => done(set(socket, setting), |()| "done".to_owned()),
        Step::Bind(_, address) => done(socket.bind(address), returned),
        Step::BindPoor(_, address) => {
            done(sys::without_privileges(|| socket.bind(address)), returned)
        }
        Step::Listen(_) => done(socket.listen(8), |()| "done".to_owned()),
        Step::Connect(_, address) => done(socket.connect(address, true), returned),
        Step::Start(_, address) => done(socket.connect(address, false), returned),
        Step::Disconnect(_) => done(socket.disconnect(), |()| "done".to_owned()),
        Step::Send(_, to) => done(socket.send(to, HELLO), |sent| {
            // The number of bytes, or what a program has set.
            returned(if sent == HELLO.len() as i32 { 0 } else { sent })
        }),
        Step::Receive(_) => done(socket.receive(), |(from, bytes)| {
            show_received(from, &bytes, ports)
        }),
        Step::Shutdown(_, how) => {
            let shut = socket.shutdown(how as i32);
            // In the emulator the other end acknowledges at once.
            socket.wait_for_end();
            done(shut, |()| "done".to_owned())
        }
        Step::LocalName(_) => done(socket.local_name(), |name| ports.show_address(name)),
        Step::PeerName(_) => done(socket.peer_name(), |name| ports.show_address(name)),
        Step::Accept(_, to) => match socket.accept() {
            Ok(socket) => {
                sockets.insert(to, socket);
                "done".to_owned()
            }
            Err(errno) => format!("errno {errno}"),
        },
        Step::Open(..) | Step::Close(_) => unreachable!(),
    }
}

/// What a socket got: a datagram has an address, the bytes of a connection have none.
fn show_received(from: Option<SocketAddr>, bytes: &[u8], ports: &mut Ports) -> String {
    let from = from.map_or_else(String::new, |from| ports.show_address(from) + " ");
    format!("{from}{} bytes", bytes.len())
}

fn slot(step: Step) -> Slot {
    match step {
        Step::Open(slot, ..)
        | Step::Set(slot, _)
        | Step::Bind(slot, _)
        | Step::BindPoor(slot, _)
        | Step::Listen(slot)
        | Step::Connect(slot, _)
        | Step::Start(slot, _)
        | Step::Disconnect(slot)
        | Step::Accept(slot, _)
        | Step::Send(slot, _)
        | Step::Receive(slot)
        | Step::Shutdown(slot, _)
        | Step::LocalName(slot)
        | Step::PeerName(slot)
        | Step::Close(slot) => slot,
    }
}

pub fn set(socket: &Socket, setting: Setting) -> Result<(), i32> {
    const IPV6_V6ONLY: i32 = 26;
    const IP_FREEBIND: i32 = 15;
    const IPV6_FREEBIND: i32 = 78;
    const IP_BIND_ADDRESS_NO_PORT: i32 = 24;
    const SO_BINDTOIFINDEX: i32 = 62;
    let on = 1i32.to_ne_bytes();
    match setting {
        Setting::ReuseAddress => socket.set(libc::SOL_SOCKET, libc::SO_REUSEADDR, &on),
        Setting::ReusePort => socket.set(libc::SOL_SOCKET, libc::SO_REUSEPORT, &on),
        Setting::V6Only => socket.set(libc::IPPROTO_IPV6, IPV6_V6ONLY, &on),
        Setting::AnyAddress => {
            let _ = socket.set(libc::IPPROTO_IPV6, IPV6_FREEBIND, &on);
            socket.set(libc::IPPROTO_IP, IP_FREEBIND, &on)
        }
        Setting::AddressWithoutPort => socket.set(libc::IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on),
        Setting::Broadcast => socket.set(libc::SOL_SOCKET, libc::SO_BROADCAST, &on),
        Setting::Mark(mark) => socket.set(libc::SOL_SOCKET, libc::SO_MARK, &mark.to_ne_bytes()),
        Setting::Device(index) => {
            socket.set(libc::SOL_SOCKET, SO_BINDTOIFINDEX, &index.to_ne_bytes())
        }
    }
}

/// The emulator's namespace with the devices of the kernel's, and the task in its cgroup.
pub struct Emulated {
    pub world: World,
    pub node: NodeId,
    pub task: Task,
    pub map: MapId,
    pub maps: Maps,
}

impl Emulated {
    pub fn new() -> Self {
        let options = MachineOptions::default();
        let mut world = World::new(options, Box::new(|| Box::<Checked>::default())).unwrap();
        let devices = DEVICES.iter().map(|(name, index, addresses)| {
            let mac = Mac([2, 0, 0, 0, 0, *index as u8]);
            let addresses = addresses.iter();
            DeviceConfig {
                addresses: addresses
                    .map(|(address, prefix)| (address.parse().unwrap(), *prefix))
                    .collect(),
                ..DeviceConfig::veth(name, Ifindex::new(*index).unwrap(), mac)
            }
        });
        let config = NodeConfig {
            devices: devices.collect(),
            ..NodeConfig::default()
        };
        let node = world.build(&config).unwrap();
        let ends = DEVICES.map(|(name, ..)| world.device_named(node, name).unwrap());
        world.connect(ends[0], ends[1]);
        let cgroup = world.add_cgroup(CgroupId::ROOT).unwrap();
        let task = Task {
            node,
            cgroup,
            uid: 0,
            privileged: true,
        };
        let map = add_array(&mut world.machine, recorder::SIZE);
        let mut add = |def: MapDef| {
            let machine = &mut world.machine;
            let map = GuestMap::new(def, &mut machine.memory, 1).unwrap();
            machine.maps.push(map).0 as i32
        };
        let maps = Maps {
            records: map.0 as i32,
            sockets: add(MapDef {
                flags: MapFlags(1),
                ..MapDef::new(MapType::SkStorage, 4, 8, 0)
            }),
            cgroups: add(MapDef::new(MapType::CgroupStorage, 16, 8, 0)),
            by_index: add(MapDef::new(MapType::SockMap, 4, 4, SOCKETS)),
            by_key: add(MapDef::new(MapType::SockHash, 4, 4, SOCKETS)),
        };
        Self {
            world,
            node,
            task,
            map,
            maps,
        }
    }

    pub fn add_program(&mut self, kind: ProgramType, insns: Vec<Insn>) -> ProgramId {
        let program = GuestProgram::bare("test", kind, insns, &|_, _, _| None);
        self.world.machine.add_program(program.unwrap())
    }

    pub fn attach(&mut self, hook: AttachType, kind: ProgramType, insns: Vec<Insn>) -> ProgramId {
        let program = self.add_program(kind, insns);
        let mode = AttachMode::Multi;
        let done = self
            .world
            .attach_cgroup(self.task.cgroup, hook, program, mode);
        done.unwrap();
        program
    }

    pub fn value(&mut self) -> Vec<u8> {
        let map = &mut self.world.machine.maps[self.map];
        let address = map.lookup(&[0; 4], Cpu(0)).unwrap();
        self.world
            .machine
            .memory
            .raw(address, recorder::SIZE as u32)
            .to_vec()
    }
}

pub fn add_array(machine: &mut Machine, size: usize) -> MapId {
    let def = MapDef::new(MapType::Array, 4, size as u32, 1);
    let mut map = GuestMap::new(def, &mut machine.memory, 1).unwrap();
    let zeroes = vec![0; size];
    let value = Value::Host(&zeroes);
    map.update(&mut machine.memory, &[0; 4], value, 0, Cpu(0))
        .unwrap();
    machine.maps.push(map)
}

/// What a call gave, as [`in_kernel`] shows it.
pub fn show<T>(result: Result<T, SocketError>, show: impl FnOnce(T) -> String) -> String {
    match result {
        Ok(value) => show(value),
        Err(SocketError::Errno(errno)) => format!("errno {}", errno.get()),
        Err(SocketError::Returned(value)) => returned(value),
        Err(SocketError::Fault(fault)) => format!("fault {fault:?}"),
        Err(SocketError::Unsupported(what)) => format!("unsupported {what}"),
    }
}

/// Runs a script in the emulator.
pub fn in_emulator(script: &Script) -> Lines {
    let mut emulated = Emulated::new();
    for recorder in &script.programs {
        let insns = recorder.program(emulated.maps);
        emulated.attach(recorder.hook, recorder.program_type(), insns);
    }
    let mut sockets: BTreeMap<Slot, SocketId> = BTreeMap::new();
    let mut ports = Ports::default();
    let mut lines = Vec::new();
    for step in &script.steps {
        let line = emulator_step(&mut emulated, &mut sockets, &mut ports, *step);
        lines.push(format!("{step:?}: {line}"));
    }
    lines.extend(recorder::read(&emulated.value(), &mut ports));
    lines
}

pub fn emulator_step(
    emulated: &mut Emulated,
    sockets: &mut BTreeMap<Slot, SocketId>,
    ports: &mut Ports,
    step: Step,
) -> String {
    let nothing = |()| "done".to_owned();
    let task = emulated.task;
    let world = &mut emulated.world;
    if let Step::Open(slot, family, protocol) = step {
        if let Some(old) = sockets.remove(&slot) {
            world.sockets().close(old).unwrap();
        }
        return show(world.sockets().open(task, family, protocol), |id| {
            sockets.insert(slot, id);
            "done".to_owned()
        });
    }
    let Some(id) = sockets.get(&slot(step)).copied() else {
        return format!("errno {}", Errno::EBADF.get());
    };
    let tcp = world.socket(id).map(TwinSocket::protocol) == Some(Protocol::Tcp);
    match step {
        Step::Set(_, setting) => {
            configure(world, id, setting);
            "done".to_owned()
        }
        Step::Bind(_, address) => show(world.sockets().bind(id, address), nothing),
        Step::BindPoor(_, address) => {
            world.set_socket_privileged(id, false);
            let line = show(world.sockets().bind(id, address), nothing);
            world.set_socket_privileged(id, true);
            line
        }
        Step::Listen(_) => show(world.sockets().listen(id, 8), nothing),
        Step::Connect(_, address) | Step::Start(_, address) => show(
            world.sockets().connect(id, address),
            |connected| match connected {
                Connected::Done => "done".to_owned(),
                Connected::Waiting => format!("errno {}", Errno::EINPROGRESS.get()),
            },
        ),
        Step::Disconnect(_) => show(world.sockets().disconnect(id), nothing),
        Step::Accept(_, to) => {
            let accepted = world.sockets().accept(id);
            if let Ok(child) = &accepted
                && let Some(old) = sockets.insert(to, *child)
            {
                world.sockets().close(old).unwrap();
            }
            show(accepted, |_| "done".to_owned())
        }
        Step::Send(..) if tcp => show(world.sockets().write(id, HELLO), nothing),
        Step::Receive(_) if tcp => show(world.sockets().read(id, 2048), |bytes| {
            show_received(None, &bytes, ports)
        }),
        Step::Send(_, to) => show(world.sockets().send(id, to, HELLO), |_| "done".to_owned()),
        Step::Receive(_) => show(world.sockets().receive(id), |datagram| {
            show_received(Some(datagram.from), &datagram.bytes, ports)
        }),
        Step::Shutdown(_, how) => show(world.sockets().shutdown(id, how), nothing),
        Step::LocalName(_) => show(world.sockets().local_name(id), |name| {
            ports.show_address(name)
        }),
        Step::PeerName(_) => show(world.sockets().peer_name(id), |name| {
            ports.show_address(name)
        }),
        Step::Close(slot) => {
            sockets.remove(&slot);
            show(world.sockets().close(id), nothing)
        }
        Step::Open(..) => unreachable!(),
    }
}

pub fn configure(world: &mut World, id: SocketId, setting: Setting) {
    let options = world.socket_options(id).unwrap();
    match setting {
        Setting::ReuseAddress => options.reuse_address = true,
        Setting::ReusePort => options.reuse_port = true,
        Setting::V6Only => options.v6_only = true,
        Setting::AnyAddress => options.any_address = true,
        Setting::AddressWithoutPort => options.address_without_port = true,
        Setting::Broadcast => options.broadcast = true,
        Setting::Mark(mark) => options.mark = mark,
        Setting::Device(index) => options.bound_device = Ifindex::new(index),
    }
}

/// What differs between both sides, or nothing.
pub fn difference(kernel: &Lines, emulator: &Lines) -> Result<(), String> {
    let mut text = String::new();
    for (a, b) in kernel.iter().zip(emulator).filter(|(a, b)| a != b) {
        text += &unequal(a, b);
    }
    if kernel.len() != emulator.len() {
        text += &format!(
            "  the kernel has {} lines, the emulator {}\n",
            kernel.len(),
            emulator.len()
        );
    }
    if text.is_empty() { Ok(()) } else { Err(text) }
}

/// Two lines, without the words that are the same after the first few.
fn unequal(kernel: &str, emulator: &str) -> String {
    const HEAD: usize = 4;
    let words = kernel.split(' ').zip(emulator.split(' ')).enumerate();
    let kept = words.filter(|(index, (a, b))| *index < HEAD || a != b);
    let (a, b): (Vec<_>, Vec<_>) = kept.map(|(_, pair)| pair).unzip();
    format!("  kernel:   {}\n  emulator: {}\n", a.join(" "), b.join(" "))
}

/// An address from text.
pub fn at(text: &str) -> SocketAddr {
    text.parse().unwrap()
}
