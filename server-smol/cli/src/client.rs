//! The client library for pages, which is in the directory `client` of the checkout.

use std::{fs, path::Path};

use anyhow::{Context, Result};
use stateroom_server_smol::BuiltIn;

/// The files that `serve` answers with at `/_/`.
pub(crate) const FILES: &[BuiltIn] = &[BuiltIn::new("client.js", include_bytes!("../client.js"))];

/// The same files as `dev` answers with: a page that uses the library is loaded again when its files have changed.
pub(crate) const FILES_OF_DEV: &[BuiltIn] = &[BuiltIn::new(
    "client.js",
    concat!(include_str!("../client.js"), include_str!("dev/reload.js")).as_bytes(),
)];

/// Writes the files to the place below a static directory at which any server has them at the same paths. They replace
/// files of the same names there, as they come before them where they are built in.
pub(crate) fn write_below(directory: &Path) -> Result<()> {
    let place = directory.join("_");
    fs::create_dir_all(&place).with_context(|| format!("cannot create `{}`", place.display()))?;
    for file in FILES {
        let path = place.join(file.name());
        fs::write(&path, file.content()).with_context(|| format!("cannot write `{}`", path.display()))?;
    }
    Ok(())
}
