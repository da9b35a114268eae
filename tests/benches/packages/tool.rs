use std::{env, process::Command};

/// Returns true if a program is there. On CI, it has to be.
#[track_caller]
pub(crate) fn is_installed(program: &str, package: &str) -> bool {
    let is_there = Command::new(program).arg("--version").output().is_ok();
    if !is_there {
        assert!(env::var_os("CI").is_none(), "{program} is missing: `./test --setup {program}:{package}`");
        println!("  skipped, as {program} is not installed");
    }
    is_there
}

/// Runs a program that has to succeed, and returns what it prints.
#[track_caller]
pub(crate) fn run(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let (out, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?}: {}\n{out}{errors}", output.status);
    out.into_owned()
}
