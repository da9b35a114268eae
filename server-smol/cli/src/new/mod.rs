//! `stateroom new`: makes a package for a guest, from a template.
//!
//! The templates are read from the checkout, as the crates are that a package depends on. So both fit each other, and nearly all of a template is
//! the example of the same name.

mod name;
mod template;

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, anyhow, bail};

use super::args::NewArgs;

use self::template::NewPackage;
pub(crate) use self::template::Template;

/// The crates that guests use, beside this one in the checkout from which the command was built.
const SDK: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../sdk-core");

/// `stateroom new`
pub(crate) fn run(args: NewArgs) -> Result<()> {
    let NewArgs { path, template, no_std } = args;
    let shown = path.display();
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name::check(&name).map_err(|problem| anyhow!("`{name}` is no name for a package: it {problem}"))?;
    check_is_free(&path)?;
    let sdk = sdk()?;
    let workspace = workspace_around(&path).map(|manifest| manifest.display().to_string());
    let package = NewPackage {
        name: &name,
        template,
        no_std,
        checkout: sdk.parent().context("the crates are not in a checkout")?,
        sdk: sdk.to_str().context("the path of the crates is not in UTF-8: move the checkout")?,
        workspace: workspace.as_deref(),
    };
    for (file, content) in package.files()? {
        let file = path.join(file);
        let written =
            fs::create_dir_all(file.parent().unwrap_or(&path)).and_then(|()| fs::write(&file, content));
        written.with_context(|| format!("cannot write `{}`", file.display()))?;
    }

    log::info!("`{shown}` has a new package, from the template `{}`", template.name());
    log::info!(
        "its dependencies are the crates in `{}`, which are not published: keep that checkout",
        sdk.parent().unwrap_or(&sdk).display()
    );
    if let Some(bundle) = template.bundle() {
        log::info!("the script of its page is bundled with npm: `{bundle}`; the room works without it");
    }
    log::info!("next: `cd {shown}`, then `stateroom dev --open`; `cargo test` runs its tests");
    Ok(())
}

/// Checks that nothing is overwritten. A repository without files is as good as an empty directory.
fn check_is_free(path: &Path) -> Result<()> {
    let shown = path.display();
    if !path.exists() {
        return Ok(());
    }
    if !path.is_dir() {
        bail!("`{shown}` is a file: choose another name, or move it away");
    }
    let mut entries = fs::read_dir(path).with_context(|| format!("cannot read `{shown}`"))?.flatten();
    match entries.find(|entry| entry.file_name() != ".git") {
        Some(entry) => bail!(
            "`{shown}` exists and holds `{}`: choose another name, or move that away",
            entry.file_name().display()
        ),
        None => Ok(()),
    }
}

/// Returns the directory of the SDK.
fn sdk() -> Result<PathBuf> {
    let sdk = Path::new(SDK);
    match sdk.canonicalize() {
        Ok(sdk) if sdk.join("Cargo.toml").is_file() => Ok(sdk),
        _ => bail!(
            "there is no `{}`, whose crates a guest depends on: the checkout that this command was built from is gone or was moved; install the command again from where it is now",
            sdk.display()
        ),
    }
}

/// Finds the workspace that cargo would take the new package for a member of.
fn workspace_around(path: &Path) -> Option<PathBuf> {
    let path = std::path::absolute(path).ok()?;
    let manifests = path.ancestors().skip(1).map(|directory| directory.join("Cargo.toml"));
    // Cargo takes the nearest that has the table. A package without one is in the workspace of its own parents.
    manifests.filter(|manifest| manifest.is_file()).find(|manifest| {
        fs::read_to_string(manifest)
            .is_ok_and(|text| text.lines().any(|line| line.trim_start().starts_with("[workspace")))
    })
}
