use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
};

use anyhow::{Result, anyhow, bail};
use stateroom_host_min::Limits;

use super::{
    linker::{self, DEFAULT_PAGE},
    module,
    waiting::Waiting,
};

/// The features of WebAssembly beyond its first version that Rust's compiler uses. The module itself no
/// longer names them, because it is stripped.
const FEATURES: [&str; 5] = [
    "--enable-bulk-memory",
    "--enable-mutable-globals",
    "--enable-nontrapping-float-to-int",
    "--enable-reference-types",
    "--enable-sign-ext",
];

/// The feature of modules with other pages than 64 KiB. Older versions of `wasm-opt` do not know it.
const PAGE_SIZES: &str = "--enable-custom-page-sizes";

/// The features that a portable module may use: see `guest_build`.
const PORTABLE: [&str; 2] = ["--mvp-features", "--enable-bulk-memory"];

/// Makes the module smaller with Binaryen's `wasm-opt`, if that is installed. If this fails, the original
/// module is used.
///
/// `scratch` is a directory to work in.
pub(crate) fn optimize(module: Vec<u8>, portable: bool, limits: Limits, scratch: &Path) -> Vec<u8> {
    match try_optimize(&module, portable, limits, scratch) {
        Ok(Some(smaller)) if smaller.len() < module.len() => smaller,
        Ok(_) => module,
        Err(error) => {
            log::warn!("the module stays as the compiler made it: {error:#}");
            module
        }
    }
}

/// Returns `None` if there is no `wasm-opt`.
fn try_optimize(bytes: &[u8], portable: bool, limits: Limits, scratch: &Path) -> Result<Option<Vec<u8>>> {
    let input = scratch.join("in.wasm");
    let output = scratch.join("out.wasm");
    fs::write(&input, bytes)?;
    let mut command = Command::new("wasm-opt");
    command.arg("-Oz").args(if portable { &PORTABLE[..] } else { &FEATURES });
    if linker::page_size(bytes).is_some_and(|size| size != DEFAULT_PAGE) {
        command.arg(PAGE_SIZES);
    }
    let _waiting = Waiting::begin(|| "waiting for `wasm-opt`, which makes the module smaller".to_owned());
    let Ok(run) = command.arg(&input).arg("-o").arg(&output).stdin(Stdio::null()).output() else {
        log::debug!("`wasm-opt` is not installed");
        return Ok(None);
    };
    if !run.status.success() {
        let words = String::from_utf8_lossy(&run.stderr);
        if words.contains(PAGE_SIZES) {
            bail!(
                "this `wasm-opt` is too old for pages of one byte (`{PAGE_SIZES}`): install a newer Binaryen"
            );
        }
        bail!("wasm-opt failed ({}): {}", run.status, words.trim());
    }
    let optimized = fs::read(&output).map_err(|error| anyhow!("wasm-opt wrote nothing: {error}"))?;
    module::program(Path::new("wasm-opt's output"), &optimized, limits)?;
    log::debug!("wasm-opt: {} bytes became {}", bytes.len(), optimized.len());
    Ok(Some(optimized))
}
