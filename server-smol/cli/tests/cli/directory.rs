use std::{
    fs,
    path::{Path, PathBuf},
    sync::atomic::{AtomicUsize, Ordering},
};

/// A temporary directory.
pub(crate) struct Directory(pub(crate) PathBuf);

impl Directory {
    pub(crate) fn new() -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("cli-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(crate) fn with(self, path: &str, content: impl AsRef<[u8]>) -> Self {
        let path = self.0.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
        self
    }

    /// Returns the name of the package in this directory. Tests that run at the same time must not build the same one.
    pub(crate) fn name(&self) -> &str {
        self.0.file_name().unwrap().to_str().unwrap()
    }

    /// Returns a package whose dependency on the SDK has `features`.
    pub(crate) fn with_guest(self, features: &str, source: &str) -> Self {
        let sdk = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../sdk-core");
        // The lock file of the workspace spares the guests a look at the registry.
        let lock =
            fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../Cargo.lock")).unwrap_or_default();
        let name = self.name().to_owned();
        self.with("Cargo.lock", lock).with("src/lib.rs", source).with(
            "Cargo.toml",
            format!(
                "[package]\nname = \"{name}\"\nedition = \"2024\"\n\n[workspace]\n\n[dependencies]\n\
                 stateroom-sdk-core = {{ path = '{}', default-features = false, features = [{features}] }}\n",
                sdk.display()
            ),
        )
    }

    /// Returns the same package with one more line in its manifest.
    pub(crate) fn with_dependency(self, line: &str) -> Self {
        let manifest = fs::read_to_string(self.path("Cargo.toml")).unwrap();
        self.with("Cargo.toml", format!("{manifest}{line}\n"))
    }

    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.0.join(path)
    }

    pub(crate) fn entries(&self) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(&self.0)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
