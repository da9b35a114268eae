//! `stateroom serve` loads its module again.

#![cfg(unix)]

use std::{
    fs,
    io::{Read as _, Write as _},
    os::unix::net::UnixStream,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};

use crate::{
    directory::Directory,
    running::{Serving, stateroom},
    socket::{ask, joined, next_text},
};

/// Returns a guest that answers each message with the digit that it counts to, `step` by `step`; it greets each client with it. It
/// saves and loads the digit if its name has a mark.
fn counter(step: u32, saves: bool) -> String {
    let mark = if saves { "" } else { "_" };
    format!(
        r#"(module
            (import "env" "send_message" (func $send (param i32 i32 i32)))
            (import "stateroom" "save" (func $save (param i32 i32)))
            (memory (export "memory") 1)
            (data (i32.const 0) "0")
            (func $tell (param i32) (call $send (local.get 0) (i32.const 0) (i32.const 1)))
            (func (export "jam_malloc") (param i32) (result i32) i32.const 4096)
            (func (export "jam_free") (param i32 i32))
            (func (export "initialize") (param i32 i32))
            (func (export "connect") (param i32) (call $tell (local.get 0)))
            (func (export "disconnect") (param i32))
            (func (export "timer"))
            (func (export "binary") (param i32 i32 i32))
            (func (export "message") (param i32 i32 i32)
                (i32.store8 (i32.const 0) (i32.add (i32.load8_u (i32.const 0)) (i32.const {step})))
                (call $tell (local.get 0)))
            (func (export "{mark}stateroom_save") (call $save (i32.const 0) (i32.const 1)))
            (func (export "{mark}stateroom_load") (param $at i32) (param i32)
                (i32.store8 (i32.const 0) (i32.load8_u (local.get $at)))))"#
    )
}

fn serve(here: &Directory, flags: &[&str]) -> Serving {
    let serve = ["serve", "room.wat", "--port", "0", "--admin", "./admin.sock"];
    let mut server = Serving::start(stateroom(here, &[&serve[..], flags].concat()));
    server.wait_for_line("admin.sock");
    server
}

fn hang_up(server: &Serving) {
    kill_process(Pid::from_child(&server.child), Signal::HUP).unwrap();
}

/// Sends a request of the operator, and returns the answer.
fn operate(here: &Directory, request: &str) -> String {
    let mut operator = UnixStream::connect(here.path("admin.sock")).unwrap();
    write!(operator, "{request} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n").unwrap();
    let mut answer = String::new();
    operator.read_to_string(&mut answer).unwrap();
    answer
}

/// Returns how many rooms run each module, and whether it is the current one.
fn modules(here: &Directory) -> Vec<(u64, bool)> {
    let answer = operate(here, "GET /status");
    let (_, json) = answer.split_once("\r\n\r\n").unwrap();
    let status: serde_json::Value = serde_json::from_str(json).unwrap();
    let module = |module: &serde_json::Value| {
        assert_eq!(module["sha256"].as_str().unwrap().len(), 64);
        (module["rooms"].as_u64().unwrap(), module["is_current"].as_bool().unwrap())
    };
    status["modules"].as_array().unwrap().iter().map(module).collect()
}

#[test]
fn rooms_take_their_saved_state_along_when_the_module_is_loaded_again() {
    let here = Directory::new().with("room.wat", counter(1, true));
    let mut server = serve(&here, &[]);
    let mut client = joined(server.join("/ws/lobby", ""));
    assert_eq!((next_text(&mut client), ask(&mut client, "+")), ("0".to_owned(), "1".to_owned()));
    assert_eq!(modules(&here), [(1, true)]);

    fs::write(here.path("room.wat"), counter(3, true)).unwrap();
    hang_up(&server);
    server.wait_for_line("ms: room lobby continues with its saved state");
    assert_eq!(ask(&mut client, "+"), "4");
    assert_eq!(modules(&here), [(1, true)]);

    // Nothing has changed.
    hang_up(&server);
    server.wait_for_line("ms: no room has changed");

    // What is no module replaces none.
    fs::write(here.path("room.wat"), "(module").unwrap();
    hang_up(&server);
    server.wait_for_line("ERROR the previous module is still served: cannot read `room.wat`");
    assert_eq!(ask(&mut client, "+"), "7");
    let answer = operate(&here, "POST /reload");
    assert!(answer.starts_with("HTTP/1.1 422") && answer.contains("cannot read `room.wat`"), "{answer}");

    fs::write(here.path("room.wat"), counter(1, true)).unwrap();
    let answer = operate(&here, "POST /reload");
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("\"loaded\":1"), "{answer}");
    assert_eq!(ask(&mut client, "+"), "8");
    assert!(operate(&here, "GET /reload").starts_with("HTTP/1.1 405"));
}

#[test]
fn rooms_that_save_nothing_keep_their_module_and_new_ones_have_the_new_one() {
    let here = Directory::new().with("room.wat", counter(1, false));
    let mut server = serve(&here, &[]);
    let mut old = joined(server.join("/ws/old", ""));
    next_text(&mut old);
    fs::write(here.path("room.wat"), counter(2, false)).unwrap();
    hang_up(&server);
    server.wait_for_line("ms: room old keeps its module");
    let mut new = joined(server.join("/ws/new", ""));
    next_text(&mut new);
    assert_eq!((ask(&mut old, "+"), ask(&mut new, "+")), ("1".to_owned(), "2".to_owned()));
    assert_eq!(modules(&here), [(1, false), (1, true)]);
    // The old one goes with its last room, when its client has gone.
    assert!(operate(&here, "DELETE /rooms/old").starts_with("HTTP/1.1 200"));
    drop(old);
    let deadline = Instant::now() + Duration::from_secs(60);
    while modules(&here) != [(1, true)] {
        assert!(Instant::now() < deadline, "{:?}", modules(&here));
    }
}

#[test]
fn rooms_that_save_nothing_start_afresh_if_the_operator_wants_it() {
    let here = Directory::new().with("room.wat", counter(1, false));
    let mut server = serve(&here, &["--upgrade", "reset"]);
    let mut client = joined(server.join("/ws/lobby", ""));
    next_text(&mut client);
    assert_eq!([ask(&mut client, "+"), ask(&mut client, "+")], ["1", "2"]);
    fs::write(here.path("room.wat"), counter(2, false)).unwrap();
    hang_up(&server);
    server.wait_for_line("ms: room lobby has started afresh");
    assert_eq!(next_text(&mut client), "0", "it is greeted again");
    assert_eq!(ask(&mut client, "+"), "2");
}
