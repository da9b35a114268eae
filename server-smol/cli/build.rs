//! Links a static command of the feature `small` as small as it gets.

use std::{env, path::Path};

const SCRIPT: &str = "small.ld";

fn main() {
    println!("cargo::rerun-if-changed={SCRIPT}");
    let is_set = |name| env::var_os(name).is_some();
    // Where the C library is the system's, so is the linker, and it is not known which.
    if is_set("CARGO_FEATURE_SMALL") && env::var("CARGO_CFG_TARGET_ENV").is_ok_and(|env| env == "musl") {
        let package = env::var_os("CARGO_MANIFEST_DIR").expect("cargo says where the package is");
        println!("cargo::rustc-link-arg-bins=-T{}", Path::new(&package).join(SCRIPT).display());
        // One place for functions that are alike: no Rust function's address has a meaning.
        for argument in ["--no-eh-frame-hdr", "--icf=all"] {
            println!("cargo::rustc-link-arg-bins={argument}");
        }
    }
}
