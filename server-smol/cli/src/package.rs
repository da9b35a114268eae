use std::{
    env,
    ffi::OsString,
    io,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use anyhow::{Context, Result, anyhow, bail};
use serde::Deserialize;

use super::{color, toml_file::FILE, waiting::Waiting};

/// A package that has a library to build a guest from.
#[derive(Debug)]
pub(crate) struct Package {
    /// Its id for cargo. Unlike the name, it is never ambiguous.
    pub(crate) id: String,
    pub(crate) name: String,
    /// The library's root source file.
    pub(crate) source: PathBuf,
    /// The root of the workspace that it is in, which may be its own directory.
    pub(crate) workspace: PathBuf,
    /// The directories of its dependencies in the same workspace, and of those that they name by a path.
    pub(crate) local_dependencies: Vec<PathBuf>,
    /// The directory of cargo's results.
    pub(crate) target_directory: PathBuf,
    /// The directories that cargo writes to.
    pub(crate) written: Vec<PathBuf>,
}

/// The part of `cargo metadata` that is used here.
#[derive(Debug, Deserialize)]
struct Metadata {
    packages: Vec<Member>,
    workspace_root: PathBuf,
    target_directory: PathBuf,
    /// Older versions of cargo have only the one above.
    build_directory: Option<PathBuf>,
}

#[derive(Debug, Deserialize)]
struct Member {
    id: String,
    name: String,
    manifest_path: PathBuf,
    targets: Vec<BuildTarget>,
    #[serde(default)]
    dependencies: Vec<LocalDependency>,
}

/// A dependency; it is a local one if it has a path.
#[derive(Debug, Deserialize)]
struct LocalDependency {
    path: Option<PathBuf>,
    kind: Option<String>,
}

#[derive(Debug, Deserialize)]
struct BuildTarget {
    kind: Vec<String>,
    src_path: PathBuf,
}

impl Package {
    /// Finds the package `name` in the workspace of `directory`, or without a name the package of that
    /// directory.
    pub(crate) fn find(directory: &Path, name: Option<&str>) -> Result<Self> {
        let mut metadata = cargo(directory);
        metadata.args(["metadata", "--no-deps", "--format-version=1"]);
        let metadata: Metadata = serde_json::from_slice(&output(metadata, "cargo")?)
            .context("cannot understand what `cargo metadata` prints")?;

        let manifest = directory.join("Cargo.toml").canonicalize()?;
        let is_meant = |member: &&Member| match name {
            Some(name) => member.name == name,
            None => member.manifest_path.canonicalize().is_ok_and(|path| path == manifest),
        };
        let Some(member) = metadata.packages.iter().find(is_meant) else {
            let names = list(metadata.packages.iter().map(|member| member.name.as_str()));
            match name {
                Some(name) => bail!(
                    "`{}` names the package `{name}`, which is not in this workspace: it has {names}",
                    directory.join(FILE).display(),
                ),
                None => bail!(
                    "`{}` is a workspace without a package of its own: give the directory of one of its packages, or name it under `[service]` in `{}`, as in `package = \"chat\"`; there are {names}",
                    directory.display(),
                    FILE,
                ),
            }
        };

        let library = member
            .targets
            .iter()
            // `lib`, `rlib`, `cdylib` and so on.
            .find(|target| target.kind.iter().any(|kind| kind.ends_with("lib")));
        let Some(library) = library else {
            bail!(
                "the package `{}` has no library, and a guest is one: move its code to `{}`",
                member.name,
                member.manifest_path.with_file_name("src").join("lib.rs").display(),
            );
        };
        let directory = member.manifest_path.parent().unwrap_or(directory);
        Ok(Self {
            id: member.id.clone(),
            name: member.name.clone(),
            source: library.src_path.clone(),
            workspace: metadata.workspace_root.clone(),
            local_dependencies: metadata.local_dependencies(directory),
            target_directory: metadata.target_directory.clone(),
            written: [Some(metadata.target_directory.clone()), metadata.build_directory.clone()]
                .into_iter()
                .flatten()
                .collect(),
        })
    }
}

impl Metadata {
    /// Follows the paths from the package in `directory` on. What packages outside of the workspace depend on
    /// is not known here.
    fn local_dependencies(&self, directory: &Path) -> Vec<PathBuf> {
        let mut found = vec![directory.to_owned()];
        let mut next = 0;
        while let Some(directory) = found.get(next).cloned() {
            next += 1;
            let is_there = |member: &&Member| member.manifest_path.parent() == Some(&directory);
            let dependencies =
                self.packages.iter().find(is_there).into_iter().flat_map(|member| &member.dependencies);
            let used = dependencies.filter(|dependency| dependency.kind.as_deref() != Some("dev"));
            for path in used.filter_map(|dependency| dependency.path.clone()) {
                if !found.contains(&path) {
                    found.push(path);
                }
            }
        }
        found.split_off(1)
    }
}

/// Returns `cargo`, or the cargo that runs this program, in `directory`, so that the toolchain chosen there
/// is used.
pub(crate) fn cargo(directory: &Path) -> Command {
    program("CARGO", "cargo", directory)
}

/// Returns the program that the environment names, or else `default`, in `directory`.
pub(crate) fn program(variable: &str, default: &str, directory: &Path) -> Command {
    let name = env::var_os(variable).filter(|name| !name.is_empty());
    let mut command = Command::new(name.unwrap_or_else(|| OsString::from(default)));
    command.current_dir(directory).stdin(Stdio::null());
    if let Some(when) = color::for_cargo() {
        command.env("CARGO_TERM_COLOR", when);
    }
    command
}

/// Runs `command` and returns its output. Its error messages become the error, unless they already go to
/// stderr. Warnings are dropped, because the build prints them again.
pub(crate) fn output(mut command: Command, name: &str) -> Result<Vec<u8>> {
    log::logger().flush();
    let waited_for = name.to_owned();
    let waiting = Waiting::begin(move || {
        format!("waiting for `{waited_for}`, which may be downloading a toolchain of Rust or dependencies")
    });
    let Output { status, stdout, stderr } = command.output().map_err(|error| not_started(&error, name))?;
    drop(waiting);
    if !status.success() {
        let words = String::from_utf8_lossy(&stderr);
        match words.trim() {
            "" => bail!("{name} failed, see above"),
            words => bail!("{name} failed: {}", words.trim_start_matches("error: ")),
        }
    }
    Ok(stdout)
}

/// Returns the error for a program of Rust that does not start.
pub(crate) fn not_started(error: &io::Error, name: &str) -> anyhow::Error {
    match error.kind() {
        io::ErrorKind::NotFound => anyhow!(
            "cannot find `{name}`, which builds guests: install Rust from https://rustup.rs, or put it on the PATH"
        ),
        _ => anyhow!("cannot run `{name}`: {error}"),
    }
}

fn list<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let names: Vec<_> = names.map(|name| format!("`{name}`")).collect();
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn local_dependencies_are_followed_through_the_workspace() {
        let text = r#"{"workspace_root": "/w", "target_directory": "/w/target", "packages": [
            {"id": "a", "name": "a", "manifest_path": "/w/a/Cargo.toml", "targets": [], "dependencies": [
                {"path": "/w/b", "kind": null}, {"path": "/w/tools", "kind": "dev"}, {"kind": null}]},
            {"id": "b", "name": "b", "manifest_path": "/w/b/Cargo.toml", "targets": [], "dependencies": [
                {"path": "/elsewhere/c", "kind": null}, {"path": "/w/macros", "kind": "build"}, {"path": "/w/a", "kind": null}]},
            {"id": "d", "name": "d", "manifest_path": "/w/d/Cargo.toml", "targets": []}]}"#;
        let metadata: Metadata = serde_json::from_str(text).unwrap();
        let expected = ["/w/b", "/elsewhere/c", "/w/macros"].map(PathBuf::from);
        assert_eq!(metadata.local_dependencies(Path::new("/w/a")), expected);
        assert!(metadata.local_dependencies(Path::new("/w/d")).is_empty());
    }
}
