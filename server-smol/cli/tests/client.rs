//! The client library, the pages of the examples and the playground: runs the tests in `client/test` and `tests/browser`, against this command, with Node.js
//! and Chromium. The packages that they need are installed below cargo's target directory.
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
    passes(&directory.join("client/test"), 70, &[]);
}

#[test]
fn the_pages_of_the_examples_and_the_playground_do_what_their_tests_say() {
    let (directory, _lock) = installed();
    let project = directory.join("yjs");
    bundled(&project);
    passes(&directory.join("tests/browser"), 38, &[("YJS_PROJECT", project)]);
}

/// Runs the tests in a directory, of which there are at least so many.
fn passes(directory: &Path, least: u32, environment: &[(&str, PathBuf)]) {
    let files = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let mut tests: Vec<_> = files.filter(|path| path.to_string_lossy().ends_with(".test.js")).collect();
    tests.sort();
    let mut node = Command::new("node");
    // One after the other: each has servers and time limits of its own.
    node.args(["--test", "--test-concurrency=1", "--test-reporter=spec"]).args(tests);
    node.current_dir(directory.parent().unwrap());
    node.env("STATEROOM", env!("CARGO_BIN_EXE_stateroom"))
        .env("CHECKOUT", root())
        .env("CARGO", env!("CARGO"));
    // All guests share their dependencies' builds.
    node.env("CARGO_TARGET_DIR", guests());
    node.env_remove("RUST_LOG").env_remove("RUSTFLAGS").env_remove("NODE_OPTIONS");
    node.envs(environment.iter().map(|(name, value)| (name, value)));
    let output = run(&mut node);
    // A file without any test would succeed, too.
    let said = String::from_utf8_lossy(&output.stdout);
    let count = |what: &str| said.lines().find_map(|line| line.strip_prefix(what)?.parse::<u32>().ok());
    assert!(count("ℹ pass ").is_some_and(|passed| passed >= least), "{said}");
    assert_eq!(count("ℹ skipped "), Some(0), "{said}");
}

/// Returns a copy of the library and of the tests in JavaScript, with the packages that they need, for as long as the lock is
/// held. The paths are those of the repository.
fn installed() -> (PathBuf, File) {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("pages");
    fs::create_dir_all(&directory).unwrap();
    let lock = File::create(directory.with_extension("lock")).unwrap();
    lock.lock().unwrap();
    for part in ["client", "client/test", "tests/browser"] {
        // A test that is gone must not run here any more.
        if part != "client" {
            let _ = fs::remove_dir_all(directory.join(part));
        }
        fs::create_dir_all(directory.join(part)).unwrap();
        for entry in fs::read_dir(root().join(part)).unwrap() {
            let entry = entry.unwrap();
            if entry.file_type().unwrap().is_file() {
                fs::copy(entry.path(), directory.join(part).join(entry.file_name())).unwrap();
            }
        }
    }
    install(&directory.join("client"));
    (directory, lock)
}

/// Makes a project from the template `yjs`, with the script of its page.
fn bundled(project: &Path) {
    let _ = fs::remove_dir_all(project);
    let mut new = Command::new(env!("CARGO_BIN_EXE_stateroom"));
    run(new.arg("new").arg(project).args(["--template", "yjs"]));
    // The versions of the workspace, which are known to be there.
    fs::copy(root().join("Cargo.lock"), project.join("Cargo.lock")).unwrap();
    // Node.js finds packages in the directories around those who use them, too. There they outlast the project.
    let around = project.parent().unwrap();
    for file in ["package.json", "package-lock.json"] {
        fs::copy(project.join("web").join(file), around.join(file)).unwrap();
    }
    install(around);
    run(Command::new("npm").args(["run", "build"]).current_dir(project.join("web")));
}

/// Installs the packages of npm that the lock file in a directory names, again only for other versions.
fn install(directory: &Path) {
    let (versions, stamp) =
        (fs::read(directory.join("package-lock.json")).unwrap(), directory.join(".installed"));
    if fs::read(&stamp).ok().as_ref() != Some(&versions) {
        let arguments = ["ci", "--ignore-scripts", "--no-audit", "--no-fund"];
        run(Command::new("npm").args(arguments).current_dir(directory));
        fs::write(stamp, versions).unwrap();
    }
}

/// Runs a tool to its end, and fails with everything that it says.
fn run(command: &mut Command) -> Output {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}; {NEEDS}"));
    let said =
        [&output.stdout, &output.stderr].map(|said| String::from_utf8_lossy(said).into_owned()).concat();
    assert!(output.status.success(), "{command:?}: {}; {NEEDS}\n{said}", output.status);
    output
}

fn guests() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("guests")
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap()
}
