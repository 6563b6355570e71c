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

fn mistake(from: &str, to: &str) -> String {
    assert!(GOOD.contains(from), "{from}");
    let text = GOOD.replacen(from, to, 1);
    let scenario = Scenario::parse(Path::new("suite/topic/name.toml"), text);
    match scenario.and_then(|scenario| scenario.case()) {
        Ok(_) => panic!("no mistake in {to}"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn mistakes_are_shown_in_their_place() {
    let cases = [
        ("no TOML", "[[device]]", "[[device]"),
        ("an unknown key", "addresses =", "adresses ="),
        ("a key that is missing", "name = \"eth0\"\n", ""),
        ("a value of the wrong type", "\"eth0\"", "5"),
        ("no address", "192.0.2.1/24", "192.0.2/24"),
    ];
    let text: Vec<String> = cases
        .iter()
        .map(|(title, from, to)| format!("# {title}\n{}", mistake(from, to)))
        .collect();
    insta::assert_snapshot!(text.join("\n\n"));
}
