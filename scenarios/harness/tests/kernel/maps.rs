//! Map contents and events.

use twinpath::backend::Backend;
use twinpath::decode::Decoder;
use twinpath::diff::{self, Leeway};
use twinpath::emulated::{EmulatedBackend, Engine};
use twinpath::plan::HookKind::{TcIngress, Xdp};
use twinpath::plan::{ObjectName, Plan};
use twinpath::recording::{MapContents, MapRef, Recording};

use crate::needs_kernel;
use crate::support::*;

fn reference(map: &str) -> MapRef {
    MapRef {
        node: node(),
        object: ObjectName::new("hooks"),
        map: map.to_owned(),
    }
}

fn map<'a>(recording: &'a Recording, name: &str) -> &'a MapContents {
    &recording.maps[&reference(name)]
}

fn u64s(contents: &MapContents) -> Vec<(u32, u64)> {
    let number = |(key, values): (&Vec<u8>, &Vec<Vec<u8>>)| {
        let key = u32::from_ne_bytes(key[..].try_into().expect("four bytes"));
        (
            key,
            u64::from_ne_bytes(values[0][..].try_into().expect("eight bytes")),
        )
    };
    contents.entries.iter().map(number).collect()
}

fn busy() -> Plan {
    plan()
        .attach("entry", "a", Xdp)
        .attach("from_device", "b", TcIngress)
        .frame("a", Order::just(1).frame(60))
        .frame("a", Order::just(2).frame(100))
        .frame("b", Order::just(2).frame(100))
}

#[test]
fn contents_are_read_at_the_end() {
    needs_kernel!();
    let recording = run(&busy());
    assert_eq!(u64s(map(&recording, "by_length")), [(0, 60), (1, 200)]);
    assert_eq!(
        u64s(map(&recording, "by_device_of_the_frame")),
        [(5, 2), (7, 1)]
    );
    assert_eq!(u64s(map(&recording, ".bss")), [(0, 3)]);
    let per_cpu = map(&recording, "by_verdict");
    assert!(per_cpu.per_cpu);
    let cpus = aya::util::nr_cpus().unwrap();
    for (verdict, count) in [(1u32, 1u32), (2, 2)] {
        let values = &per_cpu.entries[&verdict.to_ne_bytes().to_vec()];
        assert_eq!(values.len(), cpus);
        let sum: u32 = values
            .iter()
            .map(|value| u32::from_ne_bytes(value[..].try_into().unwrap()))
            .sum();
        assert_eq!(sum, count);
    }
    assert_eq!(per_cpu.entries.len(), 2);
    for absent in ["ring", "perf", ".rodata"] {
        assert!(!recording.maps.contains_key(&reference(absent)), "{absent}");
    }
}

#[test]
fn contents_are_written_before_the_start() {
    needs_kernel!();
    let prefix = [&24u32.to_ne_bytes()[..], &[10, 1, 2, 0]].concat();
    let plan = busy()
        .write("by_length", &0u32.to_ne_bytes(), &1000u64.to_ne_bytes())
        .write("by_length", &3u32.to_ne_bytes(), &1u64.to_ne_bytes())
        .write("recent", &4u32.to_ne_bytes(), &5u64.to_ne_bytes())
        .write("percpu_hash", &4u32.to_ne_bytes(), &6u32.to_ne_bytes())
        .write("pinned", &4u32.to_ne_bytes(), &7u32.to_ne_bytes())
        .write("prefixes", &prefix, &8u32.to_ne_bytes());
    let recording = run(&plan);
    assert_eq!(
        u64s(map(&recording, "by_length")),
        [(0, 1060), (1, 200), (3, 1)]
    );
    assert_eq!(u64s(map(&recording, "recent")), [(4, 5)]);
    let values = &map(&recording, "percpu_hash").entries[&4u32.to_ne_bytes().to_vec()];
    let written = values.iter().filter(|value| **value == 6u32.to_ne_bytes());
    assert_eq!(written.count(), 1, "on the CPU of the run: {values:?}");
    let zero = values.iter().filter(|value| **value == [0; 4]);
    assert_eq!(zero.count(), values.len() - 1, "{values:?}");
    assert_eq!(
        map(&recording, "pinned").entries[&4u32.to_ne_bytes().to_vec()],
        [7u32.to_ne_bytes()]
    );
    assert_eq!(
        map(&recording, "prefixes").entries[&prefix],
        [8u32.to_ne_bytes()]
    );
}

