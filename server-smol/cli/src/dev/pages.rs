use std::{
    collections::VecDeque,
    convert::Infallible,
    fs,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    path::{Path, PathBuf},
    thread,
};

use smol::unblock;
use stateroom_server_smol::Notices;

use super::sources::{INTERVAL, is_of_tools, modified};

/// The name of the notice that pages listen to.
const NOTICE: &str = "files";

/// The maximum number of files that are looked at. So a look takes no time that anybody notices.
const MOST: usize = 5_000;

/// Tells pages when a file of theirs has changed, as long as it is polled, and logs it.
pub(super) async fn watch(directory: Option<PathBuf>, notices: &Notices) -> Infallible {
    let Some(directory) = directory else { return smol::future::pending().await };
    let mut known = None;
    loop {
        let looked_at = directory.clone();
        let found = unblock(move || look(&looked_at)).await;
        if let Some(known) = known.filter(|known| *known != found) {
            report(&directory, known, found);
        }
        known = Some(found);
        notices.set(NOTICE, &format!(r#"{{"version":"{:016x}"}}"#, found.unwrap_or_default()));
        unblock(|| thread::sleep(INTERVAL)).await;
    }
}

/// Logs that the files have changed from one version to another. Without the directory there is no version.
fn report(directory: &Path, before: Option<u64>, now: Option<u64>) {
    match (before, now) {
        (_, None) => log::warn!(
            "the directory of the static files is gone: `{}`; until it is there again, pages are not found",
            directory.display()
        ),
        (None, Some(_)) => log::info!("the directory of the static files is there again: pages reload"),
        (Some(_), Some(_)) => log::info!("a page has changed: pages reload"),
    }
}

/// Returns the version of the files in a directory, or `None` if there is no such directory.
fn look(directory: &Path) -> Option<u64> {
    directory.is_dir().then(|| version(directory))
}

/// Returns a number that is another one when a file has been changed, created or deleted. It is the same each time the command
/// runs.
fn version(directory: &Path) -> u64 {
    let mut hasher = DefaultHasher::new();
    let mut left = MOST;
    // Those at the top come first: below them may be thousands.
    let mut directories = VecDeque::from([directory.to_owned()]);
    while let Some(directory) = directories.pop_front() {
        let entries = fs::read_dir(directory).into_iter().flatten().flatten().take(left);
        let mut entries: Vec<_> = entries.map(|entry| (entry.path(), entry.file_type())).collect();
        left -= entries.len();
        entries.sort_by(|(one, _), (other, _)| one.cmp(other));
        for (path, file_type) in entries.into_iter().filter(|(path, _)| !is_skipped(path)) {
            // A link may lead to a directory that it is in.
            if file_type.is_ok_and(|file_type| file_type.is_dir()) {
                directories.push_back(path);
            } else {
                (modified(&path), path).hash(&mut hasher);
            }
        }
    }
    hasher.finish()
}

/// Returns whether a file is no page's: a hidden one, or what tools have written.
fn is_skipped(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default();
    is_of_tools(name) || name == "node_modules"
}

#[cfg(test)]
mod tests {
    use std::{
        env, process,
        time::{Duration, UNIX_EPOCH},
    };

    use super::*;

    #[test]
    fn the_version_is_of_the_files_that_are_served() {
        let directory = env::temp_dir().join(format!("stateroom-pages-{}", process::id()));
        fs::create_dir_all(directory.join("a")).unwrap();
        let write = |name: &str, time| {
            fs::write(directory.join(name), "x").unwrap();
            let file = fs::File::options().append(true).open(directory.join(name)).unwrap();
            file.set_modified(UNIX_EPOCH + Duration::from_secs(time)).unwrap();
        };
        write("index.html", 1);
        write("a/style.css", 1);
        let first = version(&directory);
        write(".index.html.swp", 5);
        assert_eq!(version(&directory), first);
        write("a/style.css", 2);
        let second = version(&directory);
        assert_ne!(second, first);
        write("a/new.js", 1);
        assert_ne!(version(&directory), second);
        fs::remove_file(directory.join("a/new.js")).unwrap();
        assert_eq!(version(&directory), second);
        write("a/style.css", 1);
        assert_eq!(version(&directory), first);
        fs::remove_dir_all(&directory).unwrap();
    }
}
