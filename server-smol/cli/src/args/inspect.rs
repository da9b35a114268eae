use std::path::PathBuf;

use super::server::header_name;

#[derive(Debug, clap::Args)]
pub(crate) struct InspectArgs {
    /// A module (`.wasm`, or `.wat` for the text format), or a `dist` directory
    ///
    /// If a `dist` directory has a `stateroom.toml`, the limits in it are used.
    #[arg(verbatim_doc_comment)]
    pub(crate) module: PathBuf,

    /// Run rooms of the module as a server does, and list all problems with their fixes
    ///
    /// Clients connect, send messages of many sizes, and disconnect. None of this may end the
    /// room. The room's memory must not grow without end during ten thousand messages. The
    /// exit status is 0 if nothing is wrong, and 1 otherwise.
    #[arg(long, verbatim_doc_comment)]
    pub(crate) check: bool,

    /// A text that the clients also send, for example one that the service expects; may be repeated
    #[arg(long, value_name = "TEXT", requires = "check")]
    pub(crate) say: Vec<String>,

    /// Information about each client, such as query:name=Ada; may be repeated
    ///
    /// A KEY is one that rooms can ask for: `query`, `query:NAME`, `header:NAME` with the name
    /// in lower case, `auth`, `auth:NAME`, or `address`.
    #[arg(long, value_name = "KEY=VALUE", requires = "check", value_parser = client_info, verbatim_doc_comment)]
    pub(crate) with: Vec<(String, String)>,
}

fn client_info(text: &str) -> Result<(String, String), String> {
    let known = |key: &str| match key.split_once(':') {
        Some(("query", name)) => !name.is_empty(),
        Some(("auth", name)) => !name.is_empty(),
        Some(("header", name)) => header_name(name).is_ok_and(|lower| lower == name),
        _ => ["query", "address", "auth"].contains(&key),
    };
    match text.split_once('=').filter(|(key, _)| known(key)) {
        Some((key, value)) => Ok((key.to_owned(), value.to_owned())),
        None => {
            Err("is not a KEY=VALUE with query, query:NAME, header:NAME in lower case, auth, auth:NAME, or address".to_owned())
        }
    }
}
