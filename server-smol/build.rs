//! Decides which reactor is built, and writes the table of media types.

use std::{collections::BTreeMap, env, fs, path::Path};

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    choose_reactor();
    let directory = env::var_os("OUT_DIR").expect("cargo sets it");
    fs::write(Path::new(&directory).join("media_types.txt"), media_types())
        .expect("cargo has made the directory");
}

/// The loop of our own around epoll, or the runtime's reactor, which every system has.
fn choose_reactor() {
    println!("cargo::rustc-check-cfg=cfg(epoll)");
    println!("cargo::rerun-if-env-changed=STATEROOM_PORTABLE_REACTOR");
    let is_linux = env::var("CARGO_CFG_TARGET_OS").is_ok_and(|system| system == "linux");
    // So that the tests, which run on Linux, can run the one that is for other systems.
    let is_portable = env::var_os("STATEROOM_PORTABLE_REACTOR").is_some();
    if is_linux && !is_portable {
        println!("cargo::rustc-cfg=epoll");
    }
}

/// The types that most files have. They come first in the table, as it is read from its beginning.
const COMMON: &[&str] = &[
    "text/html",
    "text/css",
    "application/javascript",
    "text/javascript",
    "application/json",
    "application/wasm",
    "image/png",
    "image/svg+xml",
    "image/jpeg",
    "image/webp",
    "image/x-icon",
    "image/gif",
    "font/woff2",
    "audio/mpeg",
    "audio/ogg",
    "text/plain",
    "video/mp4",
];

/// Returns a line for each media type: the type and its extensions. As text the table takes a third of what it takes as
/// slices of slices, each of which is an address that is put right at the start.
fn media_types() -> String {
    let extensions = mime_guess::get_mime_extensions_str("*/*").expect("there are some");
    let mut types = BTreeMap::<_, Vec<_>>::new();
    for extension in extensions {
        if let Some(media_type) = mime_guess::from_ext(extension).first_raw() {
            let place = COMMON.iter().position(|common| *common == media_type).unwrap_or(COMMON.len());
            types.entry((place, media_type)).or_default().push(*extension);
        }
    }
    let mut table = String::new();
    for ((_, media_type), mut extensions) in types {
        extensions.sort_unstable();
        extensions.dedup();
        table += &format!("{media_type} {}\n", extensions.join(" "));
    }
    table
}
