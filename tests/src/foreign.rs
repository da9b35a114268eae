//! Guests that are not made with this project's SDK, built from `tests/guests` with the tools of their
//! languages, below cargo's target directory. Versions are pinned beside the sources.

use std::{
    collections::HashMap,
    env,
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    process::Command,
    sync::{LazyLock, Mutex, PoisonError},
};

use stateroom_host_min::{Limits, Program};

use crate::child::{target_directory, workspace};

/// A guest in `tests/guests`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Foreign {
    /// A Rust package with a published SDK, in this directory, for `wasm32-wasip1`.
    Rust(&'static str, Profile),
    /// C, without any library.
    C,
    /// AssemblyScript.
    AssemblyScript,
    /// WebAssembly's text format.
    Text,
}

/// The profile with which a Rust guest is built.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Profile {
    /// Cargo's own, without optimisation.
    Dev,
    /// Cargo's own, for releases.
    Release,
    /// With link-time optimisation. What is undefined in the published SDKs comes out differently.
    Lto,
}

impl Foreign {
    /// Returns the module, which is built once.
    #[track_caller]
    #[must_use]
    pub fn module(self) -> Vec<u8> {
        static BUILT: LazyLock<Mutex<HashMap<Foreign, Vec<u8>>>> = LazyLock::new(Mutex::default);

        let mut built = BUILT.lock().unwrap_or_else(PoisonError::into_inner);
        built.entry(self).or_insert_with(|| self.build()).clone()
    }

    /// Returns the module, loaded.
    #[track_caller]
    #[must_use]
    pub fn program(self) -> Program {
        let program = Program::load(&self.module(), Limits::default());
        program.unwrap_or_else(|error| panic!("{self:?}: {error}"))
    }

    #[track_caller]
    fn build(self) -> Vec<u8> {
        let (out, _lock) = out();
        let module = match self {
            Self::Rust(package, profile) => rust(package, profile, &out),
            Self::C => c(&guests().join("c/room.c"), &out),
            Self::AssemblyScript => assembly_script(&guests().join("assemblyscript"), &out),
            Self::Text => return wat::parse_file(guests().join("wat/room.wat")).expect("it is valid"),
        };
        fs::read(&module).unwrap_or_else(|error| panic!("cannot read {}: {error}", module.display()))
    }
}

/// Returns the program of a Rust package in `tests/guests` that runs on this machine: a client of its guest.
#[track_caller]
#[must_use]
pub fn foreign_client(package: &str) -> PathBuf {
    let (out, _lock) = out();
    run(cargo(package, &out, &["--bins"]), "install what any Rust program needs");
    out.join("debug").join(format!("{}-client{}", package.replace('.', "-"), env::consts::EXE_SUFFIX))
}

/// Returns a directory of programs with `wasm-opt` among them: that of AssemblyScript's compiler.
#[track_caller]
#[must_use]
pub fn binaryen() -> PathBuf {
    let (out, _lock) = out();
    assembly_script_tools(&guests().join("assemblyscript"), &out).join("binaryen/bin")
}

fn guests() -> PathBuf {
    workspace().join("tests").join("guests")
}

/// Returns where everything is built, for as long as the lock is held: another run of the tests may want the same.
pub(crate) fn out() -> (PathBuf, File) {
    let out = target_directory().join("tmp").join("foreign");
    fs::create_dir_all(&out).expect("cargo's directory can be written");
    let lock = File::create(out.with_extension("lock")).expect("cargo's directory can be written");
    lock.lock().expect("files can be locked");
    (out, lock)
}

/// Returns a build of a part of a package, in the versions of its own lock file.
fn cargo(package: &str, out: &Path, part: &[&str]) -> Command {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--quiet", "--locked"]).args(part);
    // All share a directory, as they have most of their dependencies in common.
    cargo.current_dir(guests().join(package)).env("CARGO_TARGET_DIR", out);
    cargo
}

#[track_caller]
fn rust(package: &str, profile: Profile, out: &Path) -> PathBuf {
    let target = "wasm32-wasip1";
    let (profile, directory) = match profile {
        Profile::Release => ("release", "release"),
        Profile::Lto => ("lto", "lto"),
        Profile::Dev => ("dev", "debug"),
    };
    let part = ["--lib", "--target", target, "--profile", profile];
    run(cargo(package, out, &part), "install the target (`rustup target add wasm32-wasip1`)");
    out.join(target).join(directory).join(package.replace(['-', '.'], "_")).with_extension("wasm")
}

