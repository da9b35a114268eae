//! The example for a microcontroller, built from source and run in QEMU.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{
    Child,
    child::{target_directory, workspace},
    example,
    foreign::run,
};

const TARGET: &str = "thumbv7em-none-eabihf";

/// Builds the example for a microcontroller with the example guests that it takes, and starts it as its `cargo run`
/// does. Its standard input and output are the first UART of the machine.
///
/// # Panics
/// Something has to be installed, which the message names.
#[track_caller]
#[must_use]
pub fn microcontroller() -> Child {
    let package = workspace().join("examples").join("microcontroller");
    let mut runner = runner(&package);
    let mut version = Command::new(&runner[0]);
    version.arg("--version");
    run(version, "it needs QEMU for ARM (Debian: `apt-get install --no-install-recommends qemu-system-arm`)");
    let program = build(&package);
    let qemu = runner.remove(0);
    Child::of(Command::new(qemu).args(runner).arg(program))
}

#[track_caller]
fn build(package: &Path) -> PathBuf {
    let out = target_directory().join("tmp").join("microcontroller");
    let module = |name| example(name).join("server.wasm");
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--quiet", "--locked", "--release"]).current_dir(package);
    cargo
        .env("CARGO_TARGET_DIR", &out)
        .env("ECHO_WASM", module("echo"))
        .env("COUNTER_WASM", module("counter"));
    run(cargo, &format!("it needs `rustup target add {TARGET}`"));
    out.join(TARGET).join("release").join("microcontroller")
}

/// Returns the words of the command with which the example's `cargo run` starts it.
fn runner(package: &Path) -> Vec<String> {
    let config = fs::read_to_string(package.join(".cargo/config.toml")).expect("the example has one");
    let line = config.lines().find_map(|line| line.strip_prefix("runner = "));
    line.expect("it names a runner").trim_matches('"').split(' ').map(str::to_owned).collect()
}
