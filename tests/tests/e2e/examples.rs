//! Tests of the examples, except for their messages, which are tested in `tests/guests`.

use stateroom_tests::{
    Child, Client, Output, TestServer, eventually, example, guest, run_npm_client, server,
};

#[test]
fn cursors_come_with_a_page() {
    let dist = example("cursors");
    let server = TestServer::with(server().with_static_files(Some(dist.join("static"))), guest("cursors"));
    let page = server.get("/");
    assert_eq!(page.status, 200);
    assert!(page.text().contains("RoomSocket"));
    // The page's library is beside it, whichever server has them.
    let library = server.get("/_/client.js");
    assert_eq!(library.status, 200);
    assert!(library.text().contains("export class RoomSocket"));
}

#[test]
fn native_echo() {
    // Where it insists on a port of its own, somebody else may have that for a while.
    let mut started = None;
    eventually("its port is free", || {
        let child = Child::start("native-echo", &["0"]);
        started = child.find_line(Output::Stdout, "echo on ws://").ok().map(|url| (child, url));
        started.is_some()
    });
    let (_child, url) = started.expect("this was waited for");
    let port = url.trim_end_matches("/ws").rsplit(':').next().and_then(|port| port.parse().ok());
    let address = ([127, 0, 0, 1], port.expect("a port")).into();
    let mut client = Client::connect(address, "/ws").expect("an upgrade");
    assert_eq!(client.ask("hello"), "hello");
    client.binary(&[0, 255]);
    assert_eq!(client.next_binary(), [0, 255]);
}

#[test]
fn embed() {
    let mut child = Child::start("embed", &[example("echo").join("server.wasm")]);
    for line in ["hello", "", "héllo 😀"] {
        child.say(line);
        assert_eq!(child.line(Output::Stdout, line), "");
    }
    child.end_input();
    assert_eq!(child.exit().0, Some(0));

    // With a timer and everything.
    let mut child = Child::start("embed", &[example("clock").join("server.wasm")]);
    child.say("what time is it?");
    assert_eq!(child.line(Output::Stdout, "1"), "");
    child.end_input();
    assert_eq!(child.exit().0, Some(0));

    let mut child = Child::start("embed", &[""; 0]);
    assert!(child.line(Output::Stderr, "usage: ").starts_with("embed"));
    assert_eq!(child.exit().0, Some(2));
}

#[test]
fn dist_is_served_by_the_command() {
    let dist = example("cursors").display().to_string();
    let child = Child::start("stateroom", &["serve", &dist, "--ip", "127.0.0.1", "--port", "0"]);
    let address = child.line(Output::Stderr, "serving on ").parse().expect("an address");
    let mut client = Client::connect(address, "/ws/lobby").expect("an upgrade");
    assert_eq!(client.next_binary(), [0]);
}

#[test]
fn y_websocket_clients_edit_together() {
    let server = TestServer::new(guest("yjs"));
    run_npm_client("yjs", "yjs.mjs", &[&format!("ws://{}/ws", server.address())]);
}
