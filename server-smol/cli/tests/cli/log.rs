//! The log of a server, and who reads it.

use crate::{
    directory::Directory,
    guests::QUIET,
    running::{Serving, stateroom},
};

/// Far more than a pipe holds, and than the log does.
const REQUESTS: usize = 200;

/// Starts a server whose log nobody reads, and asks so much of it that the log is full. Each answer has to come.
fn flooded(here: &Directory) -> Serving {
    let serve = stateroom(here, &["serve", "quiet.wat", "--port", "0", "-v"]);
    let server = Serving::unread(serve);
    // No room has an id as long as this, and the log says who asks for what.
    let path = format!("/ws/{}", "x".repeat(4_000));
    for _ in 0..REQUESTS {
        assert!(server.get(&path).starts_with("HTTP/1.1 400"));
    }
    server
}

#[test]
fn a_log_that_nobody_reads_holds_up_nobody_and_says_what_is_missing() {
    let here = Directory::new().with("quiet.wat", QUIET);
    let mut server = flooded(&here);
    assert!(server.post("/ws/lobby").starts_with("HTTP/1.1 201"));
    server.wait_for_line("asks for \"/ws/xxx");
    server.wait_for_line("log lines were dropped: the reader of this log is too slow");
}

#[cfg(unix)]
#[test]
fn a_server_whose_log_nobody_reads_ends_when_told_to() {
    let here = Directory::new().with("quiet.wat", QUIET);
    assert_eq!(flooded(&here).end(rustix::process::Signal::TERM), Some(0));
}

/// Logs a megabyte that begins with an override of the direction of text, whenever somebody comes.
const LOUD: &str = r#"(module
  (import "stateroom" "log" (func $log (param i32 i32 i32)))
  (memory (export "memory") 20)
  (data (i32.const 2048) "\e2\80\ae\1b")
  (func (export "connect") (param i32)
    (call $log (i32.const 3) (i32.const 2048) (i32.const 1048576)))
  (func (export "jam_malloc") (param i32) (result i32) (i32.const 1024))
  (func (export "jam_free") (param i32 i32))
  (func (export "initialize") (param i32 i32))
  (func (export "disconnect") (param i32))
  (func (export "timer"))
  (func (export "message") (param i32 i32 i32))
  (func (export "binary") (param i32 i32 i32)))
"#;

#[test]
fn a_path_that_leads_nowhere_is_logged_for_who_asks_for_more() {
    let here = Directory::new().with("quiet.wat", QUIET);
    let mut server = Serving::start(stateroom(&here, &["-v", "serve", "quiet.wat", "--port", "0"]));
    assert!(server.get("/lobby").contains("rooms are WebSockets at /ws/{room}"));
    let line = server.wait_for_line("\"/lobby\"");
    assert!(line.ends_with(r#"asks for "/lobby": there is nothing"#), "{line}");
}

#[test]
fn what_a_guest_logs_is_cut_and_escaped() {
    let here = Directory::new().with("loud.wat", LOUD);
    let mut server = Serving::start(stateroom(&here, &["serve", "loud.wat", "--port", "0"]));
    let _client = server.join("/ws/a%E2%80%AE", "");
    let line = server.wait_for_line("room \"");
    assert!(line.starts_with(r#"INFO  room "a\u{202e}": "\u{202e}\u{1b}\0\0"#), "{line}");
    assert!(line.ends_with(r#"\0" … (+1047552 bytes)"#), "{line}");
}
