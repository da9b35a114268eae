use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use serde_json::Value;

use crate::options::Options;

const STATIC: &str = "x86_64-unknown-linux-musl";

/// Returns the server to attack, and what the page calls it. Builds it as it is shipped, unless one is given.
pub(crate) fn find(options: &Options, root: &Path) -> Result<(PathBuf, String), String> {
    if let Some(program) = &options.program {
        let program = program.canonicalize().map_err(|error| format!("{}: {error}", program.display()))?;
        return Ok((program, "a program that was given".to_owned()));
    }
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--release", "--package", "stateroom-smol", "--bin", "stateroom"]);
    if options.is_static {
        cargo.args(["--target", STATIC]);
    }
    cargo.arg("--message-format=json-render-diagnostics").current_dir(root).stderr(Stdio::inherit());
    let output = cargo.output().map_err(|error| error.to_string())?;
    if !output.status.success() {
        return Err(match options.is_static {
            true => format!("the server does not build: has `rustup target add {STATIC}` been run?"),
            false => "the server does not build".to_owned(),
        });
    }
    let messages = String::from_utf8_lossy(&output.stdout);
    let mut messages = messages.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let program = messages.find_map(|message| message["executable"].as_str().map(PathBuf::from));
    let program = program.ok_or("cargo says nothing of the program that it has built")?;
    Ok((program, if options.is_static { "release, static (musl)" } else { "release" }.to_owned()))
}
