use std::{
    error::Error,
    fmt, fs,
    io::{self, BufRead, BufReader, IsTerminal as _},
    path::{Path, PathBuf},
    process::Stdio,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use anyhow::{Context, Result, bail};
use log::Level;
use serde::Deserialize;

use super::{
    config::{Config, Target},
    dependencies::Dependencies,
    diagnostic::{self, Diagnostic},
    linker::{self, DEFAULT_PAGE, Memory},
    package::{self, Package},
    purpose::Purpose,
    toml_file::FILE,
    toolchain,
    waiting::Waiting,
};

/// The features of later versions of WebAssembly that Rust's compiler would use, switched off. Bulk memory
/// stays: every engine has it, and without it copying would be a loop. As all code is compiled when the
/// module is linked (`lto`), this holds for the standard library, too.
const PORTABLE: &str = "target-feature=-sign-ext,-multivalue,-nontrapping-fptoint,-reference-types";

/// An error in a guest's sources. Only a change to the sources fixes it.
#[derive(Debug)]
pub(crate) struct SourceError {
    message: String,
    /// The errors of the compiler, which it has printed already.
    pub(crate) printed: String,
}

/// The maximum size of the compiler's errors that are kept, in bytes.
const PRINTED: usize = 32 << 10;

/// The end of errors that are longer.
const CUT: &str = "…\n";

impl SourceError {
    pub(crate) fn new(message: String) -> Self {
        Self { message, printed: String::new() }
    }
}

impl fmt::Display for SourceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Error for SourceError {}

/// Compiles `package` to a module and returns its path.
///
/// # Errors
/// If the sources do not compile, it is a [`SourceError`].
pub(crate) fn run(
    directory: &Path,
    config: &Config,
    package: &Package,
    portable: bool,
    purpose: Purpose,
) -> Result<PathBuf> {
    toolchain::prepare(directory, config.target)?;
    let dependencies = Dependencies::of(directory, package, config.target)?;
    let memory = dependencies.memory();
    if config.target == Target::Wasip1 && memory != Memory::Std {
        // Without it nothing brings `memcmp` and its like: on this target they are the C library's.
        bail!(
            "the target {} needs the feature `std` of stateroom-sdk-core, which `{}` does not have: enable it (it is a default), or leave `target` out of `{FILE}`",
            config.target.name(),
            package.name,
        );
    }

    if let Some(problem) = dependencies.problem(directory, config.target) {
        let message = format!("the package `{}` cannot be a guest: {problem}", package.name);
        bail!(SourceError::new(message));
    }

    let mut cargo = package::cargo(directory);
    // Guests need no `crate-type` in their manifests: a `cdylib` there would get in the way of their tests on
    // this machine.
    cargo
        .args(["rustc", "--package", &package.id, "--lib", "--crate-type=cdylib"])
        .args(["--target", config.target.name()])
        .args(purpose.profile())
        .arg(diagnostic::format());
    if !log::log_enabled!(Level::Info) {
        cargo.arg("--quiet");
    }
    cargo.arg("--");
    for argument in linker::arguments(memory, config, portable, purpose) {
        cargo.arg("-C").arg(format!("link-arg={argument}"));
    }
    if portable {
        cargo.args(["-C", PORTABLE]);
    }
    log::debug!("{cargo:?}");
    // What cargo prints comes behind that.
    log::logger().flush();

    let mut child =
        cargo.stdout(Stdio::piped()).spawn().map_err(|error| package::not_started(&error, "cargo"))?;
    let compiled = Arc::new(AtomicUsize::new(0));
    let waiting = report(&package.name, &compiled);
    let messages = child.stdout.take().expect("the line above has piped stdout");
    let (mut module, mut hints, mut printed) = (None, Vec::new(), String::new());
    for message in BufReader::new(messages).split(b'\n') {
        let message = message.context("cannot read what cargo prints")?;
        match read(&message, &package.id) {
            Some(Said::Module(path)) => module = Some(path),
            Some(Said::Compiled) => _ = compiled.fetch_add(1, Ordering::Relaxed),
            Some(Said::Diagnostic(diagnostic)) => {
                diagnostic.show();
                keep(&mut printed, diagnostic.error().unwrap_or_default());
                let hint =
                    diagnostic.hint(&dependencies, package, directory).map(|hint| format!("\nhint: {hint}"));
                hints.extend(hint.filter(|hint| !hints.contains(hint)));
            }
            None => {}
        }
    }
    let status = child.wait().context("cannot wait for cargo")?;
    drop(waiting);

    if status.code().is_none() {
        bail!("the build of `{}` was interrupted", package.name);
    }
    if !status.success() {
        let message =
            format!("the package `{}` does not build; cargo says why above{}", package.name, hints.concat());
        bail!(SourceError { message, printed });
    }
    match module {
        Some(module) => {
            let bytes = fs::read(&module).with_context(|| format!("cannot read `{}`", module.display()))?;
            if config.target == Target::Unknown && prints_to_nobody(&bytes) {
                log::warn!(
                    "what `println!`, `eprintln!` or `dbg!` write goes nowhere: import the macros of the SDK in their place (`use stateroom_sdk_core::print::{{dbg, println}};`), or write `target = \"{}\"` under `[service]` in `{FILE}`",
                    Target::Wasip1.name(),
                );
            }
            if memory == Memory::Std && linker::page_size(&bytes) != Some(DEFAULT_PAGE) {
                // It would build, and then fail at the first message.
                bail!(
                    "`{}` has memory in pages of another size than 64 KiB, which its allocator does not know of: take `--page-size` out of the linker's arguments (in `RUSTFLAGS`, `.cargo/config.toml` or a build script)",
                    package.name,
                );
            }
            Ok(module)
        }
        None => bail!("cargo has built `{}` without making a WebAssembly module of it", package.name),
    }
}

/// Adds an error to those that are kept, as far as there is space.
fn keep(printed: &mut String, error: String) {
    let space = PRINTED.saturating_sub(printed.len());
    if error.len() <= space {
        printed.push_str(&error);
    } else if !printed.ends_with(CUT) {
        printed.push_str(&error[..error.floor_char_boundary(space)]);
        printed.push_str(CUT);
    }
}

/// Returns true if a module contains the printing functions of Rust's standard library, by a text of them.
fn prints_to_nobody(module: &[u8]) -> bool {
    const TEXT: &[u8] = b"failed printing to ";
    module.windows(TEXT.len()).any(|bytes| bytes == TEXT)
}

/// Reports a build that takes long. On a terminal, cargo's own progress is there.
fn report(package: &str, compiled: &Arc<AtomicUsize>) -> Option<Waiting> {
    if io::stderr().is_terminal() {
        return None;
    }
    let (package, compiled) = (package.to_owned(), Arc::clone(compiled));
    Some(Waiting::begin(move || {
        let count = compiled.load(Ordering::Relaxed);
        format!("building `{package}`: {count} dependencies are compiled, which later builds use again")
    }))
}

/// One of the messages that cargo prints for programs.
#[derive(Debug, Deserialize)]
struct Message {
    reason: String,
    #[serde(default)]
    package_id: String,
    #[serde(default)]
    filenames: Vec<PathBuf>,
    /// True if the file was there before this build.
    #[serde(default)]
    fresh: bool,
    message: Option<Diagnostic>,
}

/// The parts of a message that are used here.
#[derive(Debug)]
enum Said {
    /// The module of the package has been built.
    Module(PathBuf),
    /// Another package has been compiled.
    Compiled,
    Diagnostic(Diagnostic),
}

fn read(message: &[u8], package_id: &str) -> Option<Said> {
    let message: Message = serde_json::from_slice(message).ok()?;
    match message.reason.as_str() {
        "compiler-message" => message.message.map(Said::Diagnostic),
        "compiler-artifact" if message.package_id == package_id => {
            let mut files = message.filenames.into_iter();
            let module = files.find(|path| path.extension().is_some_and(|extension| extension == "wasm"));
            module.map(Said::Module)
        }
        "compiler-artifact" => (!message.fresh).then_some(Said::Compiled),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_of_any_length_are_kept_up_to_their_limit() {
        let mut printed = String::new();
        keep(&mut printed, "short\n".to_owned());
        keep(&mut printed, "é".repeat(PRINTED));
        assert!(printed.starts_with("short\néé") && printed.ends_with("é…\n"), "{}", printed.len());
        assert!((PRINTED - 2..=PRINTED + CUT.len()).contains(&printed.len()));
        let length = printed.len();
        keep(&mut printed, "one more".to_owned());
        assert_eq!(printed.len(), length);
    }

    #[test]
    fn the_module_is_the_one_of_the_package() {
        let found = |message: &str| match read(message.as_bytes(), "path+file:///g#0.1.0") {
            Some(Said::Module(path)) => Some(path),
            _ => None,
        };
        assert_eq!(
            found(
                r#"{"reason":"compiler-artifact","package_id":"path+file:///g#0.1.0","filenames":["/t/g.d","/t/g.wasm"],"fresh":true}"#
            ),
            Some(PathBuf::from("/t/g.wasm"))
        );
        for other in [
            r#"{"reason":"compiler-artifact","package_id":"other","filenames":["/t/o.wasm"]}"#,
            r#"{"reason":"compiler-artifact","package_id":"path+file:///g#0.1.0","filenames":["/t/build-script"]}"#,
            r#"{"reason":"build-finished","success":true}"#,
            "warning: not JSON",
            "",
        ] {
            assert_eq!(found(other), None, "{other}");
        }
    }
}
