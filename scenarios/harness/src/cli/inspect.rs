//! `twinpath inspect`.

use std::collections::BTreeSet;
use std::io::{self, Write};

use twinpath_machine::inspect::{Inspection, inspect as look_into};
use twinpath_machine::{LoadOptions, Object, ProgramType, TargetBtf, running_kconfig};
use twinpath_node::Helpers;

use super::args::InspectArgs;
use super::error::CliError;
use super::{EQUAL, object};
use crate::arm::kernel_usable;
use crate::describe;
#[cfg(target_os = "linux")]
use crate::kernel::test_run;
use crate::recording::ProgramLoad;
use crate::report::{self, InspectionLine};

/// Shows what is in an object.
pub fn inspect(args: &InspectArgs) -> Result<u8, CliError> {
    let (bytes, object) = object::read(&args.object)?;
    let options = options(args, &object)?;
    let inspection = look_into(&object, &options, &Helpers).map_err(|error| {
        let path = args.object.display();
        CliError::Input(format!(
            "failed to inspect {path}: {}",
            report::chain(&error)
        ))
    })?;
    let loads = match args.kernel {
        true => Some(verified(args, bytes, options)?),
        false => None,
    };
    let mut out = io::BufWriter::new(anstream::stdout());
    if args.json {
        let loads = loads.as_deref();
        let line = InspectionLine::new(&args.object, &inspection, loads, !args.no_disassembly);
        serde_json::to_writer(&mut out, &line).map_err(io::Error::from)?;
        writeln!(out)?;
    } else if args.no_disassembly {
        write!(out, "{}", overview(&inspection))?;
    } else {
        write!(out, "{inspection}")?;
    }
    if let Some(loads) = loads.filter(|_| !args.json) {
        writeln!(out, "\nthe kernel loaded:")?;
        for load in &loads {
            writeln!(out, "  {}", describe::load(load))?;
        }
    }
    out.flush()?;
    Ok(EQUAL)
}

/// What the kernel makes of the programs.
#[cfg(target_os = "linux")]
fn verified(
    args: &InspectArgs,
    bytes: Vec<u8>,
    options: LoadOptions,
) -> Result<Vec<ProgramLoad>, CliError> {
    kernel_usable()?;
    let wanted = test_run::Wanted {
        programs: options.programs,
        types: options.types,
        max_entries: options.max_entries,
    };
    let globals = options.globals;
    Ok(test_run::verify(&args.object, bytes, &globals, wanted)?)
}

#[cfg(not(target_os = "linux"))]
fn verified(_: &InspectArgs, _: Vec<u8>, _: LoadOptions) -> Result<Vec<ProgramLoad>, CliError> {
    kernel_usable()?;
    Ok(Vec::new())
}

fn options(args: &InspectArgs, object: &Object) -> Result<LoadOptions, CliError> {
    for name in &args.program {
        object::program(object, &args.object, name)?;
    }
    let untyped = object
        .programs()
        .iter()
        .filter(|program| program.kind == ProgramType::Unspecified);
    Ok(LoadOptions {
        programs: (!args.program.is_empty())
            .then(|| args.program.iter().cloned().collect::<BTreeSet<_>>()),
        types: args
            .kind
            .iter()
            .flat_map(|kind| untyped.clone().map(|program| (program.name.clone(), *kind)))
            .collect(),
        // What an object needs is known without the kernel that it would run on.
        btf: if std::path::Path::new("/sys/kernel/btf/vmlinux").exists() {
            TargetBtf::RunningKernel
        } else {
            TargetBtf::Own
        },
        globals: object::globals(&args.set, object, &args.object)?,
        max_entries: object::entries(&args.entries, object, &args.object)?,
        kconfig: running_kconfig(object),
        ..LoadOptions::default()
    })
}

fn overview(inspection: &Inspection) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = inspection.write_overview(&mut text);
    text
}
