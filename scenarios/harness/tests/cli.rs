//! The command: what it prints when its input is wrong, and its exit status.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot be set up has failed"
)]

use std::path::Path;
use std::process::{Command, Output};

/// A scenario without mistakes, which some cases spoil.
const GOOD: &str = r#"description = "A SYN arrives"

[[device]]
name = "eth0"
xdp = "xdp_entry"

[[step]]
send = "tcp 192.0.2.10:40000 > 192.0.2.80:80 SYN"
"#;

/// An endpoint behind a device that the scenario does not have.
const ENDPOINT: &str = r#"[[endpoint]]
name = "web"
device = "lxc1"
ipv4 = "10.0.1.10"
mac = "02:00:00:00:01:0a"
identity = 1001

[[step]]"#;

/// Objects of the kernel backend's tests: one with maps and variables, one with a program of no type.
const HOOKS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/objects/hooks.bpf.o");
const PLAIN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/objects/plain.bpf.o");

/// What lies in the folder where the command runs.
type Files = Vec<(&'static str, Vec<u8>)>;

/// Runs the command in a folder with the files that a case needs.
fn twinpath(files: &[(&str, &[u8])], arguments: &[&str]) -> Output {
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes) in files {
        std::fs::write(folder.path().join(name), bytes).unwrap();
    }
    Command::new(env!("CARGO_BIN_EXE_twinpath"))
        .args(arguments)
        .current_dir(folder.path())
        .env_remove("CLICOLOR_FORCE")
        .env_remove("GITHUB_ACTIONS")
        .output()
        .unwrap()
}

/// Exit status, output and errors as one text.
fn told(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    format!(
        "exit {}\n{}{}",
        output.status.code().unwrap_or(-1),
        text(&output.stdout),
        text(&output.stderr)
    )
}

fn object() -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../datapath/objects/twinpath.o");
    std::fs::read(path).unwrap()
}

/// A pcap of one packet, cut off in the middle of it.
fn truncated_pcap() -> Vec<u8> {
    let mut bytes = vec![0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0];
    bytes.extend([0; 8]);
    bytes.extend(65535_u32.to_le_bytes());
    bytes.extend(1_u32.to_le_bytes());
    for field in [0, 0, 60, 60_u32] {
        bytes.extend(field.to_le_bytes());
    }
    bytes.extend([0; 20]);
    bytes
}

/// A policy by names of hosts, which the model does not do.
const POLICY: &str = "apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: by-host}
spec:
  endpointSelector: {}
  egress:
  - toFQDNs: [{matchName: example.org}]
";

#[test]
fn wrong_input_is_told_and_ends_with_2() {
    let object = object();
    let pcap = truncated_pcap();
    let spoiled = |from: &str, to: &str| {
        assert!(GOOD.contains(from), "{from}");
        GOOD.replacen(from, to, 1).into_bytes()
    };
    let run: &[&str] = &["run", "s.toml", "--backend", "emulator"];
    let replay: &[&str] = &[
        "replay",
        "o.o",
        "--program",
        "xdp_entry",
        "--pcap",
        "c.pcap",
    ];
    let map = |name: &str, value: &str| {
        let entry = format!("[[map]]\nmap = \"{name}\"\nkey = {{ zeros = 24 }}\nvalue = {value}\n");
        spoiled("[[step]]", &format!("{entry}\n[[step]]"))
    };
    let scenario = |text: Vec<u8>| vec![("s.toml", text)];
    let send = "send = \"tcp 192.0.2.10:40000 > 192.0.2.80:80 SYN\"";
    let replaying = spoiled(send, "replay = \"c.pcap\"");
    let foreign = spoiled("[[device]]", "[[object]]\npath = \"o.o\"\n\n[[device]]");
    let object_and = |pcap: &[u8]| vec![("o.o", object.clone()), ("c.pcap", pcap.to_vec())];
    let cases: &[(&str, Files, &[&str])] = &[
        ("an unknown key", scenario(spoiled("xdp =", "xpd =")), run),
        (
            "a program that the object lacks",
            scenario(spoiled("xdp_entry", "xdp_enter")),
            run,
        ),
        (
            "a program of another kind",
            scenario(spoiled("xdp_entry", "from_container")),
            run,
        ),
        (
            "a map value of the wrong size",
            scenario(map("prefilter", "{ u16 = 1 }")),
            run,
        ),
        (
            "a map that the object lacks",
            scenario(map("prefiltre", "\"00000000\"")),
            run,
        ),
        (
            "an unknown device",
            scenario(spoiled("[[step]]", "[[step]]\non = \"eth1\"")),
            run,
        ),
        (
            "a frame that is none",
            scenario(spoiled("80 SYN", "80 SIN")),
            run,
        ),
        (
            "a verdict that is none",
            scenario(spoiled("SYN\"", "SYN\"\nexpect.verdict = \"XDP_PAS\"")),
            run,
        ),
        (
            "a reason that is none",
            scenario(spoiled(
                "SYN\"",
                "SYN\"\nexpect.reason = \"Invalid source\"",
            )),
            run,
        ),
        (
            "a policy that is not supported",
            vec![
                (
                    "s.toml",
                    format!("manifests = [\"p.yaml\"]\n{GOOD}").into_bytes(),
                ),
                ("p.yaml", POLICY.as_bytes().to_vec()),
            ],
            run,
        ),
        (
            "an endpoint without a device",
            scenario(spoiled("[[step]]", ENDPOINT)),
            run,
        ),
        (
            "a capture that is cut",
            vec![("s.toml", replaying.clone()), ("c.pcap", pcap.clone())],
            run,
        ),
        ("a capture that is not there", scenario(replaying), run),
        (
            "an object that is no ELF",
            vec![("s.toml", foreign), ("o.o", b"hello".to_vec())],
            run,
        ),
        ("a scenario that is not there", vec![], run),
        ("a folder without scenarios", vec![], &["run", "."]),
        ("a wrong flag", vec![], &["run", "--backend", "hardware"]),
        ("replay: an object that is not there", vec![], replay),
        (
            "replay: an object that is no ELF",
            vec![("o.o", b"hello".to_vec())],
            replay,
        ),
        ("replay: a capture that is cut", object_and(&pcap), replay),
        (
            "replay: a capture that is none",
            object_and(b"hello"),
            replay,
        ),
        (
            "replay: a capture that is not there",
            vec![("o.o", object.clone())],
            replay,
        ),
        (
            "replay: a program that the object lacks",
            object_and(&pcap),
            &[
                "replay",
                "o.o",
                "--program",
                "xdp_enter",
                "--pcap",
                "c.pcap",
            ],
        ),
    ];
    insta::assert_snapshot!(refusals(cases));
}

