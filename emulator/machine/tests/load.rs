//! Objects from clang, loaded and run.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail by panicking too")]

mod objects;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use objects::{Test, object};
use twinpath_machine::object::btf::{Btf, Kind};
use twinpath_machine::{
    Alone, Call, Checked, Environment, HelperId, LoadError, LoadOptions, Machine, MachineOptions,
    MapDef, MapType, ProgramType, TargetBtf, VariableError,
};

fn only(programs: &[&str]) -> Option<BTreeSet<String>> {
    Some(programs.iter().map(|name| (*name).to_owned()).collect())
}

/// Programs as two compilers make them.
#[test]
fn global_data() {
    for name in ["globals", "globals_old"] {
        let mut test = Test::load(name, LoadOptions::default());
        // twice(40) = 80 + hidden 4, counter 6; 1 + 7 + 9.
        assert_eq!(test.run("entry"), 84 + 6 + 17, "{name}");
        assert_eq!(test.run("entry"), 85 + 7 + 17, "{name}");
        assert_eq!(
            test.run("sums"),
            3000 + 300 + i64::from(b'm') + 10,
            "{name}"
        );
        let total = test.global("total");
        assert_eq!(total, 3i64.to_le_bytes(), "{name}");
    }
}

#[test]
fn global_data_is_overridden() {
    let pair = [&1000u32.to_le_bytes()[..], &5u16.to_le_bytes(), &[0; 2]].concat();
    let options = LoadOptions {
        globals: BTreeMap::from([
            ("config_base".to_owned(), 1i32.to_le_bytes().to_vec()),
            ("config_pair".to_owned(), pair),
            ("counter".to_owned(), (-5i32).to_le_bytes().to_vec()),
            ("total".to_owned(), 9i64.to_le_bytes().to_vec()),
        ]),
        ..Default::default()
    };
    let mut test = Test::load("globals", options);
    assert_eq!(test.run("entry"), 2 + 4 - 4 + 1 + 1005);
    assert_eq!(test.global("total"), 10i64.to_le_bytes());
}

#[test]
fn read_only_data_is_read_only() {
    let options = LoadOptions {
        programs: only(&["spoils"]),
        ..Default::default()
    };
    let fault = Test::load("globals", options).fails("spoils");
    assert!(fault.contains("invalid write of 4 bytes"), "{fault}");
}

#[test]
fn functions() {
    let mut test = Test::load("calls", LoadOptions::default());
    assert_eq!(test.run("nested"), 22 + 11 + 4);
}

#[test]
fn callbacks() {
    let options = LoadOptions {
        programs: only(&["loops"]),
        ..Default::default()
    };
    let mut test = Test::load("calls", options);
    assert_eq!(test.run("loops"), 45 * 3);
}

#[test]
fn program_arrays_are_filled() {
    // jumps -> index 3, which is static -> index 1.
    let mut test = Test::load("calls", LoadOptions::default());
    test.is_context = true;
    assert_eq!(test.run("jumps"), 101);
    // The programs of an array come with the programs that refer to it.
    let options = LoadOptions {
        programs: only(&["jumps"]),
        ..Default::default()
    };
    let mut test = Test::load("calls", options);
    test.is_context = true;
    assert_eq!(test.run("jumps"), 101);
    let loaded: Vec<_> = test.loaded.programs.keys().map(String::as_str).collect();
    assert_eq!(loaded, ["called_global", "called_static", "jumps"]);
}

#[test]
fn maps_of_maps_are_filled() {
    let mut test = Test::load("nested", LoadOptions::default());
    assert_eq!(test.run("entry"), 1 + 10_000 + 110_000_000 + 1);
}

#[test]
fn attributes_of_maps() {
    let object = object("nested");
    let find = |name: &str| {
        let position = object.maps().iter().position(|def| def.name == name);
        (position.unwrap(), &object.maps()[position.unwrap()])
    };
    let (position, pinned) = find("pinned");
    assert!(object.is_pinned(position));
    assert_eq!(
        (pinned.key_size, pinned.value_size, pinned.flags.0),
        (12, 20, 1)
    );
    let (_, locks) = find("locks");
    assert_eq!((locks.value_size, locks.lock), (16, Some(4)));
    let (_, outer) = find("by_index");
    let inner = outer.inner.as_deref().unwrap();
    assert_eq!(
        (outer.value_size, inner.kind, inner.value_size),
        (4, MapType::Array, 4)
    );

    let test = Test::load("nested", LoadOptions::default());
    let made = |name: &str| test.machine.maps[test.loaded.maps[name]].def().max_entries;
    assert_eq!(made("ring"), 8192);
    assert_eq!(made("events"), test.machine.cpus());
}

