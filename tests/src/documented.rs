//! Examples in other languages than Rust, built by the commands that their READMEs tell to type.

use std::{fs, path::Path, process::Command};

use crate::{
    child::workspace,
    foreign::{installed, out, run},
};

/// An example that is built as its README says, in a copy of its directory below cargo's.
///
/// The commands are those of the README's sections "Install" and "Build". What they refer to by
/// `../../target` is below cargo's directory, too.
#[derive(Debug)]
pub struct Documented {
    name: &'static str,
    needs: &'static str,
    /// The texts that are replaced in the sources.
    changes: Vec<(String, String)>,
}

impl Documented {
    /// Returns the example of this name. `needs` says what has to be installed for the README's commands.
    #[must_use]
    pub fn new(name: &'static str, needs: &'static str) -> Self {
        Self { name, needs, changes: Vec::new() }
    }

    /// Replaces a piece of its source, which must be there once.
    #[must_use]
    pub fn with(mut self, piece: &str, other: &str) -> Self {
        self.changes.push((piece.to_owned(), other.to_owned()));
        self
    }

    /// Builds it, and returns the module that the README serves.
    #[track_caller]
    #[must_use]
    pub fn module(self) -> Vec<u8> {
        let Self { name, needs, changes } = self;
        let (out, _lock) = out();
        let directory = out.join("examples").join(name);
        let readme = copy(&workspace().join("examples").join(name), &directory, changes);

        // Compilers are large, and are installed again only for another version.
        let install = commands(&readme, "## Install");
        let versions = ["package-lock.json", "requirements.txt"].map(|file| fs::read(directory.join(file)));
        let versions = format!("{install}\n{versions:?}");
        installed(&directory.join(".installed"), versions.as_bytes(), || shell(&install, &directory, needs));

        let served = readme.lines().find_map(|line| line.strip_prefix("stateroom serve "));
        let served = directory.join(served.expect("its README serves it"));
        if served.extension().is_some_and(|extension| extension == "wat") {
            return wat::parse_file(&served).unwrap_or_else(|error| panic!("{error}"));
        }
        // Whatever is there was made by an earlier run.
        let _ = fs::remove_file(&served);
        shell(&commands(&readme, "## Build"), &directory, needs);
        fs::read(&served).unwrap_or_else(|error| panic!("cannot read {}: {error}", served.display()))
    }
}

/// Copies the files of a directory, with changes; returns its README.
#[track_caller]
fn copy(from: &Path, to: &Path, mut changes: Vec<(String, String)>) -> String {
    fs::create_dir_all(to).expect("cargo's directory can be written");
    for entry in fs::read_dir(from).expect("the examples are there") {
        let entry = entry.expect("the examples are there");
        // What somebody has built or installed there is neither a file nor text.
        let Ok(mut text) = fs::read_to_string(entry.path()) else { continue };
        changes.retain(|(piece, other)| {
            let found = text.matches(piece).count();
            assert!(found < 2, "`{piece}` is {found} times in {}", entry.path().display());
            text = text.replace(piece, other);
            found == 0
        });
        fs::write(to.join(entry.file_name()), text).expect("cargo's directory can be written");
    }
    assert!(changes.is_empty(), "this is not in {}: {changes:?}", from.display());
    fs::read_to_string(to.join("README.md")).expect("each example has one")
}

/// Returns the commands in a section of a README.
fn commands(readme: &str, heading: &str) -> String {
    let section = readme.lines().skip_while(|line| *line != heading).skip(1);
    let section = section.take_while(|line| !line.starts_with("## "));
    let (mut commands, mut inside) = (String::new(), false);
    for line in section {
        match line {
            "```sh" => inside = true,
            "```" => inside = false,
            _ if inside => commands.extend([line, "\n"]),
            _ => {}
        }
    }
    commands
}

/// Runs commands as somebody would type them.
#[track_caller]
fn shell(commands: &str, directory: &Path, needs: &str) {
    let mut shell = Command::new("sh");
    shell.args(["-e", "-c", commands]).current_dir(directory);
    // Zig keeps what it has compiled in the author's home otherwise.
    for kind in ["ZIG_GLOBAL_CACHE_DIR", "ZIG_LOCAL_CACHE_DIR"] {
        shell.env(kind, directory.join(".zig-cache"));
    }
    run(shell, needs);
}
