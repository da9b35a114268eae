//! Guests on crates that others have published, in versions that stay.
//!
//! Each is a package of `tests/guests` that stands alone: its manifest and its lock file say what it is built
//! from, so that neither the workspace's dependencies nor a newer version change what a test runs.

use std::{
    collections::HashSet,
    env, fs,
    path::PathBuf,
    process::Command,
    sync::{LazyLock, Mutex, PoisonError},
};

use stateroom_host_min::{Limits, Program};

use crate::child::{target_directory, workspace};

/// What such guests are compiled for.
const TARGET: &str = "wasm32-wasip1";

/// A package of `tests/guests`, by its folder.
#[derive(Debug, Clone, Copy)]
pub struct Published(pub &'static str);

impl Published {
    /// Its library as a guest, built and loaded.
    #[track_caller]
    #[must_use]
    pub fn program(self) -> Program {
        let file = format!("{}.wasm", self.package().replace('-', "_"));
        let built = self.build(&["--lib", "--release", "--target", TARGET]);
        let module = fs::read(built.join(TARGET).join("release").join(file)).expect("it has been built");
        Program::load(&module, Limits::default()).unwrap_or_else(|error| panic!("{}: {error}", self.0))
    }

    /// Its client: a program for this machine, built.
    #[track_caller]
    #[must_use]
    pub fn client(self) -> PathBuf {
        let file = format!("{}-client{}", self.package(), env::consts::EXE_SUFFIX);
        self.build(&["--bins"]).join("debug").join(file)
    }

    /// What the package is called: folders may have dots in their names, and packages may not.
    fn package(self) -> String {
        self.0.replace('.', "-")
    }

    /// Builds a part of it, once; returns the directory that cargo built into.
    #[track_caller]
    fn build(self, part: &[&str]) -> PathBuf {
        /// Which parts of which packages have been built.
        static BUILT: LazyLock<Mutex<HashSet<String>>> = LazyLock::new(Mutex::default);

        // Nothing is written beside the sources, and what the packages share is built once.
        let target = target_directory().join("tmp").join("published");
        let mut built = BUILT.lock().unwrap_or_else(PoisonError::into_inner);
        let wanted = format!("{} {}", self.0, part.join(" "));
        if built.contains(&wanted) {
            return target;
        }
        let manifest = workspace().join("tests").join("guests").join(self.0).join("Cargo.toml");
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(["build", "--quiet", "--locked", "--manifest-path"]).arg(manifest).args(part);
        let output = cargo.env("CARGO_TARGET_DIR", &target).output().expect("cargo runs");
        assert!(
            output.status.success(),
            "{} does not build; if `{TARGET}` is missing, `rustup target add {TARGET}` installs it\n{}",
            self.0,
            String::from_utf8_lossy(&output.stderr)
        );
        built.insert(wanted);
        target
    }
}
