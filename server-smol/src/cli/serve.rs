use std::{
    fs, io,
    path::{Path, PathBuf},
};

use anyhow::{Error, Result, anyhow, bail};
use stateroom_server_smol::ServeError;

use super::{args::ServeArgs, module};

/// `stateroom serve`
pub(crate) fn run(args: ServeArgs) -> Result<()> {
    let (path, static_files) = locate(&args.module)?;
    let program = module::read(&path)?;
    args.server.server().with_static_files(static_files).serve(program).map_err(explain)
}

/// Says what can be done about it. The server's messages say everything else; their sources would say it again.
pub(crate) fn explain(error: ServeError) -> Error {
    match error {
        ServeError::Bind { .. } => anyhow!("{error} (see `--port` and `--ip`)"),
        error => anyhow!("{error}"),
    }
}

/// Finds the module and the static files that `path` means.
fn locate(path: &Path) -> Result<(PathBuf, Option<PathBuf>)> {
    let shown = path.display();
    let found = fs::metadata(path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => anyhow!(
            "there is no `{shown}`: give a module (`.wasm` or `.wat`), or the `dist` directory that `stateroom build` writes"
        ),
        _ => anyhow!("cannot read `{shown}`: {error}"),
    })?;
    if !found.is_dir() {
        return Ok((path.to_owned(), None));
    }

    let module = path.join("server.wasm");
    if !module.exists() {
        if path.join("dist/server.wasm").exists() {
            bail!("there is no `server.wasm` in `{shown}`: serve `{}`", path.join("dist").display());
        }
        if path.join("Cargo.toml").exists() {
            bail!(
                "there is no `server.wasm` in `{shown}`, which is a package: `stateroom dev {shown}` serves it, `stateroom build {shown}` makes a `dist` to serve"
            );
        }
        bail!(
            "there is no `server.wasm` in `{shown}`: give a module, or the `dist` directory that `stateroom build` writes"
        );
    }
    let static_files = Some(path.join("static")).filter(|directory| directory.is_dir());
    Ok((module, static_files))
}
