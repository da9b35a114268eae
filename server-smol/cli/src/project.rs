use std::{
    fs, io,
    path::{Path, PathBuf},
};

use anyhow::{Result, anyhow, bail};

use super::{args::ProjectArgs, config::Config, guest_build, package::Package, purpose::Purpose};

/// A directory with a `Cargo.toml` and perhaps a `stateroom.toml`, and the guest package that they mean.
#[derive(Debug)]
pub(crate) struct Project {
    pub(crate) directory: PathBuf,
    pub(crate) config: Config,
    pub(crate) package: Package,
    pub(crate) portable: bool,
}

impl Project {
    pub(crate) fn open(args: ProjectArgs) -> Result<Self> {
        let ProjectArgs { path, portable } = args;
        check(&path)?;
        let config = Config::read(&path)?;
        let package = Package::find(&path, config.package.as_deref())?;
        Ok(Self { directory: path, config, package, portable })
    }

    /// Builds the guest, with cargo's progress and diagnostics on stderr, and returns the module's path.
    pub(crate) fn build(&self, purpose: Purpose) -> Result<PathBuf> {
        guest_build::run(&self.directory, &self.config, &self.package, self.portable, purpose)
    }
}

fn check(path: &Path) -> Result<()> {
    let shown = path.display();
    let found = fs::metadata(path).map_err(|error| {
        // `dev` once took a port here.
        let port = path.to_str().and_then(|text| text.parse::<u16>().ok());
        match (error.kind(), port) {
            (io::ErrorKind::NotFound, Some(port)) => {
                anyhow!("there is no directory `{shown}` (a port is given as `--port {port}`)")
            }
            (io::ErrorKind::NotFound, None) => {
                anyhow!("there is no directory `{shown}`: give the one that holds the guest's `Cargo.toml`")
            }
            _ => anyhow!("cannot read `{shown}`: {error}"),
        }
    })?;
    if !found.is_dir() {
        bail!("`{shown}` is a file: give the directory of a package (`stateroom serve` takes a module)");
    }
    if !path.join("Cargo.toml").is_file() {
        bail!(
            "there is no `Cargo.toml` in `{shown}`: give the directory of the guest's package, or make one with `stateroom new NAME`"
        );
    }
    Ok(())
}
