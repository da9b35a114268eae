//! Guests built from source by `stateroom build`, the way their authors build them.
//!
//! They are built in a workspace of their own below cargo's target directory, so that no build leaves
//! anything behind in the sources. It stays between runs, which spares building what has not changed.

use std::{
    collections::HashMap,
    env,
    fs::{self, File},
    path::{Path, PathBuf},
    process::Command,
    sync::{LazyLock, Mutex, PoisonError},
};

use stateroom_host_min::{Limits, Program};

use crate::{
    binary,
    child::{target_directory, workspace},
};

/// A guest's package.
#[derive(Debug)]
pub struct Guest {
    name: String,
    /// The lines of `[dependencies]`.
    dependencies: String,
    source: String,
    /// The content of `stateroom.toml`.
    settings: Option<String>,
    portable: bool,
    /// A directory with programs that the build may use.
    programs: Option<PathBuf>,
}

impl Guest {
    /// Returns a package; its name must be its own among all tests, and none of the examples'.
    ///
    /// It depends on the SDK with `features`, written as a list in TOML.
    #[must_use]
    pub fn new(name: &str, features: &str, source: &str) -> Self {
        let dependencies = format!(
            "stateroom-sdk-core = {{ workspace = true, default-features = false, features = {features} }}"
        );
        Self {
            name: name.to_owned(),
            dependencies,
            source: source.to_owned(),
            settings: None,
            portable: false,
            programs: None,
        }
    }

    /// Replaces the lines of `[dependencies]`.
    #[must_use]
    pub fn with_dependencies(mut self, lines: &str) -> Self {
        self.dependencies = lines.to_owned();
        self
    }

    /// Adds a `stateroom.toml`.
    #[must_use]
    pub fn with_settings(mut self, settings: &str) -> Self {
        self.settings = Some(settings.to_owned());
        self
    }

    /// Builds it for any WebAssembly engine.
    #[must_use]
    pub fn portable(mut self) -> Self {
        self.portable = true;
        self
    }

    /// Lets the build find programs in a directory, before those elsewhere.
    #[must_use]
    pub fn with_programs(mut self, directory: PathBuf) -> Self {
        self.programs = Some(directory);
        self
    }

    /// Builds and loads it.
    #[track_caller]
    #[must_use]
    pub fn program(self) -> Program {
        load(&self.dist())
    }

    /// Builds it.
    #[track_caller]
    #[must_use]
    pub fn module(self) -> Vec<u8> {
        read(&self.dist())
    }

    /// Builds it, and returns its `dist`.
    #[track_caller]
    #[must_use]
    pub fn dist(self) -> PathBuf {
        let arguments: &[_] = if self.portable { &["--portable"] } else { &[] };
        let programs = self.programs.clone();
        build(&self.name.clone(), arguments, programs.as_deref(), |directory| {
            let Self { name, dependencies, source, settings, portable: _, programs: _ } = self;
            let manifest = format!(
                "[package]\nname = \"{name}\"\nversion.workspace = true\nedition.workspace = true\npublish = false\n\n\
                 [dependencies]\n{dependencies}\n"
            );
            write(&directory.join("Cargo.toml"), manifest.as_bytes());
            write(&directory.join("src/lib.rs"), source.as_bytes());
            match settings {
                Some(settings) => write(&directory.join("stateroom.toml"), settings.as_bytes()),
                None => drop(fs::remove_file(directory.join("stateroom.toml"))),
            }
        })
    }
}

/// Returns an example guest, built and loaded.
#[track_caller]
#[must_use]
pub fn guest(name: &str) -> Program {
    load(&example(name))
}

/// Returns a guest that sends what it gets to everyone in the room, as small as one can be.
#[must_use]
pub fn broadcast() -> Guest {
    Guest::new("broadcast", "[]", BROADCAST)
}

/// Returns an example guest's `dist`, freshly built.
#[track_caller]
#[must_use]
pub fn example(name: &str) -> PathBuf {
    build(name, &[], None, |directory| mirror(&workspace().join("examples").join(name), directory))
}

const BROADCAST: &str = r"#![no_std]
use stateroom_sdk_core::*;

#[stateroom_wasm]
#[derive(Default)]
struct Room;

impl StateroomService for Room {
    fn message(&mut self, _: ClientId, message: MessagePayload<'_>, ctx: &impl StateroomContext) {
        ctx.send_message(MessageRecipient::Broadcast, message);
    }
}
";

