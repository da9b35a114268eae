//! Tests what an operator does with rooms and clients.

use serde_json::Value;
use stateroom_tests::{Answer, Client, eventually};

use super::{Running, run};

#[test]
fn a_client_that_is_kicked_leaves_and_its_room_learns_of_it() {
    let server = Running::start(&[]);
    let (mut first, mut second) = (server.client("hall"), server.client("hall"));
    first.expect(&["come"]);
    assert_eq!(server.rooms(&["kick", "hall", "2"]), Ok("closed client 2 of hall".into()));
    second.expect(&["come"]);
    assert_eq!(second.closed_because(), (1008, "the operator has closed the connection"));
    first.expect(&["come", "gone"]);
    for (arguments, error) in [
        (["hall", "2"], "error: the room has no such client"),
        (["cellar", "1"], "error: there is no room \"cellar\""),
    ] {
        assert_eq!(server.rooms(&["kick", arguments[0], arguments[1]]), Err(error.into()));
    }
    let mut third = server.client("hall");
    third.expect(&["come"]);
    server
        .rooms(&["kick", "hall", "3", "--code", "4000", "--reason", "be nice & calm"])
        .expect("it is there");
    assert_eq!(third.closed_because(), (4000, "be nice & calm"));
    assert!(
        server.rooms(&["kick", "hall", "1", "--code", "1006"]).unwrap_err().contains("from 3000 to 4999")
    );
    assert_eq!(first.ask("still here"), "come", "it is");
}

#[test]
fn a_message_goes_to_all_clients_and_not_to_the_room() {
    let server = Running::start(&["-v"]);
    let mut clients = [server.client("hall"), server.client("hall")];
    let mut other = server.client("cellar");
    clients[0].expect(&["come", "come"]);
    clients[1].expect(&["come"]);
    other.expect(&["come"]);
    assert_eq!(server.rooms(&["message", "hall", "back at noon"]), Ok("sent to 2 clients of hall".into()));
    std::fs::write(server.directory.path().join("logo"), [0, 255, 7]).expect("a disk");
    server.rooms(&["message", "hall", "--binary", "logo"]).expect("it is sent");
    for client in &mut clients {
        client.expect(&["back at noon"]);
        assert_eq!(client.next_binary(), [0, 255, 7]);
        assert_eq!(client.ask("hello"), "hello");
    }
    assert!(other.is_quiet());
    assert!(server.rooms(&["message", "attic", "hello"]).unwrap_err().contains("there is no room"));
    assert_eq!(server.ask("POST", "/rooms/hall/messages", &"a".repeat(1 << 20)).status, 200);
    assert_eq!(server.ask("POST", "/rooms/hall/messages", &"a".repeat((1 << 20) + 1)).status, 413);
    assert_eq!(server.ask("GET", "/rooms/hall/messages", "").header("allow"), Some("POST"));
    let (lines, _) = server.end();
    assert!(
        lines.iter().any(|line| line.ends_with("room \"hall\": the operator sends 12 bytes to 2 clients"))
    );
}

#[test]
fn a_message_larger_than_what_may_wait_for_a_client_closes_nobody() {
    let server = Running::start(&["--max-outbox-size", "64KiB", "--max-message-size", "32KiB"]);
    let mut client = server.client("hall");
    client.expect(&["come"]);
    let refused = server.ask("POST", "/rooms/hall/messages", &"a".repeat(64 << 10));
    assert_eq!((refused.status, refused.text().contains("--max-outbox-size")), (413, true));
    assert_eq!(client.ask("hello"), "hello");
}

#[test]
fn a_room_that_is_closed_ends() {
    let server = Running::start(&[]);
    let mut clients = [server.client("hall"), server.client("hall")];
    clients[0].expect(&["come", "come"]);
    clients[1].expect(&["come"]);
    let closed = server.rooms(&["close", "hall", "--code", "4001", "--reason", "we close"]);
    assert_eq!(closed, Ok("closed hall, with 2 clients".into()));
    for client in &mut clients {
        assert_eq!(client.closed_because(), (4001, "we close"));
    }
    assert_eq!(server.rooms(&["close", "hall"]), Err("error: there is no room \"hall\"".into()));
    let mut again = server.client("hall");
    again.expect(&["come"]);
    server.rooms(&["close", "hall"]).expect("it is there");
    assert_eq!(again.closed_because(), (1001, "the room has ended"));
}

