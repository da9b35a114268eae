//! Links a static command of the feature `small` as small as it gets, and tells a command for use which commit it is of.

use std::{env, ffi::OsString, path::Path, process::Command};

const SCRIPT: &str = "small.ld";

fn main() {
    println!("cargo::rerun-if-changed={SCRIPT}");
    println!("cargo::rustc-check-cfg=cfg(static_small)");
    // These are LLVM's options. The workspace has its linker for static binaries, and cargo tells nothing of others.
    let is_lld = |linker: OsString| Path::new(&linker).file_stem().is_some_and(|name| name == "rust-lld");
    if env::var_os("CARGO_FEATURE_SMALL").is_some() && env::var_os("RUSTC_LINKER").is_some_and(is_lld) {
        let package = env::var("CARGO_MANIFEST_DIR").expect("the path of this package is in UTF-8");
        println!("cargo::rustc-link-arg-bins=-T{package}/{SCRIPT}");
        // `backtrace.rs` and `thread_name.rs` come before the libraries that define the same functions.
        println!("cargo::rustc-cfg=static_small");
        // One place for functions that are alike: no Rust function's address has a meaning.
        for argument in ["--allow-multiple-definition", "--no-eh-frame-hdr", "--icf=all"] {
            println!("cargo::rustc-link-arg-bins={argument}");
        }
    }
    if let Some(commit) = commit() {
        println!("cargo::rustc-env=STATEROOM_VERSION={} ({commit})", env!("CARGO_PKG_VERSION"));
    }
}

/// Returns the commit of the checkout. Builds without optimisation are for work on the sources: for them, it would mean
/// one more build after each commit.
fn commit() -> Option<String> {
    if env::var("PROFILE").ok()? != "release" {
        return None;
    }
    // Git may find a repository that this package is only copied into.
    git(&["ls-files", "--error-unmatch", SCRIPT])?;
    // It has a line more after each commit, and each checkout of another one.
    println!(
        "cargo::rerun-if-changed={}",
        git(&["rev-parse", "--path-format=absolute", "--git-path", "logs/HEAD"])?
    );
    git(&["rev-parse", "--short", "HEAD"])
}

/// Returns what git prints, if it succeeds.
fn git(arguments: &[&str]) -> Option<String> {
    let output =
        Command::new("git").args(arguments).output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8(output.stdout).ok()?.trim().to_owned())
}
