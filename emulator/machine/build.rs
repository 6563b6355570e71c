//! Says whether calls that a function ends with become jumps, which the checked engine builds on.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-check-cfg=cfg(sibling_calls)");
    let variable = |name| std::env::var(name).unwrap_or_default();
    let optimised = matches!(variable("OPT_LEVEL").as_str(), "2" | "3" | "s" | "z");
    let known = matches!(
        variable("CARGO_CFG_TARGET_ARCH").as_str(),
        "x86_64" | "aarch64"
    );
    // Miri interprets what the compiler would have optimised, and instrumented code may need its frames.
    let instrumented = ["MIRI", "FUZZING", "SANITIZE"]
        .iter()
        .any(|cfg| std::env::var_os(format!("CARGO_CFG_{cfg}")).is_some());
    if optimised && known && !instrumented {
        println!("cargo::rustc-cfg=sibling_calls");
    }
}
