//! Checks what operators install: the unit of systemd, the Debian package and the image, with the static binary of a release in them.
//!
//! `cargo bench --profile dev -p stateroom-tests --bench packages` builds the binary and checks them. What a machine lacks is not
//! checked, but on CI everything has to be there: `./test --setup` installs it.
#![cfg(all(target_os = "linux", target_arch = "x86_64"))]

mod debian;
mod image;
mod systemd;
mod tool;

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use stateroom_tests::{Directory, Module};

const TARGET: &str = "x86_64-unknown-linux-musl";

fn main() {
    let binary = binary();
    let dist = Directory::new()
        .with("dist/server.wasm", wat::parse_str(Module::new().text()).expect("a module"))
        .with("dist/static/index.html", "<title>Rooms</title>");
    let dist = dist.path().join("dist");
    systemd::check(&root().join("packaging/systemd"), &binary, &dist);
    debian::check(&binary);
    image::check(&binary, &dist);
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("this package is in a workspace")
}

/// Returns the static binary with all commands. `STATEROOM_BINARY` names one that has been built.
fn binary() -> PathBuf {
    if let Some(binary) = std::env::var_os("STATEROOM_BINARY") {
        return binary.into();
    }
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("cargo's layout");
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--package", "stateroom-smol", "--target", TARGET, "--release"]);
    let built = cargo.arg("--target-dir").arg(target).current_dir(root()).status();
    assert!(
        built.expect("cargo runs").success(),
        "it does not build: has `rustup target add {TARGET}` been run?"
    );
    target.join(TARGET).join("release/stateroom")
}