/// Runs cases that are refused, and puts together what is said.
fn refusals(cases: &[(&str, Files, &[&str])]) -> String {
    let mut texts = Vec::new();
    for (title, files, arguments) in cases {
        let files: Vec<(&str, &[u8])> = files
            .iter()
            .map(|(name, bytes)| (*name, bytes.as_slice()))
            .collect();
        let output = twinpath(&files, arguments);
        let text = told(&output);
        assert_eq!(output.status.code(), Some(2), "{title}: {text}");
        assert!(!text.contains("panicked"), "{title}: {text}");
        texts.push(format!("# {title}\n{text}"));
    }
    texts.join("\n")
}

/// Objects that are none, or not what the command needs.
#[test]
fn wrong_objects_are_told_and_end_with_2() {
    let hooks = std::fs::read(HOOKS).unwrap();
    let changed = |at: usize, to: u8| {
        let mut bytes = hooks.clone();
        bytes[at] = to;
        vec![("o.o", bytes)]
    };
    let inspect: &[&str] = &["inspect", "o.o"];
    let with = |program: &'static str, more: &[&'static str]| {
        let mut arguments = vec!["replay", "o.o", "--pcap", "c.pcap", "--program", program];
        arguments.extend(more);
        arguments
    };
    let plain = || vec![("o.o", std::fs::read(PLAIN).unwrap())];
    let object = || vec![("o.o", hooks.clone()), ("c.pcap", truncated_pcap())];
    let untyped = with("strange", &[]);
    let for_entries = with("to_device", &[]);
    let no_packets = with("entry", &["--type", "sk_msg"]);
    let no_type = with("entry", &["--type", "xpd"]);
    let no_global = with("entry", &["--set", "offset_of_cuont=1"]);
    let wide = with("entry", &["--set", "offset_of_count=0x1ffffffff"]);
    let no_value = with("entry", &["--set", "offset_of_count=much"]);
    let no_equals = with("entry", &["--set", "offset_of_count"]);
    let no_folder = with("entry", &["--write", "none/out.pcapng"]);
    let a_folder = with("entry", &["--write", "."]);
    let cases: &[(&str, Files, &[&str])] = &[
        ("nothing", vec![("o.o", Vec::new())], inspect),
        ("text", vec![("o.o", b"hello".to_vec())], inspect),
        ("not there", vec![], inspect),
        ("a folder", vec![], &["inspect", "."]),
        (
            "cut off",
            vec![("o.o", hooks[..hooks.len() / 2].to_vec())],
            inspect,
        ),
        ("for another machine", changed(18, 62), inspect),
        ("of 32 bits", changed(4, 1), inspect),
        ("of the other byte order", changed(5, 2), inspect),
        (
            "without the program",
            object(),
            &["inspect", "o.o", "--program", "enrty"],
        ),
        ("of no known type", plain(), &untyped),
        ("of a type without packets", object(), &no_packets),
        ("for the entries of a map", plain(), &for_entries),
        ("of a type that is none", object(), &no_type),
        ("a variable that is not there", object(), &no_global),
        ("a number too large", object(), &wide),
        ("a value that is none", object(), &no_value),
        ("no value", object(), &no_equals),
        ("nowhere to write to", object(), &no_folder),
        ("a folder to write to", object(), &a_folder),
    ];
    insta::assert_snapshot!(refusals(cases));
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_twinpath"))
        .arg("schema")
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(told(&output), "exit 0\n");
}

#[test]
fn colours_are_for_terminals_or_on_demand() {
    let errors = |force: bool| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_twinpath"));
        command.args(["run", "nowhere.toml"]).env_remove("NO_COLOR");
        if force {
            command.env("CLICOLOR_FORCE", "1");
        }
        String::from_utf8_lossy(&command.output().unwrap().stderr).into_owned()
    };
    assert!(!errors(false).contains('\x1b'));
    assert!(errors(true).contains('\x1b'));
}
