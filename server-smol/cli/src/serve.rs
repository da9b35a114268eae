use std::{
    fs, io,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Error, Result, anyhow, bail};
#[cfg(feature = "tls")]
use stateroom_server_smol::Tls;
use stateroom_server_smol::{Durability, ListenAddress, ServeError, Signals};

#[cfg(feature = "rooms")]
use super::args::read_admin_token;
#[cfg(any(feature = "auth", feature = "proxy", feature = "tls"))]
use super::problem;
use super::{
    args::ServeArgs,
    module,
    toml_file::{self, DistConfig},
};

/// `stateroom serve`
pub(crate) fn run(args: ServeArgs) -> Result<()> {
    // Before it reads what SIGHUP lets it read again.
    let signals = Signals::catch().context("cannot handle signals")?;
    let Found { module, static_files, config } = locate(&args.module)?;
    let DistConfig { limits, durability, subprotocols } = config;
    let mut settings = args.server.settings()?;
    (settings.listen, settings.reuse_port) = (args.listen(), args.reuse_port);
    #[cfg(feature = "tls")]
    if let (Some(certificate), Some(key)) = (args.tls_cert, args.tls_key) {
        let tls = Tls::from_files(certificate, key);
        settings.tls = Some(tls.map_err(|error| anyhow!("{error} (see `--tls-cert` and `--tls-key`)"))?);
        settings.redirect_http = args.redirect_http.and_then(|port| u16::try_from(port).ok());
    }
    #[cfg(feature = "rooms")]
    {
        settings.admin_token = args.admin_token_file.as_deref().map(read_admin_token).transpose()?;
    }
    settings.drain = args.drain;
    #[cfg(feature = "proxy")]
    {
        (settings.trusted_proxies, settings.proxy_protocol) = (args.trusted_proxies, args.proxy_protocol);
    }
    settings.upgrade = args.upgrade.into();
    (settings.data, settings.journal_size) = (args.data, args.journal_size);
    settings.durability = args.durability.or(durability).map(Into::into).unwrap_or_default();
    settings.sync_delay = args.sync_delay;
    settings.subprotocols.extend(subprotocols);
    #[cfg(feature = "dev")]
    {
        settings.playground = args.playground.then(super::playground::new);
        (settings.recordings.rooms, settings.recordings.directory) = (args.record, args.record_to);
    }
    #[cfg(feature = "auth")]
    let access = (args.server.access, settings.access.clone());
    let is_durable = settings.data.is_some() && settings.durability != Durability::Off;
    let is_kept = is_durable || !settings.recordings.rooms.is_empty();
    let bounds = args.server.limits.over(&limits).bounds(settings)?;
    let guest = bounds.guest;
    let load = move || {
        if is_kept { module::read_and_keep(&module, guest) } else { module::read(&module, guest) }
    };
    let program = load()?;
    let server = bounds.server().with_static_files(static_files);
    // The others find them in the `dist` directory.
    #[cfg(feature = "dev")]
    let server = server.with_built_in(super::client::FILES);
    let reload = move || {
        // If a key cannot be read, the module stays as it is, too.
        #[cfg(feature = "auth")]
        access.0.reload(access.1.as_ref())?;
        load()
    };
    let reload = move || reload().map_err(|error| format!("{error:#}"));
    server.serve_guests(program, reload, signals).map_err(explain)
}

/// Adds advice to the error. The server's messages are complete; their sources would repeat them.
pub(crate) fn explain(error: ServeError) -> Error {
    match error {
        ServeError::Bind { address: ListenAddress::Unix { .. } | ListenAddress::Systemd, .. } => {
            anyhow!("{error} (see `--listen`)")
        }
        ServeError::Bind { ref source, .. } if source.kind() == io::ErrorKind::AddrNotAvailable => {
            anyhow!("{error} (`--ip 0.0.0.0` is all of them)")
        }
        ServeError::Bind { .. } => anyhow!("{error} (see `--port`, `--ip` and `--listen`)"),
        ServeError::Admin { .. } => anyhow!("{error} (see `--admin`)"),
        #[cfg(any(feature = "auth", feature = "proxy", feature = "tls"))]
        ServeError::Settings(error) => {
            let problems: Vec<_> = error.problems().iter().map(problem::words).collect();
            anyhow!(problems.join("\n       "))
        }
        error => anyhow!("{error}"),
    }
}

/// The module to serve, and its files and configuration.
pub(crate) struct Found {
    pub(crate) module: PathBuf,
    pub(crate) static_files: Option<PathBuf>,
    pub(crate) config: DistConfig,
}

/// The extensions of module files.
const MODULE: &str = if cfg!(feature = "dev") { "`.wasm` or `.wat`" } else { "`.wasm`" };

/// Finds the module for `path`.
pub(crate) fn locate(path: &Path) -> Result<Found> {
    let shown = path.display();
    let found = fs::metadata(path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => anyhow!(
            "there is no `{shown}`: give a module ({MODULE}), or the `dist` directory that `stateroom build` writes"
        ),
        _ => module::unreadable(path, &error),
    })?;
    if !found.is_dir() {
        return Ok(Found { module: path.to_owned(), static_files: None, config: DistConfig::default() });
    }

    let module = path.join("server.wasm");
    // If this user may not look, reading tells why.
    if matches!(module.try_exists(), Ok(false)) {
        if path.join("dist/server.wasm").exists() {
            bail!("there is no `server.wasm` in `{shown}`: give `{}`", path.join("dist").display());
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
    let config = toml_file::read_dist(path)?;
    Ok(Found { module, static_files, config })
}
