//! Links a static command of the feature `small` as small as it gets.

use std::{env, ffi::OsString, path::Path};

const SCRIPT: &str = "small.ld";

fn main() {
    println!("cargo::rerun-if-changed={SCRIPT}");
    // These are LLVM's options. The workspace has its linker for static binaries, and cargo tells nothing of others.
    let is_lld = |linker: OsString| Path::new(&linker).file_stem().is_some_and(|name| name == "rust-lld");
    if env::var_os("CARGO_FEATURE_SMALL").is_some() && env::var_os("RUSTC_LINKER").is_some_and(is_lld) {
        let package = env::var("CARGO_MANIFEST_DIR").expect("the path of this package is in UTF-8");
        println!("cargo::rustc-link-arg-bins=-T{package}/{SCRIPT}");
        // One place for functions that are alike: no Rust function's address has a meaning.
        for argument in ["--no-eh-frame-hdr", "--icf=all"] {
            println!("cargo::rustc-link-arg-bins={argument}");
        }
    }
}
