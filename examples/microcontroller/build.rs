//! Finds the guests' modules and the memory map.

use std::{env, path::Path};

fn main() {
    let directory = env::var("CARGO_MANIFEST_DIR").expect("cargo sets it");
    for (variable, guest) in [("ECHO_WASM", "echo"), ("COUNTER_WASM", "counter")] {
        let built = || format!("{directory}/../{guest}/dist/server.wasm");
        let path = env::var(variable).unwrap_or_else(|_| built());
        if !Path::new(&path).is_file() {
            println!(
                "cargo::error=there is no {path}: run `stateroom build` in examples/{guest}, or set {variable} to a module"
            );
        }
        println!("cargo::rerun-if-env-changed={variable}");
        println!("cargo::rerun-if-changed={path}");
        println!("cargo::rustc-env={variable}={path}");
    }

    // The linker script of `cortex-m-rt` includes `memory.x`.
    println!("cargo::rerun-if-changed=memory.x");
    println!("cargo::rustc-link-search={directory}");
    println!("cargo::rustc-link-arg-bins=-Tlink.x");
    // Functions with the same code are linked once.
    println!("cargo::rustc-link-arg-bins=--icf=all");
}