#[test]
fn legacy_maps() {
    for name in ["legacy", "legacy_old"] {
        let mut test = Test::load(name, LoadOptions::default());
        assert_eq!(test.run("count"), 5000 + i64::from(b'n'), "{name}");
        let kinds: Vec<_> = test
            .object
            .programs()
            .iter()
            .map(|p| (p.name.as_str(), p.kind))
            .collect();
        assert_eq!(
            kinds,
            [
                ("count", ProgramType::SocketFilter),
                ("drop", ProgramType::Xdp)
            ]
        );
        assert_eq!(test.object.license(), Some("GPL"));
    }
}

#[test]
fn objects_for_tc() {
    let object = object("iproute2");
    let error =
        Machine::new(Default::default())
            .unwrap()
            .load(&object, &LoadOptions::default(), &Alone);
    let text = error.unwrap_err().to_string();
    assert_eq!(
        text,
        "the type of program from_container is unknown, since the name of section from-container tells none"
    );
    let options = LoadOptions {
        // What it calls by the program array must be of the same type.
        types: BTreeMap::from([("from-container".to_owned(), ProgramType::SchedCls)]),
        ..Default::default()
    };
    let mut test = Test::load("iproute2", options);
    test.is_context = true;
    assert_eq!(test.run("from_container"), 57);
    assert!(
        object.is_pinned(
            object
                .maps()
                .iter()
                .position(|def| def.name == "outer")
                .unwrap()
        )
    );
}

#[test]
fn instruction_sets() {
    let mut input = Vec::new();
    input.extend((-7i64).to_le_bytes());
    input.extend(2i64.to_le_bytes());
    input.extend((-3i64).to_le_bytes()[..4].iter());
    input.extend(0x1122_3344u32.to_le_bytes());
    input.extend(3u64.to_le_bytes());
    input.extend(4u32.to_le_bytes());
    for name in ["instructions_v3", "instructions_v4"] {
        let mut test = Test::load(name, LoadOptions::default());
        test.context.clone_from(&input);
        let expected = match name {
            "instructions_v3" => ((-7i64) as u64 / 2) as i64 - 3,
            _ => -3 * 1000 - 1 - 3 - 3,
        };
        assert_eq!(test.run("arithmetic"), expected, "{name}");
        assert_eq!(test.run("swapped"), 0x4433_2211 + 0x4433, "{name}");
        // 3 + 8 + 0x108 + 0x108 + 4 + 9
        assert_eq!(
            test.run("atomics"),
            (3 + 8 + 0x108 + 0x108 + 4 + 9) * 100 + 11,
            "{name}"
        );
    }
}

