use std::{env, fs, path::Path, time::Duration};

use anyhow::{Context as _, Result, anyhow, bail};
use stateroom_server_smol::{Access, AuthUrl, TokenKey, Tokens};

use super::{
    CLIENTS,
    server::{Time, seconds},
};

/// The most keys. A token without `kid` may have to be compared with each.
const MOST_KEYS: usize = 8;

/// The options that decide who may enter rooms.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct AccessArgs {
    /// Let only clients with a token into rooms (a JSON Web Token with `room` and `exp`), which this key
    /// checks: a file with a secret or a public key, or env:NAME for a variable of the environment. May
    /// be repeated, and tokens can name a key in `kid` if it is given as KID=FILE. SIGHUP reads it again
    #[arg(long = "auth-key", value_name = "FILE", verbatim_doc_comment, conflicts_with = "auth_url")]
    #[arg(help_heading = CLIENTS, hide_long_help = true)]
    auth_keys: Vec<String>,

    /// Take only tokens for this audience (`aud`)
    #[arg(long, value_name = "NAME", requires = "auth_keys", help_heading = CLIENTS, hide_long_help = true)]
    auth_audience: Option<String>,

    /// Let only clients into rooms for which this http:// URL answers with 200
    #[arg(long, value_name = "URL", help_heading = CLIENTS, hide_long_help = true)]
    auth_url: Option<AuthUrl>,

    /// Time for which an answer of `--auth-url` is used again
    #[arg(long, value_name = "SECONDS", default_value = "5", requires = "auth_url", value_parser = seconds as Time)]
    #[arg(help_heading = CLIENTS, hide_long_help = true)]
    auth_cache: Duration,

    /// Also take tokens from the cookie of this name
    #[arg(long, value_name = "NAME", help_heading = CLIENTS, hide_long_help = true)]
    auth_cookie: Option<String>,

    /// Also take tokens from the parameter of this name in the query, which proxies may log
    #[arg(long, value_name = "NAME", help_heading = CLIENTS, hide_long_help = true)]
    auth_query: Option<String>,
}

impl AccessArgs {
    /// Returns what decides who may enter. Returns `None` if everybody may.
    ///
    /// # Errors
    /// A key cannot be read, or there is nothing to check tokens with.
    pub(crate) fn access(&self) -> Result<Option<Access>> {
        let access = match &self.auth_url {
            Some(url) => Access::with_url(url.clone().with_kept(self.auth_cache)),
            None if !self.auth_keys.is_empty() => {
                Access::with_tokens(Tokens::new(self.keys()?).with_audience(self.auth_audience.as_deref()))
            }
            None if self.auth_cookie.is_some() || self.auth_query.is_some() => {
                bail!(
                    "`--auth-cookie` and `--auth-query` say where tokens are: add `--auth-key` or `--auth-url`, which check them"
                );
            }
            None => return Ok(None),
        };
        let access = self.auth_cookie.iter().fold(access, |access, name| access.with_cookie(name));
        Ok(Some(self.auth_query.iter().fold(access, |access, name| access.with_query(name))))
    }

    /// Returns whether clients may enter with a cookie.
    #[cfg(feature = "dev")]
    pub(crate) fn has_cookie(&self) -> bool {
        self.auth_cookie.is_some()
    }

    /// Reads the keys of the tokens again, if there are any.
    ///
    /// # Errors
    /// A key cannot be read. All keys stay as they are.
    pub(crate) fn reload(&self, access: Option<&Access>) -> Result<()> {
        if let Some(tokens) = access.and_then(Access::tokens) {
            tokens.set_keys(self.keys()?);
        }
        Ok(())
    }

    fn keys(&self) -> Result<Vec<TokenKey>> {
        if self.auth_keys.len() > MOST_KEYS {
            bail!("there are {} keys (`--auth-key`), and there may be {MOST_KEYS}", self.auth_keys.len());
        }
        self.auth_keys.iter().map(|given| read_key(given, TokenKey::read)).collect()
    }
}

/// Reads the key that is given as `[KID=]FILE` or `[KID=]env:NAME`.
pub(crate) fn read_key<K>(
    given: &str,
    read: impl FnOnce(&[u8], Option<&str>) -> Result<K, String>,
) -> Result<K> {
    // A file may have a `=` in its name.
    let is_file = Path::new(given).exists();
    let (name, place) = match given.split_once('=').filter(|_| !is_file) {
        Some((name, place)) => (Some(name), place),
        None => (None, given),
    };
    let (shown, content) = match place.strip_prefix("env:") {
        Some(variable) => {
            let content = env::var_os(variable)
                .ok_or_else(|| anyhow!("there is no key in the environment: set `{variable}`"))?;
            (format!("the key in `{variable}` of the environment"), content.into_encoded_bytes())
        }
        None => {
            let content = fs::read(place).with_context(|| {
                // It may be the secret itself, which belongs into no log.
                let shown = if Path::new(place).parent().is_some_and(Path::exists) { place } else { "…" };
                format!("cannot read the key `{shown}`: give a file, or env:NAME for a variable of the environment")
            })?;
            warn_of_readers(place);
            (format!("the key `{place}`"), content)
        }
    };
    read(&content, name).map_err(|problem| anyhow!("{shown} {problem}"))
}

/// Warns of a secret that others can read.
#[cfg(unix)]
fn warn_of_readers(path: &str) {
    use std::os::unix::fs::PermissionsExt as _;

    let is_public = |content: Vec<u8>| content.windows(10).any(|bytes| bytes == b"PUBLIC KEY");
    if fs::metadata(path).is_ok_and(|found| found.permissions().mode() & 0o007 != 0)
        && !fs::read(path).is_ok_and(is_public)
    {
        log::warn!("all users of this machine can read the key `{path}`: `chmod o= {path}`");
    }
}

#[cfg(not(unix))]
fn warn_of_readers(_: &str) {}
