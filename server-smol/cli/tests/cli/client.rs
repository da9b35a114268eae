//! The client library, at `/_/client.js`.

use std::{fs, path::Path};

use crate::{
    directory::Directory,
    guests::{ECHO, QUIET},
    running::{Serving, fails, stateroom, succeeds},
};

fn library() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../client/client.js");
    fs::read_to_string(path).unwrap()
}

/// Expects an answer with the library. Returns what comes behind that.
#[track_caller]
fn has_library(server: &Serving) -> String {
    let answer = server.get("/_/client.js");
    let (head, content) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    let head = head.to_ascii_lowercase();
    for line in ["content-type: text/javascript", "cache-control: no-cache", "etag: \""] {
        assert!(head.contains(&format!("\r\n{line}")), "{line} is not in {head}");
    }
    content.strip_prefix(&library()).expect("it begins with the library").to_owned()
}

#[test]
fn serve_has_the_client_library_without_static_files() {
    let here = Directory::new().with("quiet.wat", QUIET);
    let server = Serving::start(stateroom(&here, &["serve", "quiet.wat", "--port", "0"]));
    assert_eq!(has_library(&server), "");
    for other in ["/_/", "/_", "/_/other.js", "/client.js", "/_/client.js/"] {
        assert!(server.get(other).starts_with("HTTP/1.1 404"), "{other}");
    }
    assert!(server.post("/_/client.js").starts_with("HTTP/1.1 405"));
}

#[test]
fn a_client_that_has_the_library_is_told_so() {
    let here = Directory::new().with("quiet.wat", QUIET);
    let server = Serving::start(stateroom(&here, &["serve", "quiet.wat", "--port", "0"]));
    let head = server.request("HEAD", "/_/client.js", "");
    assert!(head.starts_with("HTTP/1.1 200") && head.ends_with("\r\n\r\n"), "{head}");
    let length = format!("content-length: {}\r\n", library().len());
    assert!(head.to_ascii_lowercase().contains(&length), "{head}");
    let tag = head.split_once("etag: ").unwrap().1.split_once("\r\n").unwrap().0;
    let answer = server.request("GET", "/_/client.js", &format!("If-None-Match: {tag}\r\n"));
    assert!(answer.starts_with("HTTP/1.1 304") && answer.ends_with("\r\n\r\n"), "{answer}");
    let answer = server.request("GET", "/_/client.js", "If-None-Match: \"other\"\r\n");
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with(&library()), "{answer}");
}

#[test]
fn dev_has_the_client_library_before_the_static_files() {
    let here = Directory::new()
        .with_guest("", ECHO)
        .with("stateroom.toml", "static_files = 'web'")
        .with("web/_/client.js", "mine")
        .with("web/_/more.js", "more");
    let server = Serving::start(stateroom(&here, &["dev", "--port", "0"]));
    assert!(has_library(&server).contains("location.reload()"), "it loads the page again");
    assert!(server.get("/_/more.js").ends_with("\r\n\r\nmore"));
}

#[test]
fn build_writes_the_client_library_beside_the_static_files() {
    let here = Directory::new().with_guest("", ECHO);
    succeeds(stateroom(&here, &["build"]));
    assert!(!here.path("dist/static").exists());

    let here = here
        .with("stateroom.toml", "static_files = 'web'")
        .with("web/index.html", "<p>one")
        .with("web/_/client.js", "mine")
        .with("web/_/more.js", "more");
    succeeds(stateroom(&here, &["build"]));
    assert_eq!(fs::read_to_string(here.path("dist/static/_/client.js")).unwrap(), library());
    assert_eq!(fs::read_to_string(here.path("dist/static/_/more.js")).unwrap(), "more");
    assert_eq!(fs::read_to_string(here.path("web/_/client.js")).unwrap(), "mine");

    fs::remove_dir_all(here.path("web/_")).unwrap();
    let here = here.with("web/_", "a file");
    fails(stateroom(&here, &["build"]), &["cannot create `", "dist", "static/_`"]);
    assert_eq!(fs::read_to_string(here.path("dist/static/_/more.js")).unwrap(), "more");
}
