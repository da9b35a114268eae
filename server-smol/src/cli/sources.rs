use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use async_io::Timer;

/// How often the files are looked at. A person does not notice, and a look at a few dozen files costs nothing.
const INTERVAL: Duration = Duration::from_millis(300);

/// The files that a guest is made of, and how old each was when it was built.
#[derive(Debug)]
pub(crate) struct Sources(Vec<(PathBuf, Option<SystemTime>)>);

impl Sources {
    /// The manifest and the configuration in `directory`, and the source files that cargo says went into
    /// `module`, those of its path dependencies included.
    pub(crate) fn of(directory: &Path, module: &Path, begun: SystemTime) -> Self {
        let cargo_says = fs::read_to_string(module.with_extension("d")).ok();
        let own = ["Cargo.toml", "stateroom.toml"].map(|name| directory.join(name));
        let compiled = cargo_says.as_deref().map(prerequisites).unwrap_or_default();
        // What was saved while it was built may not be in it, and counts as changed.
        let now = SystemTime::now();
        let built = |path: &Path| modified(path).filter(|when| !(begun..=now).contains(when));
        Self(own.into_iter().chain(compiled).map(|path| (path.clone(), built(&path))).collect())
    }

    /// Takes the files as they are now for unchanged.
    pub(crate) fn look(&mut self) {
        for (path, when) in &mut self.0 {
            *when = modified(path);
        }
    }

    /// Looks at one more file, or at which files a directory has.
    pub(crate) fn watch(&mut self, path: &Path) {
        if !self.0.iter().any(|(known, _)| known == path) {
            self.0.push((path.to_owned(), modified(path)));
        }
    }

    /// Waits until a file has changed, has come or has gone.
    pub(crate) async fn change(&self) {
        while self.0.iter().all(|(path, when)| modified(path) == *when) {
            Timer::after(INTERVAL).await;
        }
    }
}

fn modified(path: &Path) -> Option<SystemTime> {
    fs::metadata(path).and_then(|found| found.modified()).ok()
}

/// What stands behind the colon in a file of cargo's, which is written as `make` reads it: a blank in a name
/// has a backslash before it.
fn prerequisites(text: &str) -> Vec<PathBuf> {
    let (_, list) = text.lines().next().and_then(|line| line.split_once(": ")).unwrap_or_default();
    let mut paths = vec![String::new()];
    let mut characters = list.chars();
    while let Some(character) = characters.next() {
        let current = paths.len() - 1;
        match character {
            '\\' => paths[current].extend(characters.next()),
            ' ' => paths.push(String::new()),
            _ => paths[current].push(character),
        }
    }
    paths.into_iter().filter(|path| !path.is_empty()).map(PathBuf::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cargo_names_the_files_in_the_way_of_make() {
        let paths = |list: &[&str]| -> Vec<_> { list.iter().map(PathBuf::from).collect() };
        assert_eq!(
            prerequisites("/t/a.wasm: /s/lib.rs /s/b.rs\n\n/s/lib.rs:\n"),
            paths(&["/s/lib.rs", "/s/b.rs"])
        );
        assert_eq!(prerequisites(r"/t/a.wasm: /my\ guest/lib.rs"), paths(&["/my guest/lib.rs"]));
        assert_eq!(prerequisites(""), paths(&[]));
        assert_eq!(prerequisites("/t/a.wasm:"), paths(&[]));
    }
}