#[track_caller]
fn c(source: &Path, out: &Path) -> PathBuf {
    let module = out.join("c.wasm");
    let mut clang = Command::new("clang");
    clang.args(["--target=wasm32", "-nostdlib", "-Wl,--no-entry", "-Os", "-Wall", "-Werror"]);
    clang.arg(source).arg("-o").arg(&module);
    run(clang, "install clang and wasm-ld (Debian: `apt-get install clang lld`)");
    module
}

#[track_caller]
fn assembly_script(package: &Path, out: &Path) -> PathBuf {
    let tools = assembly_script_tools(package, out);
    let module = out.join("assemblyscript.wasm");
    let mut compiler = Command::new("node");
    compiler.arg(tools.join("assemblyscript/bin/asc.js")).arg("room.ts");
    compiler.args(["--optimize", "--outFile"]).arg(&module).current_dir(package);
    run(compiler, "install Node.js 20.10 or newer");
    module
}

/// Returns where the compiler and what it needs are installed: not among the sources.
#[track_caller]
fn assembly_script_tools(package: &Path, out: &Path) -> PathBuf {
    npm_packages(package, &out.join("assemblyscript")).join("node_modules")
}

/// Installs what a package needs from npm into `directory`, in the versions of its lock file, and returns the directory.
#[track_caller]
fn npm_packages(package: &Path, directory: &Path) -> PathBuf {
    fs::create_dir_all(directory).expect("cargo's directory can be written");
    let versions = fs::read(package.join("package-lock.json")).expect("it is one of ours");
    installed(&directory.join("installed.json"), &versions, || {
        for file in ["package.json", "package-lock.json"] {
            fs::copy(package.join(file), directory.join(file)).expect("cargo's directory can be written");
        }
        let mut npm = Command::new("npm");
        npm.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"]).current_dir(directory);
        run(npm, "install Node.js 20.10 or newer with npm, which needs its registry");
    });
    directory.to_owned()
}

/// Runs a program of `tests/clients` in Node.js, with what the page of an example needs from npm.
#[track_caller]
pub fn run_npm_client(example: &str, program: &str, arguments: &[&str]) {
    let (out, lock) = out();
    let package = workspace().join("examples").join(example).join("web");
    let directory = npm_packages(&package, &out.join(format!("{example}-web")));
    // Node.js looks for packages beside the program.
    let copy = directory.join(program);
    fs::copy(workspace().join("tests/clients").join(program), &copy).expect("it is one of ours");
    drop(lock);
    let mut node = Command::new("node");
    node.arg(copy).args(arguments).current_dir(directory);
    run(node, "install Node.js 20.10 or newer");
}

/// Installs something, unless `stamp` says that it was the same versions the last time.
pub(crate) fn installed(stamp: &Path, versions: &[u8], install: impl FnOnce()) {
    if fs::read(stamp).ok().as_deref() != Some(versions) {
        install();
        fs::write(stamp, versions).expect("cargo's directory can be written");
    }
}

/// Runs a tool, and fails with everything that it says and what may be missing.
#[track_caller]
pub(crate) fn run(mut command: Command, needs: &str) {
    match command.output() {
        Ok(output) if output.status.success() => {}
        Ok(output) => {
            let (stdout, stderr) = (output.stdout, output.stderr);
            let words = [stdout, stderr].map(|words| String::from_utf8_lossy(&words).into_owned()).concat();
            panic!("{command:?} failed ({}); if something is missing, {needs}\n{words}", output.status)
        }
        Err(error) => panic!("{}", not_started(&command, &error, needs)),
    }
}

/// Returns the sentence for a tool that does not start.
pub(crate) fn not_started(command: &Command, error: &io::Error, needs: &str) -> String {
    let name = command.get_program().display();
    let problem = match error.kind() {
        io::ErrorKind::NotFound => format!("there is no program `{name}`"),
        _ => format!("`{name}` does not start ({error})"),
    };
    format!("{problem}: {needs} (`./test --check` lists all that the tests need)")
}