#[test]
fn kernel_configuration() {
    let options = |programs: &[&str]| LoadOptions {
        programs: only(programs),
        kconfig: [
            ("CONFIG_HZ", "250"),
            ("CONFIG_BPF_SYSCALL", "y"),
            ("CONFIG_VXLAN", "m"),
            ("CONFIG_DEFAULT_HOSTNAME", "\"(none) and more\""),
            ("CONFIG_LETTER", "y"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into(),
        ..Default::default()
    };
    let mut test = Test::load(
        "kernel",
        options(&["version", "values", "not_set", "excluded"]),
    );
    assert_eq!(test.run("version"), 0x061200);
    let expected =
        250 + 10_000 + 200_000 + i64::from(b'(') * 1_000_000 + i64::from(b'y') * 1_000_000_000;
    assert_eq!(test.run("values"), expected);
    assert_eq!(test.global("CONFIG_DEFAULT_HOSTNAME"), *b"(none) \0");
    assert_eq!(test.run("not_set"), 4);
    assert_eq!(test.run("excluded"), 6);

    // Numbers as `strtoull` reads them; eight bytes take any.
    for (value, number) in [
        ("0xdead000000000000", 0xdead_0000_0000_0000_u64),
        ("010", 8),
        ("0", 0),
        ("-1", u64::MAX),
        ("18446744073709551615", u64::MAX),
    ] {
        let mut options = options(&["values"]);
        options
            .kconfig
            .insert("CONFIG_HZ".to_owned(), value.to_owned());
        let test = Test::load("kernel", options);
        assert_eq!(test.global("CONFIG_HZ"), number.to_le_bytes(), "{value}");
    }

    let refused = |kconfig: &str, value: &str| {
        let mut options = options(&["values"]);
        options.kconfig.insert(kconfig.to_owned(), value.to_owned());
        Test::refused("kernel", options)
    };
    assert_eq!(
        refused("CONFIG_BPF_SYSCALL", "m"),
        "CONFIG_BPF_SYSCALL: is `m`, expected y or n, or 1 or 0"
    );
    assert_eq!(
        refused("CONFIG_HZ", "many"),
        "CONFIG_HZ: is `many`, expected a number"
    );
    assert_eq!(
        refused("CONFIG_NOT_SET", "4294967295"),
        "CONFIG_NOT_SET: is 4294967295, which is no number for a signed integer of 4 bytes"
    );
    assert_eq!(
        refused("CONFIG_LETTER", "200"),
        "CONFIG_LETTER: is 200, which is no number for a signed integer of 1 bytes"
    );
    assert_eq!(
        refused("CONFIG_DEFAULT_HOSTNAME", "x"),
        "CONFIG_DEFAULT_HOSTNAME: is `x`, expected a string in double quotes"
    );
}

#[test]
fn what_the_kernel_does_not_have() {
    let load = |program: &str| LoadOptions {
        programs: only(&[program]),
        ..Default::default()
    };
    let mut test = Test::load("kernel", load("weak"));
    assert_eq!(test.run("weak"), 3);
    insta::assert_snapshot!("kernel_function", Test::refused("kernel", load("strong")));
    insta::assert_snapshot!(
        "kernel_configuration",
        Test::refused("kernel", load("values"))
    );
}

#[test]
fn functions_of_the_kernel() {
    let options = LoadOptions {
        programs: only(&["known"]),
        ..Default::default()
    };
    let mut test = Test::load("kernel", options);
    // It asks for the size of a dynptr at null.
    let fault = test.fails("known");
    assert!(fault.contains("through a null pointer"), "{fault}");
}

#[test]
fn layouts_of_legacy_maps() {
    let object = object("legacy_layouts");
    let at = |name: &str| {
        object
            .maps()
            .iter()
            .position(|def| def.name == name)
            .unwrap()
    };
    assert!(object.is_pinned(at("aya_pinned")));
    let nested = &object.maps()[at("samples_nested")];
    assert_eq!(nested.inner.as_ref().unwrap().name, "aya_pinned");
    assert!(!object.is_pinned(at("samples_nested")));
    assert_eq!(object.maps()[at("zero_tail")].max_entries, 3);
    let options = LoadOptions {
        inner: BTreeMap::from([("to_fill_in".into(), MapDef::new(MapType::Array, 4, 8, 1))]),
        ..Default::default()
    };
    let mut test = Test::load("legacy_layouts", options);
    assert_eq!(test.run("entry"), 21);
    let names: Vec<_> = object
        .programs()
        .iter()
        .map(|program| program.name.as_str())
        .collect();
    assert_eq!(names, ["entry"]);
    assert!(Test::refused("legacy_layouts", LoadOptions::default()).contains("to_fill_in"));
}

fn relocated(programs: &[&str]) -> LoadOptions {
    let target = object("core_target").btf().unwrap().clone();
    LoadOptions {
        btf: TargetBtf::Given(Arc::new(target)),
        programs: only(programs),
        ..Default::default()
    }
}

/// A `struct node` as the target has it.
fn node() -> Vec<u8> {
    let mut node = vec![0; 128];
    let mut put = |at: usize, bytes: &[u8]| node[at..at + bytes.len()].copy_from_slice(bytes);
    put(8, &0x0003_0000_0001u64.to_le_bytes());
    put(16, &0x2222u32.to_le_bytes());
    put(20, &((-5i32 as u32 & 0x7f) << 9).to_le_bytes());
    put(32 + 8, &6u32.to_le_bytes());
    put(32 + 16 + 12, &7u32.to_le_bytes());
    put(96, &0x11u32.to_le_bytes());
    put(120 + 3, &[9]);
    node
}

#[test]
fn relocations() {
    let programs = [
        "loads",
        "elements",
        "bit_field",
        "fields",
        "types",
        "target_type",
        "enumerators",
        "negative",
        "wide",
        "guarded",
        "stores",
    ];
    let mut test = Test::load("core", relocated(&programs));
    test.context = node();
    assert_eq!(
        test.run("loads"),
        0x11 + (0x2222 << 16) + (0x0003_0000_0001 << 32)
    );
    assert_eq!(test.run("elements"), 7 * 1000 + 6 * 100 + 9);
    assert_eq!(test.run("bit_field"), -5);
    let fields = 1 | 1 << 2 | 1 << 4 | 8 << 8 | 64 << 16 | 1 << 24 | 32i64 << 32;
    assert_eq!(test.run("fields"), fields);
    let types = 1 | 16 << 8 | 1 << 24 | 1 << 26 | 1i64 << 32 | 1i64 << 33;
    assert_eq!(test.run("types"), types);
    let target = object("core_target");
    let inner = target
        .btf()
        .unwrap()
        .types()
        .find(|(_, of)| of.name == "inner");
    assert_eq!(test.run("target_type"), i64::from(inner.unwrap().0.0));
    assert_eq!(test.run("enumerators"), 1 | 10 << 8);
    assert_eq!(test.run("negative"), -20);
    assert_eq!(test.run("wide"), 0x7000_0000_8000_0001);
    assert_eq!(test.run("guarded"), 5);
    assert_eq!(test.run("stores"), 0);
    let after = test.memory();
    assert_eq!(after[8..16], 88u64.to_le_bytes());
    assert_eq!(after[96..100], 77u32.to_le_bytes());
}

#[test]
fn relocations_that_fail() {
    for program in ["unguarded", "resized"] {
        insta::assert_snapshot!(program, Test::refused("core", relocated(&[program])));
    }
    let without = LoadOptions {
        btf: TargetBtf::None,
        ..relocated(&["elements"])
    };
    insta::assert_snapshot!("no_types", Test::refused("core", without));
}

/// The same relocations as libbpf's, against the kernel that the test runs on; where it shows its types.
#[test]
fn relocations_by_the_running_kernel() {
    let Ok(kernel) = Btf::of_running_kernel() else {
        return;
    };
    let size = |name: &str| {
        let mut types = kernel.types();
        let found = types.find(|(_, of)| of.name == name && matches!(of.kind, Kind::Struct(_)));
        found.map(|(id, _)| (i64::from(id.0), i64::from(kernel.size_of(id).unwrap())))
    };
    let (id, sk_buff) = size("sk_buff").expect("every kernel has it");
    let mut test = Test::load_in("vmlinux", LoadOptions::default(), &Everything);
    // Exists, its size, its number; a list head's size, which matches; a sock does not, since its port
    // lies in an anonymous member, and the typedef is of a pointer there; two of the enumerators.
    let sum = 1 + sk_buff + id + 16 + 1 + 181 + 1;
    assert_eq!(test.run("types"), sum);
}

/// Has each helper.
struct Everything;

impl Environment for Everything {
    fn provides(&self, _: HelperId, _: ProgramType) -> bool {
        true
    }
    fn helper(&mut self, _: &mut Call<'_>) -> Checked<u64> {
        Ok(0)
    }
}

#[test]
fn nothing_moves_in_the_objects_own_types() {
    let options = LoadOptions {
        btf: TargetBtf::Own,
        ..relocated(&["loads", "fields"])
    };
    let mut test = Test::load("core", options);
    test.context = (1u32..40).flat_map(u32::to_le_bytes).collect();
    assert_eq!(test.run("loads"), 1 + (2 << 16) + (3 << 32));
}

#[test]
fn options_that_do_not_fit() {
    let options = |change: &dyn Fn(&mut LoadOptions)| {
        let mut options = LoadOptions::default();
        change(&mut options);
        Test::refused("globals", options)
    };
    let global = |name: &str, bytes: &[u8]| {
        options(&|options| {
            options.globals.insert(name.to_owned(), bytes.to_vec());
        })
    };
    assert_eq!(
        global("config_base", &[1, 2]),
        "config_base: is 4 bytes, got 2"
    );
    assert!(
        global("nothing", &[]).starts_with("nothing: no global variable has this name; there are ")
    );
    assert_eq!(
        options(&|options| options.programs = only(&["nothing"])),
        "no program or section is named nothing; there are entry, sums, spoils"
    );
    assert!(
        options(&|options| {
            options.max_entries.insert("nothing".to_owned(), 1);
        })
        .starts_with("no map is named nothing; there are counts, ")
    );
}

#[test]
fn maps_are_shared_and_resized() {
    let mut test = Test::load(
        "globals",
        LoadOptions {
            max_entries: BTreeMap::from([("counts".to_owned(), 3)]),
            ..Default::default()
        },
    );
    test.run("entry");
    let counts = test.loaded.maps["counts"];
    let share = |max_entries| LoadOptions {
        shared: BTreeMap::from([("counts".to_owned(), counts)]),
        max_entries,
        ..Default::default()
    };
    let refused = test
        .machine
        .load(&test.object, &share(BTreeMap::new()), &Alone);
    let Err(LoadError::Shared { problem, .. }) = refused else {
        panic!("{refused:?}");
    };
    assert!(problem.contains("3 entries"), "{problem}");
    let fitting = share(BTreeMap::from([("counts".to_owned(), 3)]));
    let again = test.machine.load(&test.object, &fitting, &Alone).unwrap();
    assert_eq!(again.maps["counts"], counts);
    test.loaded = again;
    test.run("entry");
    let value = test.machine.maps[counts].user_lookup(&test.machine.memory, &2u32.to_le_bytes());
    assert_eq!(value.unwrap(), 2u64.to_le_bytes());
}

/// All that is wrong with a program, at once.
#[test]
fn refusals() {
    for program in ["helpers", "kfuncs", "forms", "frame_pointer", "unreached"] {
        let options = LoadOptions {
            programs: only(&[program]),
            ..Default::default()
        };
        let refused = Test::refused("refused", options);
        insta::assert_snapshot!(format!("refused_{program}"), refused);
    }
    let options = LoadOptions {
        programs: only(&["helpers", "kfuncs", "forms", "frame_pointer", "unreached"]),
        ..Default::default()
    };
    let all = Test::refused("refused", options);
    for part in [
        "bpf_rdonly_cast",
        "division by zero",
        "bpf_get_stackid",
        "needs a GPL",
    ] {
        assert!(all.contains(part), "{part} in {all}");
    }
}

/// What no networking program has is refused by name; a weak variable that the kernel lacks is at null.
#[test]
fn what_is_foreign() {
    for program in ["uses_arena", "variable"] {
        let options = LoadOptions {
            programs: only(&[program]),
            btf: TargetBtf::Own,
            ..Default::default()
        };
        let refused = Test::refused("foreign", options);
        insta::assert_snapshot!(format!("foreign_{program}"), refused);
    }
    insta::assert_snapshot!(
        "foreign_maps",
        Test::refused("foreign", LoadOptions::default())
    );
    let options = LoadOptions {
        programs: only(&["weak_variable"]),
        ..Default::default()
    };
    assert_eq!(Test::load("foreign", options).run("weak_variable"), 2);
}

/// A variable of the kernel whose values the caller gives, one for each CPU.
#[test]
fn variables_of_the_kernel() {
    let values: [u64; 3] = [4, 2, 7];
    let values = values.map(|value| value.to_le_bytes().to_vec());
    let defined = |values: &[Vec<u8>]| {
        let mut machine = objects::machine();
        machine.define_variable("process_counts", values)?;
        Ok::<_, VariableError>(machine)
    };
    let options = LoadOptions {
        programs: only(&["variable"]),
        ..Default::default()
    };
    let mut test = Test::load_into(defined(&values).unwrap(), "foreign", options, &Alone);
    assert_eq!(test.run("variable"), 24);
    let again = test.machine.define_variable("process_counts", &values);
    let refused = [
        again,
        defined(&values[1..]).map(drop),
        defined(&[vec![], vec![], vec![]]).map(drop),
    ];
    let refused = refused.map(|refused| refused.unwrap_err().to_string());
    insta::assert_snapshot!("variables_refused", refused.join("\n"));
}

/// Variables whose values the emulator knows, of each of three CPUs and of others.
#[test]
fn variables_of_each_cpu() {
    for name in ["variables", "variables_old"] {
        let mut test = Test::load(name, LoadOptions::default());
        assert_eq!(test.run("cpus"), 2, "{name}");
        assert_eq!(test.run("missing"), 1, "{name}");
        let seen = test.global("seen");
        let seen = seen.as_chunks().0.iter().copied().map(u64::from_le_bytes);
        let (numbers, active) = ([10, 11, 12, 1, 1, 1, 1, 1], [10, 10, 10, 1, 1, 1, 1, 1]);
        assert!(seen.eq([numbers, active].concat()), "{name}");
    }
}

/// Pointers to the kernel's own structures can be used, and not read through.
#[test]
fn structures_of_the_kernel() {
    let own = |program: Option<&str>| LoadOptions {
        programs: program.and_then(|program| only(&[program])),
        btf: TargetBtf::Own,
        ..Default::default()
    };
    Test::load_in("opaque", own(None), &Everything);
    for program in ["reads", "carries"] {
        let object = object("opaque");
        let mut machine = Machine::new(MachineOptions::default()).unwrap();
        let refused = machine.load(&object, &own(Some(program)), &Everything);
        insta::assert_snapshot!(
            format!("opaque_{program}"),
            refused.unwrap_err().to_string()
        );
    }
}

/// What no path leads to is not looked at.
#[test]
fn refusals_that_no_path_leads_to() {
    let mut test = Test::load("refused", LoadOptions::default());
    assert_eq!(test.run("guarded"), 5);
    let options = LoadOptions {
        programs: only(&["guarded"]),
        globals: BTreeMap::from([("enabled".to_owned(), 1i32.to_le_bytes().to_vec())]),
        ..Default::default()
    };
    insta::assert_snapshot!("refused_guarded", Test::refused("refused", options));
}

/// Less usual ways of writing programs, by two compilers and three instruction sets.
#[test]
fn styles() {
    for name in ["styles_old", "styles_v3", "styles_v4"] {
        let mut test = Test::load(name, LoadOptions::default());
        assert_eq!(test.run("data"), 2_102_857, "{name}");
        for (case, expected) in [(0, 1), (1, 17), (2, 4), (3, 1), (4, 99), (6, 7), (9, -1)] {
            test.context[0] = case;
            assert_eq!(test.run("switches") as i32, expected, "{name} {case}");
        }
        test.context[0] = 5;
        assert_eq!(test.run("chosen"), 1 + 2 + 3 + 4, "{name}");
        test.is_context = true;
        assert_eq!(test.run("enters_static"), 22, "{name}");
        // skb->mark is at offset 8.
        for (mark, expected) in [(0, 33), (1, 11), (7, 22), (8, 33)] {
            test.context[8] = mark;
            assert_eq!(test.run("enters"), expected, "{name} {mark}");
        }
    }
}

/// A devmap belongs to programs of one kind, a program array to those for one place.
#[test]
fn owners_of_maps() {
    let load = |programs: &[&str]| {
        let options = LoadOptions {
            programs: only(programs),
            ..Default::default()
        };
        let machine = Machine::new(MachineOptions::default());
        let loaded = machine.unwrap().load(&object("owners"), &options, &Helping);
        loaded.map(drop).map_err(|error| error.to_string())
    };
    for together in [
        &["plain", "alike"][..],
        &["fragments"],
        &["classifier"],
        &["connect", "plain"],
    ] {
        assert_eq!(load(together), Ok(()), "{together:?}");
    }
    let refused = [
        &["plain", "fragments"][..],
        &["classifier", "filter"],
        &["connect", "connect_too"],
        &["connect", "filter"],
    ];
    let texts = refused.map(|together| load(together).unwrap_err());
    insta::assert_snapshot!("owners", texts.join("\n"));
}

/// An environment that has all helpers.
struct Helping;

impl Environment for Helping {
    fn provides(&self, _: HelperId, _: ProgramType) -> bool {
        true
    }

    fn helper(&mut self, call: &mut Call<'_>) -> Checked<u64> {
        panic!("{} is not called", call.helper)
    }
}

/// Static maps of linked objects may have the same name.
#[test]
fn linked_twins() {
    let mut test = Test::load("twins", LoadOptions::default());
    assert_eq!([(); 3].map(|()| test.run("first")), [1, 2, 3]);
    assert_eq!([(); 3].map(|()| test.run("second")), [100, 200, 300]);
}

/// All that a loader would have filled in is missed at once.
#[test]
fn sizes_of_loaders() {
    let refused = Test::refused("unsized", LoadOptions::default());
    insta::assert_snapshot!("unsized", refused);
    let sizes = [("counts", 7), ("events", 5000)];
    let options = LoadOptions {
        max_entries: sizes.map(|(name, size)| (name.to_owned(), size)).into(),
        kconfig: [("CONFIG_TWICE".to_owned(), "1".to_owned())].into(),
        ..Default::default()
    };
    let mut test = Test::load("unsized", options.clone());
    assert_eq!(test.run("sizes"), 8192);
    assert_eq!(test.run("has"), 12);
    let options = LoadOptions {
        kconfig: [("CONFIG_TWICE".to_owned(), "2".to_owned())].into(),
        ..options
    };
    let refused = Test::refused("unsized", options);
    assert_eq!(refused, "CONFIG_TWICE: is `2`, expected y or n, or 1 or 0");
}
