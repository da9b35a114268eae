use std::{
    path::Path,
    process::{Command, Stdio},
};

use anyhow::{Result, bail};

use super::{
    config::Target,
    package::{self, program},
};

/// Makes sure that the toolchain of `directory` can compile for `target`.
pub(crate) fn prepare(directory: &Path, target: Target) -> Result<()> {
    if has(directory, target)? {
        return Ok(());
    }
    let name = target.name();
    log::info!("Rust's target {name} is missing here; adding it with `rustup target add {name}`");
    log::logger().flush();
    // In the directory of the package, because that may choose a toolchain of its own.
    let added = Command::new("rustup")
        .args(["target", "add", name])
        .current_dir(directory)
        .stdin(Stdio::null())
        .status();
    match added {
        Ok(status) if status.success() && has(directory, target)? => Ok(()),
        Ok(_) => bail!(
            "Rust's target {name} is missing and rustup could not add it: run `rustup target add {name}` in `{}` and see what it says",
            directory.display(),
        ),
        Err(_) => bail!(
            "Rust's target {name} is missing, and so is rustup to add it: install rustup from https://rustup.rs and run `rustup target add {name}`, or install the target with what your Rust came with"
        ),
    }
}

fn has(directory: &Path, target: Target) -> Result<bool> {
    let mut rustc = program("RUSTC", "rustc", directory);
    rustc.args(["--print=target-libdir", "--target", target.name()]);
    let printed = package::output(rustc, "rustc")?;
    Ok(Path::new(String::from_utf8_lossy(&printed).trim()).is_dir())
}
