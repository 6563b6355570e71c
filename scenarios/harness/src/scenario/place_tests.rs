//! What values are at their places, with types and without.

use serde::Deserialize;
use twinpath_machine::Object;

use super::*;

#[derive(Deserialize)]
struct File {
    value: Located<Bytes>,
}

fn encode(text: &str, place: &Place<'_>) -> Result<Encoded, String> {
    let text = format!("value = {text}");
    let file: File = toml::from_str(&text).map_err(|error| error.message().to_owned())?;
    let device = |name: &str| (name == "eth0").then(|| Ifindex::new(10)).flatten();
    let encoded = place.encode(&file.value, &device);
    encoded.map_err(|Misfit { span, problem }| {
        let place = text.get(span).unwrap_or_default();
        format!("{place}: {problem}")
    })
}

#[test]
fn each_literal_has_its_bytes() {
    for (text, hex) in [
        (r#""00ff 10""#, "00ff10"),
        ("{ u8 = 5 }", "05"),
        ("{ u16 = 5 }", "0500"),
        ("{ u32 = 5 }", "05000000"),
        ("{ u64 = 5 }", "0500000000000000"),
        ("{ be16 = 80 }", "0050"),
        ("{ be32 = 80 }", "00000050"),
        ("{ be64 = 80 }", "0000000000000050"),
        (r#"{ ip = "10.0.0.1" }"#, "0a000001"),
        (r#""10.0.0.1""#, "0a000001"),
        (
            r#"{ ip = "2001:db8::1" }"#,
            "20010db8000000000000000000000001",
        ),
        (r#""2001:db8::1""#, "20010db8000000000000000000000001"),
        (
            r#""2001:0db8:0000:0000:0000:0000:0000:0001""#,
            "20010db8000000000000000000000001",
        ),
        (r#""00:11:22:33:44:55:66:77""#, "0011223344556677"),
        (r#"{ cidr = "10.0.0.0/8" }"#, "080000000a000000"),
        (r#"{ mac = "02:00:00:00:00:01" }"#, "020000000001"),
        (r#""02:00:00:00:00:01""#, "020000000001"),
        (r#"{ device = "eth0" }"#, "0a000000"),
        (r#"{ text = "ab" }"#, "6162"),
        (r#"{ hex = "ab" }"#, "ab"),
        ("{ zeros = 3 }", "000000"),
        ("7", "07000000"),
        ("0x1ff", "ff01"),
        ("-1", "ffffffffffffffff"),
        ("255", "ff"),
        ("true", "01"),
        (
            r#"[{ ip = "10.0.0.1" }, { be16 = 80 }, "ff"]"#,
            "0a0000010050ff",
        ),
        (r#"[["0a", "0b"], { u8 = 1 }]"#, "0a0b01"),
    ] {
        let bytes = parse_hex(hex).unwrap();
        let encoded = encode(text, &Place::new("it", bytes.len(), None));
        let said = vec![0xff; bytes.len()];
        assert_eq!(encoded, Ok(Encoded { bytes, said }), "{text}");
    }
}

#[test]
fn a_wrong_value_is_refused() {
    for (text, message) in [
        (r#"{ device = "eth1" }"#, "no device is named `eth1`"),
        (r#""abc""#, "`abc` is neither hex nor an address"),
        (
            "{ u16 = 70000 }",
            "70000 does not fit: expected a number of 16 bits without a sign",
        ),
        ("{ u16 = \"5\" }", "this is no number"),
        ("{ text = 5 }", "this is no text"),
        ("{ hex = \"5\" }", "`5` is not hex"),
        (
            "{ u12 = 5 }",
            "no literal is named `u12`: expected `u8`, `u16`",
        ),
        (
            "256",
            "256 does not fit: expected a number of 1 bytes: the size of it",
        ),
        ("-129", "-129 does not fit"),
        ("[5]", "a number in a list has no width"),
        (
            "{ u16 = 5 }",
            "these are 2 bytes: expected 1 bytes: the size of it",
        ),
        ("5.0", "expected a number, hex digits"),
        (r#"{ mac = "02:00" }"#, "`02:00` is not a MAC address"),
        (
            "{ a = 1, b = 2 }",
            "it has no members that the object tells of",
        ),
    ] {
        let error = encode(text, &Place::new("it", 1, None)).unwrap_err();
        assert!(error.contains(message), "{text}: {error}");
    }
}

/// Tries values at a type of `scenarios/suite/object/typed.bpf.c`.
fn typed(name: &str, cases: &[(&str, Result<&str, &str>)]) {
    let object = include_bytes!("../../../suite/object/typed.bpf.o");
    let object = Object::parse(object).unwrap();
    let btf = object.btf().unwrap();
    let (id, _) = btf.types().find(|(_, of)| of.name == name).unwrap();
    let size = btf.size_of(id).unwrap() as usize;
    let place = Place::new("the value", size, Some((btf, id)));
    for (text, want) in cases {
        let encoded = encode(text, &place).map(|encoded| crate::decode::hex(&encoded.bytes));
        match (&encoded, want) {
            (Ok(hex), Ok(want)) => assert_eq!(hex, &want.replace(' ', ""), "{text}"),
            (Err(error), Err(want)) if error.contains(want) => {}
            _ => panic!("{text}: {encoded:?}, not {want:?}"),
        }
    }
}

#[test]
fn members_have_the_bytes_of_their_types() {
    typed(
        "service",
        &[
            (
                "{ addr = \"10.0.0.1\", port = 80, zone = 1 }",
                Ok("0a000001 0050 00 01"),
            ),
            (
                "{ addr = 0x0a000001, port = { u16 = 80 } }",
                Ok("0a000001 5000 00 00"),
            ),
            (
                "{ port = \"00 50\", proto = { u8 = 6 } }",
                Ok("00000000 0050 06 00"),
            ),
            (
                "[{ ip = \"10.0.0.1\" }, \"00 50 06 00\"]",
                Ok("0a000001 0050 06 00"),
            ),
            ("1", Ok("0100000000000000")),
            (
                "{ prot = 6 }",
                Err("prot: no member is named `prot`: expected `addr`, `port`, `proto` or `zone`"),
            ),
            (
                "{ port = 65536 }",
                Err("65536: 65536 does not fit: expected a number of 2 bytes: the size of `port`"),
            ),
            (
                "{ port = { u32 = 1 } }",
                Err("these are 4 bytes: expected 2 bytes: the size of `port`"),
            ),
            (
                "{ port = [1, 2] }",
                Err("[1, 2]: a number in a list has no width"),
            ),
            ("{ u64 = 1 }", Ok("0100000000000000")),
        ],
    );
    typed(
        "state",
        &[
            (
                "{ seen = 1, last = \"LIMIT\" }",
                Ok("0000000000000000 0000000000000000 0000 0100 02000000"),
            ),
            (
                "{ admitted = true, last = 1 }",
                Ok("0000000000000000 0000000000000000 0000 0200 01000000"),
            ),
            (
                "{ last = \"01000000\" }",
                Ok("0000000000000000 0000000000000000 0000 0000 01000000"),
            ),
            (
                "{ last = \"DROP\" }",
                Err("no enumerator is named `DROP`: expected `REFUSE`, `ADMIT` or `LIMIT`"),
            ),
            (
                "{ seen = 2 }",
                Err("2 does not fit: expected a number of 1 bits: the size of `seen`"),
            ),
            (
                "{ seen = \"x\" }",
                Err("this is no number: expected a number of 1 bits"),
            ),
        ],
    );
    let rule = |hex: &str| format!("00000000 {hex}");
    let zero = "00 00 00 00 00 00 00 00 00 00";
    let steps =
        |flags: &str, steps: &str| rule(&format!("{flags} 000000000000 {zero} 00000000 {steps}"));
    let none = "00000000 00000000";
    let cases = [
        (
            "{ burst = 0xabc, priority = 5 }",
            steps("caab0000", &format!("{none} {none}")),
        ),
        (
            "{ steps = [{}, { slack = -1 }] }",
            steps("00000000", &format!("{none} 00000000 ffffffff")),
        ),
        (
            "{ steps = [\"0100000002000000\"] }",
            steps("00000000", &format!("01000000 02000000 {none}")),
        ),
    ];
    let good = cases.iter().map(|(text, hex)| (*text, Ok(hex.as_str())));
    let bad = [
        (
            "{ mark = 1, half = { low = 1 } }",
            "`half` and `mark` are members of a union: expected one of the two",
        ),
        (
            "{ half = { lo = 1 } }",
            "lo: no member is named `lo`: expected `low` or `high`",
        ),
        (
            "{ steps = [{}, {}, {}] }",
            "these are 3 elements: expected 2 at most: `steps` has no more",
        ),
        (
            "{ steps = [{ limit = -5000000000 }] }",
            "the size of `steps[0].limit`",
        ),
        (
            "{ name = { text = \"a name too long\" } }",
            "these are 15 bytes: expected 10 bytes: the size of `name`",
        ),
    ];
    let bad = bad.map(|(text, message)| (text, Err(message)));
    typed("rule", &good.chain(bad).collect::<Vec<_>>());
}

#[test]
fn what_is_left_out_is_not_said() {
    let object = include_bytes!("../../../suite/object/typed.bpf.o");
    let object = Object::parse(object).unwrap();
    let btf = object.btf().unwrap();
    let (id, _) = btf.types().find(|(_, of)| of.name == "state").unwrap();
    let place = Place::new("the value", 24, Some((btf, id)));
    let encoded = encode("{ last_port = 5, admitted = 0 }", &place).unwrap();
    let said = crate::decode::hex(&encoded.said);
    assert_eq!(said, "00000000000000000000000000000000ffff020000000000");
    let mut value = [0xee; 24];
    encoded.keep_said(&mut value);
    assert_eq!(
        crate::decode::hex(&value),
        "00000000000000000000000000000000eeee020000000000"
    );
}