/// Returns a connection with a resumable session, whose client has received so many messages.
#[track_caller]
fn with_session(server: &Running, received: u64, attempt: u64) -> (Client, Value) {
    let offered = format!(
        "Sec-WebSocket-Protocol: stateroom.v1, stateroom.session.0123456789abcdefghij.{received}.{attempt}.0"
    );
    let mut client = Client::connect_with(server.address, "/ws/hall", &[&offered])
        .unwrap_or_else(|answer: Box<Answer>| panic!("no upgrade: {answer:?}"));
    let greeting = client.next_text();
    (client, serde_json::from_str(greeting.trim_start_matches('\0')).expect("a greeting"))
}

#[test]
fn a_room_on_disk_stays_there_when_it_is_closed_and_its_clients_have_left_it() {
    let server = Running::start(&["--data", "data"]);
    let mut client = server.client("hall");
    client.expect(&["come"]);
    let (mut other, _) = with_session(&server, 0, 0);
    other.expect(&["come"]);
    assert_eq!(server.rooms(&["close", "hall"]), Ok("closed hall, with 2 clients".into()));
    client.expect(&["come"]);
    assert_eq!((client.closed(), other.closed()), (1001, 1001));
    eventually("the room is empty", || {
        let room: Value = serde_json::from_slice(&server.ask("GET", "/rooms/hall", "").body).expect("JSON");
        room["clients"].as_array().is_some_and(Vec::is_empty)
            && room["members"].as_array().is_some_and(Vec::is_empty)
    });
    // Its session has ended, too.
    assert_eq!(with_session(&server, 1, 1).1["resumed"], false);
}

#[test]
fn what_an_operator_does_breaks_no_replay() {
    let server = Running::start(&["--data", "data"]);
    let (mut first, mut second) = (server.client("hall"), server.client("hall"));
    first.expect(&["come", "come"]);
    second.expect(&["come"]);
    server.rooms(&["message", "hall", "back at noon"]).expect("it is sent");
    assert_eq!(first.ask("hello"), "back at noon");
    server.rooms(&["kick", "hall", "2"]).expect("it is there");
    first.expect(&["hello", "gone"]);
    server.rooms(&["export", "hall", "-o", "hall.room"]).expect("it is on the disk");
    let replayed = run(server.command(&["replay", "hall.room"])).expect("all outcomes are the same");
    assert!(replayed.contains("disconnect") && !replayed.contains("back at noon"), "{replayed}");
}

#[test]
fn a_message_of_the_operator_outlives_the_server_for_a_session_that_missed_it() {
    let server = Running::start(&["--data", "data"]);
    let (mut client, greeting) = with_session(&server, 0, 0);
    assert_eq!(greeting["resumed"], false);
    client.expect(&["come"]);
    assert_eq!(client.ask("one"), "one");
    client.hang_up();
    server.rooms(&["message", "hall", "back at noon"]).expect("it is sent");
    let mut other = server.client("hall");
    other.expect(&["come"]);
    let Running { mut child, address, directory } = server;
    child.signal(rustix::process::Signal::KILL);
    child.exit();
    let server = Running::start_in(directory, address.port(), &["--data", "data"]);
    // Nobody has opened the room yet.
    assert_eq!(server.rooms(&["message", "hall", "here we are"]), Ok("sent to 1 clients of hall".into()));
    let (mut client, greeting) = with_session(&server, 2, 1);
    assert_eq!((&greeting["resumed"], &greeting["received"]), (&true.into(), &1.into()), "{greeting}");
    client.expect(&["back at noon", "come", "gone", "here we are"]);
    assert_eq!(client.ask("two"), "two");
}

#[test]
fn a_session_that_waits_is_over_when_its_client_is_kicked() {
    let server = Running::start(&[]);
    let (mut client, _) = with_session(&server, 0, 0);
    client.expect(&["come"]);
    let mut other = server.client("hall");
    other.expect(&["come"]);
    client.hang_up();
    eventually("the connection has ended", || {
        server.rooms(&["kick", "hall", "1"]).is_err_and(|error| error.contains("no such client"))
    });
    other.expect(&["gone"]);
    assert_eq!(with_session(&server, 1, 1).1["resumed"], false);
}
