#[cfg(unix)]
use std::os::unix::fs::MetadataExt as _;
use std::{
    fs::{Metadata, metadata},
    hash::{DefaultHasher, Hash as _, Hasher as _},
    io,
    path::{Path, PathBuf},
    sync::Once,
    time::{Duration, SystemTime},
};

use crate::requests::{CODINGS, Validators, Weights, media_type};

/// The age from which on a change of a file shows in its times. Until then it may be changed again with the same times: the clock of
/// a file system moves in steps of some milliseconds, and of one or two seconds on some.
const SETTLED: Duration = Duration::from_secs(3);

/// The name of the page of a directory.
pub(super) const INDEX: &str = "index.html";

/// A file, in the form in which a client prefers it.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) path: PathBuf,
    pub(super) metadata: Metadata,
    pub(super) validators: Validators,
    pub(super) media_type: &'static str,
    /// The name of its coding, if it is compressed.
    pub(super) coding: Option<&'static str>,
    /// True if the form depends on what the client takes.
    pub(super) varies: bool,
}

/// Looks for a file, or for the page of a directory. If there are compressed files beside it, it returns the one that weighs most.
/// Returns nothing for a directory if `as_directory` is false.
///
/// # Errors
/// There is no such file, or the system does not let the process look.
pub(super) fn find(mut path: PathBuf, as_directory: bool, weights: Weights) -> io::Result<Option<Found>> {
    let mut file = metadata(&path)?;
    if file.is_dir() {
        if !as_directory {
            return Ok(None);
        }
        path.push(INDEX);
        file = metadata(&path)?;
    }
    // Neither devices nor pipes, which a read may wait for without end.
    if !file.is_file() {
        return Err(io::ErrorKind::NotFound.into());
    }
    let mut found = Found {
        validators: validators(&path, &file),
        media_type: media_type(&path),
        coding: None,
        varies: false,
        metadata: file.clone(),
        path,
    };
    let (plain, mut most) = (found.path.clone(), 0);
    for (coding, weight) in CODINGS.iter().zip(weights) {
        let path = with_extension(&plain, coding.extension);
        let Some(compressed) = metadata(&path).ok().filter(Metadata::is_file) else { continue };
        if is_older(&compressed, &file) {
            tell_of_older(&path);
            continue;
        }
        found.varies = true;
        if weight > most {
            most = weight;
            (found.validators, found.metadata) = (validators(&path, &compressed), compressed);
            (found.coding, found.path) = (Some(coding.name), path);
        }
    }
    Ok(Some(found))
}

fn with_extension(path: &Path, extension: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(extension);
    name.into()
}

/// Returns whether a compressed file is older than its file, and so may have something else.
fn is_older(compressed: &Metadata, file: &Metadata) -> bool {
    matches!((compressed.modified(), file.modified()), (Ok(one), Ok(other)) if one < other)
}

/// Says once that there are compressed files which are not sent. It is seldom wanted, and nobody would notice.
fn tell_of_older(path: &Path) {
    static TELLS: Once = Once::new();
    TELLS.call_once(|| {
        log::warn!(
            "{path:?} is not sent, and perhaps others: it is older than the file that it is made of; compress that again, or copy              both with their times (`cp -p`, `scp -p`)"
        );
    });
}

/// Returns the validators of a file. The tag differs for two files that take turns at one path, also if they are equally old and
/// large, as after a copy that keeps times. It stays the same when the server restarts.
fn validators(path: &Path, found: &Metadata) -> Validators {
    let modified = found.modified().ok();
    let mut hasher = DefaultHasher::new();
    let changed;
    #[cfg(unix)]
    {
        let _ = path;
        // The time of the last change of the inode tells of a content that was replaced and given the old time.
        let (seconds, nanoseconds) = (found.ctime(), found.ctime_nsec());
        (found.dev(), found.ino(), found.mtime(), found.mtime_nsec(), seconds, nanoseconds).hash(&mut hasher);
        changed = u64::try_from(seconds)
            .ok()
            .and_then(|seconds| SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds)));
    }
    #[cfg(not(unix))]
    {
        (std::path::absolute(path).ok(), modified, found.created().ok()).hash(&mut hasher);
        changed = modified;
    }
    found.len().hash(&mut hasher);
    let age = changed.and_then(|changed| SystemTime::now().duration_since(changed).ok());
    Validators::new(hasher.finish(), age.is_some_and(|age| age >= SETTLED), modified)
}
