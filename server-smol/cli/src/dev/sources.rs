use std::{
    ffi::OsStr,
    fs,
    hash::{DefaultHasher, Hasher as _},
    io::Read as _,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant, SystemTime},
};

use smol::unblock;

use crate::{project::Project, toml_file::FILE};

/// The time between two checks of the files. People do not notice this delay, and a check of a few dozen
/// files takes very little time.
pub(super) const INTERVAL: Duration = Duration::from_millis(300);

/// The time from one check to the next is at least so many times the time of the check: many files take
/// little of the processor, too.
const IDLE: u32 = 20;

/// The files below the directory of a guest, and below each of its parents, that say how cargo builds it.
const SETTINGS: [&str; 3] = [".cargo/config.toml", "rust-toolchain.toml", "rust-toolchain"];

/// The source files of a guest, with the state of each before the build.
#[derive(Debug, Clone)]
pub(crate) struct Sources {
    files: Vec<File>,
    /// The directories of the source files of the package, and of its local dependencies.
    roots: Vec<PathBuf>,
    /// The files in them, as long as they do not build: a missing file may appear.
    own: Option<Vec<File>>,
}

/// A file, as it was when it was looked at.
#[derive(Debug, Clone)]
struct File {
    path: PathBuf,
    /// The time of its last change.
    when: Option<SystemTime>,
    /// A hash of its content, if it has any.
    content: Option<u64>,
}

impl File {
    fn look(path: PathBuf) -> Self {
        loop {
            let (when, content) = (modified(&path), content(&path));
            // The content may be newer than the time.
            if when == modified(&path) {
                return Self { path, when, content };
            }
        }
    }

    /// Returns true if it has another time, and other content than before: build scripts write the same
    /// again.
    fn has_changed(&self) -> bool {
        modified(&self.path) != self.when && !self.has_content(content(&self.path))
    }

    fn has_content(&self, content: Option<u64>) -> bool {
        self.content.is_some() && self.content == content
    }
}

impl Sources {
    /// Returns the known files before the first build.
    pub(crate) fn before(project: &Project) -> Self {
        let roots = roots(project);
        let files = settings(project).into_iter().map(File::look).collect();
        Self { files, own: Some(look_at_rust_files(&roots)), roots }
    }

    /// Returns the manifests and the configuration of `project`, and the source files that cargo says went
    /// into `module`, those of its path dependencies included. Files that build scripts have written into
    /// their own directories are no sources. `before` are the files as they were when the build began.
    pub(crate) fn of(project: &Project, module: &Path, begun: SystemTime, before: &Self) -> Self {
        let cargo_says = fs::read_to_string(module.with_extension("d")).ok();
        let mut compiled = cargo_says.as_deref().map(prerequisites).unwrap_or_default();
        compiled.retain(|path| !project.package.written.iter().any(|directory| path.starts_with(directory)));
        let mut files = settings(project);
        compiled.iter().filter_map(|path| manifest_of(path)).for_each(|path| add_once(&mut files, path));
        compiled.into_iter().for_each(|path| add_once(&mut files, path));
        let file = |path: PathBuf| {
            let file = File::look(path);
            // What was saved while it was built may not be in it, and counts as changed, unless it has the
            // same content as before.
            let is_in_it = file.when.is_none_or(|when| when < begun)
                || before.find(&file.path).is_some_and(|before| before.has_content(file.content));
            if is_in_it { file } else { File { when: None, content: None, ..file } }
        };
        let files = files.into_iter().map(file).collect();
        Self { files, own: None, roots: roots(project) }
    }

    fn find(&self, path: &Path) -> Option<&File> {
        let mut all = self.files.iter().chain(self.own.iter().flatten());
        all.find(|file| file.path == path)
    }

    /// Marks the files as unchanged, before they are built again.
    pub(crate) fn look(&mut self) {
        for file in &mut self.files {
            *file = File::look(file.path.clone());
        }
        self.own = Some(look_at_rust_files(&self.roots));
    }

