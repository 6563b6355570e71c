//! What a person is told about a mistake in a scenario file.

use std::path::Path;

use twinpath::scenario::Scenario;

/// A scenario without mistakes, which each case spoils.
const GOOD: &str = r#"description = "A frame arrives"

[[device]]
name = "eth0"
addresses = ["192.0.2.1/24"]

[[step]]
send = "tcp 192.0.2.10:40000 > 192.0.2.80:80 SYN"
expect.verdict = "XDP_TX"
"#;

/// Where the file would be: relative paths in it start from its folder.
const PLACE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/mistake.toml");

fn mistake(from: &str, to: &str) -> String {
    assert!(GOOD.contains(from), "{from}");
    let text = GOOD.replacen(from, to, 1);
    let scenario = Scenario::parse(Path::new(PLACE), text);
    match scenario.and_then(|scenario| scenario.case()) {
        Ok(_) => panic!("no mistake in {to}"),
        Err(error) => error.to_string().replace(env!("CARGO_MANIFEST_DIR"), ""),
    }
}

#[test]
fn mistakes_are_shown_in_their_place() {
    let step = "expect.verdict";
    let replay = "replay = \"../../../pcaps/corpus/dns.pcap\"";
    let replay = |more: &str| format!("{replay}\n{more}");
    let send = "send = \"tcp 192.0.2.10:40000 > 192.0.2.80:80 SYN\"";
    let other = "[[device]]\nname = \"eth1\"\n\n[[step]]";
    let cases = [
        ("no TOML", "[[device]]", "[[device]".to_owned()),
        ("an unknown key", "addresses =", "adresses =".to_owned()),
        ("a key that is missing", "name = \"eth0\"\n", String::new()),
        ("a value of the wrong type", "\"eth0\"", "5".to_owned()),
        ("no address", "192.0.2.1/24", "192.0.2/24".to_owned()),
        ("no MAC address", "addresses", "mac = \"02:00:00\"\naddresses".to_owned()),
        ("a device's name too long", "\"eth0\"", "\"a-device-of-mine\"".to_owned()),
        ("a device twice", "[[step]]", "[[device]]\nname = \"eth0\"\n\n[[step]]".to_owned()),
        ("an index twice", "[[step]]", "[[device]]\nname = \"eth1\"\nifindex = 10\n\n[[step]]".to_owned()),
        ("a step without a device", "[[step]]", other.to_owned()),
        ("a step that does two things", step, "send-hex = \"00\"\nexpect.verdict".to_owned()),
        ("a step that does nothing", send, String::new()),
        ("hex that is none", send, "send-hex = \"0x12\"".to_owned()),
        ("a frame's mistake in its place", "192.0.2.80:80 SYN", "192.0.2.80 SYN".to_owned()),
        ("no time", step, "after = \"soon\"\nexpect.verdict".to_owned()),
        ("no end", step, "expect.ends = \"eth0\"\nexpect.verdict".to_owned()),
        ("an end at an unknown device", step, "expect.ends = \"leaves eth7\"\nexpect.verdict".to_owned()),
        ("no packet numbers", send, replay("packets = \"0-3\"")),
        ("packets that the capture lacks", send, replay("packets = \"1-4000\"")),
        ("an exception that fits nothing", step, "except = [{ when = { \"ip.ttl\" = 3 }, expect = {} }]\nexpect.verdict".to_owned()),
        ("a field that no header has", step, "expect.fields.\"ip.tll\" = 63\nexpect.verdict".to_owned()),
        ("a field of no header", step, "expect.fields = { \"mac.dst\" = \"02:00:00:00:00:01\" }\nexpect.verdict".to_owned()),
        ("a field of an inner header that is the outer one", step, "expect.fields.\"ip.ttl#1\" = 63\nexpect.verdict".to_owned()),
        ("a condition on no field", send, replay("except = [{ when = { \"udp.dstprt\" = 53 }, expect = {} }]")),
        ("a field that no value has", step, "expect.verdict = \"XDP_TX\"\n\n[[expect.entry]]\nmap = \"metrics\"\nkey = \"ingress\"\nvalue = { packts = 1 }\n#".to_owned()),
        ("an expectation that says too much", step, "expect.verdict = \"XDP_TX\"\n\n[[expect.map]]\nmap = \"metrics\"\nentries = 1\nabsent = true\n#".to_owned()),
        ("a key of the wrong size", step, "expect.verdict = \"XDP_TX\"\n\n[[expect.map]]\nmap = \"metrics\"\nkey = { u32 = 1 }\nabsent = true\n#".to_owned()),
        ("an unknown literal", step, "expect.verdict = \"XDP_TX\"\n\n[[expect.map]]\nmap = \"metrics\"\nkey = { u23 = 1 }\n#".to_owned()),
        ("a device in a literal", "[[step]]", "[[map]]\nmap = \"lxc_device\"\nkey = { device = \"eth9\" }\nvalue = { zeros = 52 }\n\n[[step]]".to_owned()),
        ("an object that is not there", "[[device]]", "[[object]]\npath = \"none.o\"\n\n[[device]]".to_owned()),
        ("an unknown variable", "[[device]]", "[[object]]\npath = \"../../../datapath/objects/twinpath.o\"\nglobals.HASH_SED = { u32 = 1 }\n\n[[device]]".to_owned()),
        ("a variable of another size", "[[device]]", "[[object]]\npath = \"../../../datapath/objects/twinpath.o\"\nglobals.HASH_SEED = { u64 = 1 }\n\n[[device]]".to_owned()),
        ("two objects of a name", "[[device]]", "[[object]]\npath = \"../../../datapath/objects/twinpath.o\"\n\n[[object]]\npath = \"../../../datapath/objects/twinpath.o\"\n\n[[device]]".to_owned()),
        ("a program of two objects", "[[device]]\n", "[[object]]\npath = \"../../../datapath/objects/twinpath.o\"\n\n[[object]]\nname = \"other\"\npath = \"../../../datapath/objects/twinpath.o\"\n\n[[device]]\nxdp = \"xdp_entry\"\n".to_owned()),
        ("an unknown object", "addresses", "xdp = \"mine:xdp_entry\"\naddresses".to_owned()),
        ("a cluster without the datapath", "[[device]]", "deny = [\"192.0.2.0/24\"]\n[[object]]\npath = \"objects/plain.bpf.o\"\n\n[[device]]".to_owned()),
        ("a service that contradicts itself", "[[step]]", "[[service]]\nname = \"web\"\nvip = \"192.0.2.80\"\nport = 80\nprotocol = \"tcp\"\nbackends = [{ address = \"fd00::1\", port = 80 }]\n\n[[step]]".to_owned()),
    ];
    let text: Vec<String> = cases
        .iter()
        .map(|(title, from, to): &(&str, &str, String)| format!("# {title}\n{}", mistake(from, to)))
        .collect();
    insta::assert_snapshot!(text.join("\n\n"));
}
