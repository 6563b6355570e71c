//! Runs the scenario suite.

use libtest_mimic::Arguments;

fn main() {
    let arguments = Arguments::from_args();
    libtest_mimic::run(&arguments, twinpath_suite::trials(&arguments)).exit();
}