    /// Adds a file, or the list of files in a directory.
    pub(crate) fn watch(&mut self, path: &Path) {
        if !self.files.iter().any(|known| known.path == path) {
            self.files.push(File::look(path.to_owned()));
        }
    }

    /// Waits until a file is changed, created or deleted.
    pub(crate) async fn change(&self) {
        loop {
            let begun = Instant::now();
            if self.have_changed() {
                return;
            }
            let pause = INTERVAL.max(begun.elapsed() * IDLE);
            unblock(move || thread::sleep(pause)).await;
        }
    }

    fn have_changed(&self) -> bool {
        self.files.iter().any(File::has_changed)
            || self.own.as_ref().is_some_and(|own| {
                let paths = all_rust_files(&self.roots);
                !own.iter().map(|file| &file.path).eq(&paths) || own.iter().any(File::has_changed)
            })
    }
}

/// Returns the files that are no source files, and that the module depends on. Some may not exist.
fn settings(project: &Project) -> Vec<PathBuf> {
    let Project { directory, package, .. } = project;
    let mut files: Vec<_> = ["Cargo.toml", FILE].map(|name| directory.join(name)).into();
    let manifests = [&package.workspace].into_iter().chain(&package.local_dependencies);
    manifests.for_each(|directory| add_once(&mut files, directory.join("Cargo.toml")));
    manifest_of(&package.source).into_iter().for_each(|path| add_once(&mut files, path));
    let directory = directory.canonicalize().unwrap_or_else(|_| directory.clone());
    files.extend(directory.ancestors().flat_map(|parent| SETTINGS.map(|name| parent.join(name))));
    files
}

/// Returns the manifest of the package that a source file is in.
fn manifest_of(source: &Path) -> Option<PathBuf> {
    source.ancestors().skip(1).map(|directory| directory.join("Cargo.toml")).find(|path| path.is_file())
}

fn roots(project: &Project) -> Vec<PathBuf> {
    let own = project.package.source.parent().unwrap_or(&project.directory);
    let mut roots = vec![own.to_owned()];
    roots.extend(project.package.local_dependencies.iter().map(|directory| {
        let sources = directory.join("src");
        if sources.is_dir() { sources } else { directory.clone() }
    }));
    roots
}

fn add_once(files: &mut Vec<PathBuf>, path: PathBuf) {
    if !files.contains(&path) {
        files.push(path);
    }
}

fn look_at_rust_files(roots: &[PathBuf]) -> Vec<File> {
    all_rust_files(roots).into_iter().map(File::look).collect()
}

/// Returns all Rust source files below some directories in order, except in cargo's build directories and in
/// hidden ones.
fn all_rust_files(roots: &[PathBuf]) -> Vec<PathBuf> {
    let (mut files, mut directories) = (Vec::new(), roots.to_vec());
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
            let (name, path) = (entry.file_name(), entry.path());
            if is_of_tools(&name) {
                continue;
            }
            if entry.file_type().is_ok_and(|found| found.is_dir()) {
                directories.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(path);
            }
        }
    }
    files.sort_unstable();
    files.dedup();
    files
}

/// Returns whether a file is hidden, or what cargo has written.
pub(super) fn is_of_tools(name: &OsStr) -> bool {
    name == "target" || name.as_encoded_bytes().starts_with(b".")
}

pub(super) fn modified(path: &Path) -> Option<SystemTime> {
    fs::metadata(path).and_then(|found| found.modified()).ok()
}

/// Returns a hash of what is in a file, or nothing if it cannot be read.
fn content(path: &Path) -> Option<u64> {
    // Others, such as pipes, have no end.
    fs::metadata(path).ok().filter(|found| found.is_file())?;
    let mut file = fs::File::open(path).ok()?;
    let (mut hasher, mut bytes) = (DefaultHasher::new(), [0; 16 << 10]);
    loop {
        match file.read(&mut bytes).ok()? {
            0 => return Some(hasher.finish()),
            length => hasher.write(&bytes[..length]),
        }
    }
}

/// Returns the names after the colon in a dependency file of cargo. It has the format of `make`: a blank in a
/// name has a backslash before it.
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