#[track_caller]
fn load(dist: &Path) -> Program {
    Program::load(&read(dist), Limits::default()).unwrap_or_else(|error| panic!("{error}"))
}

#[track_caller]
fn read(dist: &Path) -> Vec<u8> {
    fs::read(dist.join("server.wasm")).expect("it has been built")
}

/// Builds the package `name` with the files that `prepare` puts into its directory, once; returns its `dist`.
#[track_caller]
fn build(name: &str, arguments: &[&str], programs: Option<&Path>, prepare: impl FnOnce(&Path)) -> PathBuf {
    /// The `dist` of each package that has been built.
    static BUILT: LazyLock<Mutex<HashMap<String, PathBuf>>> = LazyLock::new(Mutex::default);

    let stateroom = binary("stateroom");
    // One build at a time: cargo would have the others wait anyway.
    let mut built = BUILT.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(dist) = built.get(name) {
        return dist.clone();
    }
    // Another run of the tests may want the same.
    let root = target_directory().join("tmp").join("e2e");
    fs::create_dir_all(&root).expect("cargo's directory can be written");
    let lock = File::create(root.with_extension("lock")).expect("cargo's directory can be written");
    lock.lock().expect("files can be locked");
    if built.is_empty() {
        begin(&root);
    }
    let directory = root.join("guests").join(name);
    prepare(&directory);
    let path = env::var_os("PATH").unwrap_or_default();
    let path = env::join_paths(programs.map(Path::to_owned).into_iter().chain(env::split_paths(&path)));
    let output = Command::new(stateroom)
        .env("PATH", path.expect("directories have no colons in their names"))
        .args(["--quiet", "build"])
        .args(arguments)
        .arg(&directory)
        .env("CARGO", env!("CARGO"))
        .env("CARGO_TARGET_DIR", target_directory().join("tmp").join("guests"))
        .output()
        .expect("it has been built");
    assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
    let dist = directory.join("dist");
    built.insert(name.to_owned(), dist.clone());
    dist
}

/// Makes the guests' workspace at `root`. What an earlier run has left stays if it was made for the same
/// packages in the same place.
fn begin(root: &Path) {
    let manifest = manifest();
    let versions = fs::read_to_string(workspace().join("Cargo.lock")).unwrap_or_default();
    let basis = format!("{manifest}\n{versions}");
    if fs::read_to_string(root.join("basis")).is_ok_and(|old| old == basis) {
        return;
    }
    fs::remove_dir_all(root).expect("cargo's directory can be written");
    write(&root.join("Cargo.toml"), manifest.as_bytes());
    if !versions.is_empty() {
        // Cargo adds the guests to it.
        write(&root.join("Cargo.lock"), versions.as_bytes());
    }
    write(&root.join("basis"), basis.as_bytes());
}

/// Returns the workspace's own manifest, with the guests as its members.
fn manifest() -> String {
    let manifest = fs::read_to_string(workspace().join("Cargo.toml")).expect("the workspace has one");
    let lists = ["members", "exclude", "default-members"];
    let own = |line: &&str| !lists.iter().any(|list| line.starts_with(list));
    let lines: Vec<_> = manifest.lines().filter(own).collect();
    let elsewhere = format!("path = \"{}/", workspace().display());
    lines
        .join("\n")
        .replacen("[workspace]", "[workspace]\nmembers = [\"guests/*\"]", 1)
        .replace("path = \"", &elsewhere)
}

/// Copies a package. Paths in its manifest that lead out of it lead to the same places as before.
fn mirror(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).expect("the examples are there") {
        let entry = entry.expect("the examples are there");
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        // What somebody has built or installed there.
        if ["dist", "node_modules"].iter().any(|name| entry.file_name() == *name) {
            continue;
        }
        if from.is_dir() {
            mirror(&from, &to);
            continue;
        }
        let mut content = fs::read(&from).expect("the examples can be read");
        if entry.file_name() == "Cargo.toml" {
            let manifest = String::from_utf8(content).expect("manifests are text");
            content = manifest.replace("../..", &workspace().display().to_string()).into_bytes();
        }
        write(&to, &content);
    }
}

/// Writes a file, but leaves one alone that says the same: to cargo a new file is a changed one.
fn write(path: &Path, content: &[u8]) {
    if fs::read(path).is_ok_and(|old| old == content) {
        return;
    }
    fs::create_dir_all(path.parent().expect("it is below cargo's directory")).expect("it can be written");
    fs::write(path, content).expect("it can be written");
}
