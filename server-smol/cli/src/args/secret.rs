//! Secrets, which come from files or from the environment: the arguments of a process are seen by all users of the machine.

use std::{env, fs, path::Path};

use anyhow::{Context as _, Result, anyhow};
#[cfg(feature = "rooms")]
use stateroom_server_smol::AdminToken;

/// Reads a secret of this kind from a file, or from the environment (`env:NAME`). Also returns how messages call it.
///
/// # Errors
/// It cannot be read.
pub(super) fn read(kind: &str, place: &str) -> Result<(String, Vec<u8>)> {
    if let Some(variable) = place.strip_prefix("env:") {
        let content = env::var_os(variable)
            .ok_or_else(|| anyhow!("there is no {kind} in the environment: set `{variable}`"))?;
        return Ok((format!("the {kind} in `{variable}` of the environment"), content.into_encoded_bytes()));
    }
    let content = fs::read(place).with_context(|| {
        // It may be the secret itself, which belongs into no log.
        let shown = if Path::new(place).parent().is_some_and(Path::exists) { place } else { "…" };
        format!(
            "cannot read the {kind} `{shown}`: give a file, or env:NAME for a variable of the environment"
        )
    })?;
    warn_of_readers(kind, place, &content);
    Ok((format!("the {kind} `{place}`"), content))
}

/// Reads the operator's token.
///
/// # Errors
/// It cannot be read, or is none.
#[cfg(feature = "rooms")]
pub(crate) fn read_admin_token(place: &str) -> Result<AdminToken> {
    let (shown, content) = read("token", place)?;
    AdminToken::new(&String::from_utf8_lossy(&content)).map_err(|problem| anyhow!("{shown} {problem}"))
}

/// Warns of a secret that others can read.
#[cfg(unix)]
fn warn_of_readers(kind: &str, path: &str, content: &[u8]) {
    use std::os::unix::fs::PermissionsExt as _;

    let is_public = content.windows(10).any(|bytes| bytes == b"PUBLIC KEY");
    if !is_public && fs::metadata(path).is_ok_and(|found| found.permissions().mode() & 0o007 != 0) {
        log::warn!("all users of this machine can read the {kind} `{path}`: `chmod o= {path}`");
    }
}

#[cfg(not(unix))]
fn warn_of_readers(_: &str, _: &str, _: &[u8]) {}
