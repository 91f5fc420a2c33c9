//! How the program of a debug build is linked.

use std::env::var;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let is = |name: &str, value: &str| var(name).as_deref() == Ok(value);
    // Unoptimised, the program has a hundred thousand addresses that the loader would write anew at each start, which
    // takes longer than all else; and a guard starts it twice for each command that a mission runs. At a fixed address
    // it has none. What is released is loaded anywhere, as it is to be.
    if is("PROFILE", "debug")
        && is("CARGO_CFG_TARGET_OS", "linux")
        && is("CARGO_CFG_TARGET_ENV", "gnu")
    {
        println!("cargo::rustc-link-arg-bin=orchestrator=-no-pie");
    }
}
