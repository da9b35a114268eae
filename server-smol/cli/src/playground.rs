//! The playground, which is in the directory `server-smol/playground` of the checkout.

use stateroom_server_smol::{BuiltIn, Playground};

/// Defines the files of the page.
macro_rules! files {
    ($($name:literal),* $(,)?) => {
        &[$(BuiltIn::new($name, include_bytes!(concat!("../playground/", $name)))),*]
    };
}

const FILES: &[BuiltIn] = files![
    "index.html",
    "playground.css",
    "build.js",
    "card.js",
    "clients.js",
    "dom.js",
    "events.js",
    "format.js",
    "hash.js",
    "keys.js",
    "main.js",
    "messages.js",
    "meters.js",
    "newest.js",
    "record.js",
    "rooms.js",
    "server.js",
    "snippets.js",
    "timeline.js",
];

/// Returns the playground. `dev` has it at `/_/`, and `serve` at the operator's address, if that is wanted.
pub(crate) fn new() -> Playground {
    Playground::new(FILES)
}