/// A program goes on from what the scenario wrote, on the CPU that it runs on.
#[test]
fn per_cpu_values_are_those_of_the_emulator() {
    needs_kernel!();
    let plan = busy()
        .write("by_verdict", &1u32.to_ne_bytes(), &40u32.to_ne_bytes())
        .write("by_verdict", &7u32.to_ne_bytes(), &70u32.to_ne_bytes())
        .write("percpu_hash", &4u32.to_ne_bytes(), &6u32.to_ne_bytes());
    let kernel = run(&plan);
    for engine in [Engine::Checked, Engine::Rbpf] {
        let emulated = EmulatedBackend::new(engine).run(&plan).expect("it runs");
        let diff = diff::compare(&kernel, &emulated, &Decoder::new([]), &Leeway::default());
        assert!(diff.maps.is_empty(), "{engine:?}: {:#?}", diff.maps);
        let values = &map(&emulated, "by_verdict").entries[&1u32.to_ne_bytes().to_vec()];
        assert_eq!(values[..], [41u32.to_ne_bytes()], "{engine:?}");
    }
}

#[test]
fn programs_are_recorded_as_they_were_loaded() {
    needs_kernel!();
    let recording = run(&busy());
    let loads = recording.loads.iter();
    let names: Vec<_> = loads.clone().map(|load| load.program.as_str()).collect();
    assert_eq!(names, ["entry", "from_device"]);
    for load in loads {
        assert!(!load.time.is_zero());
        // Each has more than fifty instructions; old kernels do not say how many they verified.
        assert!(load.verified.is_none_or(|count| count > 50), "{load:?}");
        assert!(
            load.machine_code.is_none_or(|bytes| bytes > 100),
            "{load:?}"
        );
    }
}

#[test]
fn globals_are_set() {
    needs_kernel!();
    let mut plan = busy();
    let globals = &mut plan.nodes[0].objects[0].globals;
    globals.insert("offset_of_count".to_owned(), 10u32.to_ne_bytes().to_vec());
    let recording = run(&plan);
    assert_eq!(
        u64s(map(&recording, "by_device_of_the_frame")),
        [(5, 22), (7, 11)]
    );
}

#[test]
fn objects_share_the_maps_that_they_pin() {
    needs_kernel!();
    let mut plan = plan().write("pinned", &1u32.to_ne_bytes(), &2u32.to_ne_bytes());
    let mut twin = object(OBJECT);
    twin.name = ObjectName::new("twin");
    plan.nodes[0].objects.push(twin);
    let recording = run(&plan);
    let twins = MapRef {
        object: ObjectName::new("twin"),
        ..reference("pinned")
    };
    assert_eq!(recording.maps[&twins], *map(&recording, "pinned"));
    assert_eq!(map(&recording, "pinned").entries.len(), 1);
}

#[test]
fn events_belong_to_their_journeys() {
    needs_kernel!();
    let recording = run(&busy());
    let event = |words: [u32; 3]| words.map(u32::to_ne_bytes).concat();
    let expected = [event([5, 1, 60]), event([5, 2, 100]), event([7, 2, 100])];
    for (journey, expected) in recording.journeys.iter().zip(&expected) {
        let from = |map| {
            journey
                .events
                .iter()
                .filter(move |event| event.map == reference(map))
        };
        let ring: Vec<_> = from("ring").map(|event| &event.bytes).collect();
        assert_eq!(ring, [expected]);
        // Only the verdict 1 is reported by the other way, whose records the kernel pads.
        let perf: Vec<_> = from("perf").map(|event| &event.bytes[..12]).collect();
        assert_eq!(perf.len(), usize::from(expected[4] == 1));
        assert!(perf.iter().all(|bytes| bytes == expected));
    }
}
