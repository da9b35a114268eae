use std::time::Duration;

use super::server::{Time, seconds};

/// The text behind the options of `stateroom token --help`.
pub(super) const EXAMPLES: &str = "\
Examples:
  openssl rand -hex 32 > secret.txt && chmod o= secret.txt
  stateroom serve dist --auth-key secret.txt
  stateroom token lobby --key secret.txt --sub ada
  stateroom token --rooms 'game-*' --key env:ROOM_KEY --claim name=Ada --claim level=7 --expires 60";

#[derive(Debug, clap::Args)]
pub(crate) struct TokenArgs {
    /// The ids of the rooms that the token is for
    #[arg(required_unless_present = "patterns", value_name = "ROOM")]
    pub(crate) rooms: Vec<String>,

    /// The beginning of the ids of more rooms, with a `*` behind it; may be repeated. `*` is all rooms
    #[arg(long = "rooms", value_name = "PATTERN")]
    pub(crate) patterns: Vec<String>,

    /// The key: a file with a secret or a private key, or env:NAME for a variable of the environment;
    /// KID=FILE names it in the token
    #[arg(long, value_name = "FILE", verbatim_doc_comment)]
    pub(crate) key: String,

    /// The name of the client (`sub`)
    #[arg(long, value_name = "NAME")]
    pub(crate) sub: Option<String>,

    /// The time for which the token is valid
    #[arg(long, value_name = "SECONDS", default_value = "3600", value_parser = seconds as Time)]
    pub(crate) expires: Duration,

    /// The server that the token is for (`serve --auth-audience`)
    #[arg(long, value_name = "NAME")]
    pub(crate) audience: Option<String>,

    /// Another claim, which the room sees; may be repeated. A value that is JSON is used as such
    #[arg(long = "claim", value_name = "NAME=VALUE", value_parser = claim)]
    pub(crate) claims: Vec<(String, String)>,
}

fn claim(text: &str) -> Result<(String, String), String> {
    let reserved = ["room", "rooms", "exp", "sub", "aud"];
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() && !reserved.contains(&name) => {
            Ok((name.to_owned(), value.to_owned()))
        }
        Some((name, _)) if !name.is_empty() => Err("has an option or an argument of its own".to_owned()),
        _ => Err("is not NAME=VALUE, such as name=Ada".to_owned()),
    }
}
