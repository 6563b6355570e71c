//! What `inspect` says of objects.

mod objects;

use std::sync::Arc;

use objects::object;
use twinpath_machine::inspect::inspect;
use twinpath_machine::{Alone, LoadOptions, TargetBtf};

/// Overview and listing of objects whose programs need nothing.
#[test]
fn objects_as_text() {
    let target = object("core_target").btf().unwrap().clone();
    let options = LoadOptions {
        btf: TargetBtf::Given(Arc::new(target)),
        ..Default::default()
    };
    for name in ["globals", "core", "kernel", "nested", "iproute2"] {
        let inspection = inspect(&object(name), &options, &Alone).unwrap();
        let mut text = String::new();
        inspection.write_overview(&mut text).unwrap();
        insta::assert_snapshot!(format!("{name}_overview"), text);
    }
    for name in ["globals", "kernel", "variables"] {
        let inspection = inspect(&object(name), &options, &Alone).unwrap();
        let listing: String = inspection.to_string().split("\n\n").last().unwrap().into();
        insta::assert_snapshot!(format!("{name}_listing"), listing);
    }
    let inspection = inspect(&object("core"), &options, &Alone).unwrap();
    let guarded = inspection
        .programs
        .iter()
        .find(|program| program.name == "guarded");
    let mut text = String::new();
    guarded.unwrap().write_listing(&mut text).unwrap();
    insta::assert_snapshot!("guarded_listing", text);
}

/// What does not fit into guest memory is told with all else that the emulator lacks.
#[test]
fn maps_that_do_not_fit_are_listed() {
    let options = LoadOptions {
        max_entries: [("counts".to_owned(), 1 << 30)].into(),
        ..Default::default()
    };
    let inspection = inspect(&object("globals"), &options, &Alone).unwrap();
    let lacks: Vec<_> = inspection.missing.iter().map(|lack| &lack.what).collect();
    assert!(
        matches!(&lacks[..], [lack] if lack.starts_with("map counts: allocate ")),
        "{lacks:?}"
    );
}
