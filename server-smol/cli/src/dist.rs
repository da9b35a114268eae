use std::{
    fs, io,
    path::{Path, PathBuf},
    process,
};

use anyhow::{Context, Result, bail};
use clap::ValueEnum as _;

use super::{
    client,
    config::Config,
    toml_file::{DURABILITY, FILE, SUBPROTOCOLS},
};

const MODULE: &str = "server.wasm";
const STATIC: &str = "static";

/// The directory that `stateroom build` writes: `server.wasm`, and perhaps `static`, with the client library in it,
/// and a `stateroom.toml` with the limits of the one beside `Cargo.toml`.
///
/// It is written to a hidden directory next to it, which then replaces the old one. So it is never half
/// written. The files of a failed build are removed.
#[derive(Debug)]
pub(crate) struct Dist {
    path: PathBuf,
    draft: PathBuf,
    /// A directory for temporary files.
    scratch: PathBuf,
    /// The `dist` of the last build, which is being replaced.
    old: PathBuf,
}

impl Dist {
    /// Returns the `dist` of the package in `directory`, if it may be written. Nothing is written yet.
    pub(crate) fn of(directory: &Path) -> Result<Self> {
        let draft = directory.join(format!(".dist-new-{}", process::id()));
        let dist = Self {
            path: directory.join("dist"),
            scratch: draft.join("scratch"),
            draft,
            old: directory.join(format!(".dist-old-{}", process::id())),
        };
        dist.check_is_ours()?;
        Ok(dist)
    }

    /// Returns the path that the module is written to.
    pub(crate) fn module(&self) -> PathBuf {
        self.path.join(MODULE)
    }

    /// Begins to write, and returns a directory for temporary files of this build.
    pub(crate) fn begin(&self) -> Result<&Path> {
        // A build that was killed may have had the same process id, as is usual in containers.
        let _ = fs::remove_dir_all(&self.draft);
        fs::create_dir_all(&self.scratch)
            .with_context(|| format!("cannot create `{}`", self.scratch.display()))?;
        Ok(&self.scratch)
    }

    /// Writes everything and replaces the previous `dist`.
    pub(crate) fn finish(self, module: &[u8], config: &Config) -> Result<()> {
        let _ = fs::remove_dir_all(&self.scratch);
        write(&self.draft.join(MODULE), module)?;
        let durability = config.durability.and_then(|durability| durability.to_possible_value());
        let durability =
            durability.map(|durability| format!("{DURABILITY} = \"{}\"\n", durability.get_name()));
        // Their characters need no escape.
        let names: Vec<_> = config.subprotocols.iter().map(|name| format!("\"{name}\"")).collect();
        let subprotocols = (!names.is_empty()).then(|| format!("{SUBPROTOCOLS} = [{}]\n", names.join(", ")));
        let settings = [durability, subprotocols, config.limits.to_toml()];
        let settings = settings.into_iter().flatten().collect::<Vec<_>>().join("\n");
        if !settings.is_empty() {
            write(&self.draft.join(FILE), settings.as_bytes())?;
        }
        if let Some(files) = &config.static_files {
            let to = self.draft.join(STATIC);
            copy(files, &to, &mut Vec::new())?;
            client::write_below(&to)?;
        }

        // Minutes may have passed since the first look.
        self.check_is_ours()?;
        let replaces = self.path.exists();
        let shown = self.path.display();
        if replaces {
            fs::rename(&self.path, &self.old).with_context(|| format!("cannot replace `{shown}`"))?;
        }
        if let Err(error) = fs::rename(&self.draft, &self.path) {
            if replaces {
                let _ = fs::rename(&self.old, &self.path);
            }
            return Err(error).with_context(|| format!("cannot write `{shown}`"));
        }
        let _ = fs::remove_dir_all(&self.old);
        Ok(())
    }

    /// Checks that the directory has only files that a build has made, so that nothing else is deleted.
    fn check_is_ours(&self) -> Result<()> {
        let shown = self.path.display();
        let Ok(found) = fs::symlink_metadata(&self.path) else {
            return Ok(());
        };
        if !found.is_dir() {
            bail!("`{shown}` is not a directory, and a build does not replace it: move it elsewhere");
        }
        let entries = fs::read_dir(&self.path).with_context(|| format!("cannot read `{shown}`"))?;
        for entry in entries {
            let entry = entry.with_context(|| format!("cannot read `{shown}`"))?;
            let name = entry.file_name();
            if name != MODULE && name != STATIC && name != FILE {
                bail!(
                    "`{shown}` holds `{}`, which no build has put there, so it is not replaced: move it elsewhere",
                    name.display(),
                );
            }
        }
        Ok(())
    }
}

impl Drop for Dist {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.draft);
    }
}

fn write(path: &Path, content: &[u8]) -> Result<()> {
    fs::write(path, content).with_context(|| format!("cannot write `{}`", path.display()))
}

/// The hidden directory that is for others to read (RFC 8615).
const WELL_KNOWN: &str = ".well-known";

/// Copies a directory with everything in it but hidden files, which no server sends: `.git`, `.env`, and the
/// links that editors make while a file is open. Links are followed, so that the copy does not depend on
/// other files.
fn copy(from: &Path, to: &Path, parents: &mut Vec<PathBuf>) -> Result<()> {
    let unreadable = || format!("cannot read `{}`", from.display());
    let place = from.canonicalize().with_context(unreadable)?;
    if parents.contains(&place) {
        bail!("`{}` is a link to a directory that it is in itself", from.display());
    }
    parents.push(place);
    fs::create_dir(to).with_context(|| format!("cannot create `{}`", to.display()))?;
    for entry in fs::read_dir(from).with_context(unreadable)? {
        let name = entry.with_context(unreadable)?.file_name();
        if name.as_encoded_bytes().starts_with(b".") && name != WELL_KNOWN {
            continue;
        }
        let (from, to) = (from.join(&name), to.join(&name));
        let kind =
            fs::metadata(&from).with_context(|| format!("cannot read `{}`", from.display()))?.file_type();
        if kind.is_dir() {
            copy(&from, &to, parents)?;
        } else if kind.is_file() {
            copy_file(&from, &to).with_context(|| format!("cannot copy `{}`", from.display()))?;
        } else {
            bail!("`{}` is neither a file nor a directory", from.display());
        }
    }
    parents.pop();
    Ok(())
}

/// Copies a file with the time of its last change: the server does not send a compressed file that is older than its file.
fn copy_file(from: &Path, to: &Path) -> io::Result<()> {
    fs::copy(from, to)?;
    // Elsewhere a copy has the time.
    #[cfg(unix)]
    fs::File::open(to)?.set_modified(fs::metadata(from)?.modified()?)?;
    Ok(())
}
