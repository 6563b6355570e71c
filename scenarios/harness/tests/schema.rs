//! The checked-in schema, and the suite's files, are what the code understands.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot be set up has failed"
)]

use std::path::Path;

use twinpath::arm::Arm;
use twinpath::cli::scenario_files;
use twinpath::emulated::Engine;
use twinpath::runner::{self, Status};
use twinpath::scenario::{Scenario, schema};

fn scenarios() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

#[test]
fn the_schema_is_up_to_date() {
    let path = scenarios().join("scenario.schema.json");
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        std::fs::write(&path, schema()).unwrap();
    }
    let checked_in = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        checked_in == schema(),
        "scenarios/scenario.schema.json is old; UPDATE_EXPECT=1 renews it"
    );
}

#[test]
fn each_file_of_the_suite_is_understood() {
    let files = scenario_files(&[scenarios().join("suite")]).unwrap();
    assert!(files.len() >= 14, "{} scenarios", files.len());
    for file in files {
        let scenario = Scenario::read(&file).unwrap_or_else(|error| panic!("{error}"));
        scenario.case().unwrap_or_else(|error| panic!("{error}"));
        assert!(
            !scenario.file.description.trim().is_empty(),
            "{}",
            file.display()
        );
    }
}

/// What editors check by: the names in the schema are those in the files.
#[test]
fn the_schema_names_the_keys() {
    let schema: serde_json::Value = serde_json::from_str(&schema()).unwrap();
    let properties = schema["properties"].as_object().unwrap();
    let keys: Vec<&str> = properties.keys().map(String::as_str).collect();
    assert_eq!(
        keys,
        [
            "cluster",
            "datapath",
            "deny",
            "description",
            "device",
            "endpoint",
            "expect",
            "ipcache",
            "kernel",
            "manifests",
            "map",
            "node",
            "object",
            "policy",
            "responders",
            "seed",
            "service",
            "step",
            "topology",
            "wires"
        ]
    );
    assert_eq!(schema["additionalProperties"], false);
}

/// The example that a reader meets first works as it stands.
#[test]
fn the_readmes_example_passes() {
    let readme = std::fs::read_to_string(scenarios().join("suite/README.md")).unwrap();
    let (_, example) = readme.split_once("```toml\n").unwrap();
    let (example, _) = example.split_once("```").unwrap();
    let scenario = Scenario::parse(Path::new("readme.toml"), example.to_owned()).unwrap();
    let case = scenario.case().unwrap();
    let outcome = runner::run(case, &[Arm::Emulator(Engine::Checked)]);
    assert_eq!(outcome.status(), Status::Passed, "{outcome:?}");
}
