//! The client library for pages: runs the tests in `client/test`, against this command, with Node.js and Chromium. The packages that they
//! need are installed below cargo's target directory.
#![cfg(all(unix, feature = "dev"))]

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Command, Output},
};

/// Everything that the tests need, for the message of a failure.
const NEEDS: &str = "this needs Node.js 20 or newer with npm, npm's registry and Chromium (Debian: `apt-get install \
                     chromium`, or its path in `CHROMIUM`)";

#[test]
fn the_client_library_does_what_its_tests_say() {
    let (directory, _lock) = installed();
    let files = fs::read_dir(directory.join("test")).unwrap().map(|entry| entry.unwrap().path());
    let mut tests: Vec<_> = files.filter(|path| path.to_string_lossy().ends_with(".test.js")).collect();
    tests.sort();
    assert!(tests.len() >= 5, "{tests:?}");
    let mut node = Command::new("node");
    // One after the other: each has servers and time limits of its own.
    node.args(["--test", "--test-concurrency=1", "--test-reporter=spec"]).args(tests).current_dir(&directory);
    node.env("STATEROOM", env!("CARGO_BIN_EXE_stateroom"))
        .env("CHECKOUT", root())
        .env("CARGO", env!("CARGO"));
    // All guests share their dependencies' builds.
    node.env("CARGO_TARGET_DIR", Path::new(env!("CARGO_TARGET_TMPDIR")).join("guests"));
    node.env_remove("RUST_LOG").env_remove("RUSTFLAGS").env_remove("NODE_OPTIONS");
    let output = run(node);
    // A file without any test would succeed, too.
    let said = String::from_utf8_lossy(&output.stdout);
    let passed = said.lines().find_map(|line| line.strip_prefix("ℹ pass ")?.parse::<u32>().ok());
    assert!(passed.is_some_and(|passed| passed > 70), "{said}");
}

/// Returns a copy of the library with its tests and the packages that they need, for as long as the lock is held.
fn installed() -> (PathBuf, File) {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("client");
    fs::create_dir_all(&directory).unwrap();
    let lock = File::create(directory.with_extension("lock")).unwrap();
    lock.lock().unwrap();
    // A test that is gone must not run here any more.
    let _ = fs::remove_dir_all(directory.join("test"));
    for part in ["", "test"] {
        fs::create_dir_all(directory.join(part)).unwrap();
        for entry in fs::read_dir(root().join("client").join(part)).unwrap() {
            let entry = entry.unwrap();
            if entry.file_type().unwrap().is_file() {
                fs::copy(entry.path(), directory.join(part).join(entry.file_name())).unwrap();
            }
        }
    }
    // Packages are installed again only for other versions.
    let (versions, stamp) =
        (fs::read(directory.join("package-lock.json")).unwrap(), directory.join(".installed"));
    if fs::read(&stamp).ok().as_ref() != Some(&versions) {
        let mut npm = Command::new("npm");
        npm.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"]).current_dir(&directory);
        run(npm);
        fs::write(stamp, versions).unwrap();
    }
    (directory, lock)
}

/// Runs a tool to its end, and fails with everything that it says.
fn run(mut command: Command) -> Output {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}; {NEEDS}"));
    let said =
        [&output.stdout, &output.stderr].map(|said| String::from_utf8_lossy(said).into_owned()).concat();
    assert!(output.status.success(), "{command:?}: {}; {NEEDS}\n{said}", output.status);
    output
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap()
}
