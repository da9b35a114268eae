//! Subprotocols, which say what the messages of a service mean.

use std::net::SocketAddr;

use stateroom_tests::{
    Answer, Child, Client, Guest, Output, TestServer, server,
    services::{bouncer, bouncer_guest, journal},
};

/// Tells each client its subprotocol, and everyone who has come.
const ROOM: &str = r#"#![no_std]
use stateroom_sdk_core::*;

#[stateroom_wasm]
#[derive(Default)]
struct Room;

impl StateroomService for Room {
    fn connect(&mut self, client: ClientId, ctx: &impl StateroomContext) {
        let mut buffer = [0; 64];
        ctx.send_message(client, ctx.client_info(client, "subprotocol", &mut buffer).unwrap_or("none"));
        ctx.send_message(MessageRecipient::EveryoneExcept(client), "somebody has come");
    }
}
"#;

/// Connects with the subprotocols of each line.
fn offer_at(address: SocketAddr, path: &str, lines: &[&str]) -> Result<Client, Box<Answer>> {
    let lines: Vec<_> = lines.iter().map(|line| format!("Sec-WebSocket-Protocol: {line}")).collect();
    Client::connect_with(address, path, &lines.iter().map(String::as_str).collect::<Vec<_>>())
}

#[test]
fn the_server_chooses_among_those_of_its_options_and_of_the_guest() {
    let room = Guest::new("subprotocols", "[]", ROOM).with_settings("subprotocols = ['chat.v2', 'chat.v1']");
    let dist = room.dist().display().to_string();
    let arguments = ["serve", &dist, "--ip", "127.0.0.1", "--port", "0", "--subprotocol", "chat.v3"];
    let child = Child::start("stateroom", &arguments);
    let address = child.line(Output::Stderr, "serving on ").parse().expect("an address");
    let offer = |lines: &[&str]| offer_at(address, "/ws/lobby", lines);
    let mut first = Client::connect(address, "/ws/lobby").expect("who offers none is let in");
    first.expect(&["none"]);
    assert_eq!(first.protocol(), None);
    for (lines, chosen) in [
        (&["chat.v1"][..], "chat.v1"),
        (&["chat.v1, chat.v2"], "chat.v2"),
        (&["chat.v1,chat.v3,x"], "chat.v3"),
        (&["x", "chat.v1", "chat.v2"], "chat.v2"),
    ] {
        let mut client = offer(lines).unwrap();
        assert_eq!(client.protocol(), Some(chosen), "{lines:?}");
        client.expect(&[chosen]);
        first.expect(&["somebody has come"]);
    }
    for lines in [&["chat"][..], &["CHAT.V1"], &["chat.v4, chat.v5"], &["x", "y"]] {
        let answer = offer(lines).unwrap_err();
        assert_eq!(answer.status, 400, "{lines:?}");
        let said = "none of the offered subprotocols is known here; known are: chat.v3, chat.v2, chat.v1";
        assert_eq!(answer.text(), said);
        // Nor is a room made for it.
        assert_eq!(offer_at(address, "/ws/elsewhere", lines).unwrap_err().status, 400);
    }
    // The room has learned of none of them.
    offer(&["chat.v1"]).unwrap().expect(&["chat.v1"]);
    first.expect(&["somebody has come"]);
    assert!(first.is_quiet());
    assert_eq!(stateroom_tests::status(address)["room_count"], 1);
}

#[test]
fn a_server_without_subprotocols_lets_everyone_in_and_selects_none() {
    let server = TestServer::new(journal());
    let mut client = offer_at(server.address(), "/ws/room", &["chat.v1, chat.v2"]).unwrap();
    assert_eq!(client.protocol(), None);
    client.expect(&["connect 1"]);
}

#[test]
fn a_resumable_session_has_its_own_subprotocol_and_the_room_sees_that_of_the_service() {
    let with =
        || server().with_subprotocol("chat.v2".parse().unwrap()).with_subprotocol("chat.v1".parse().unwrap());
    for server in [TestServer::with(with(), bouncer()), TestServer::with(with(), bouncer_guest())] {
        let path = "/ws/room?token=x&ask=subprotocol";
        let session = "stateroom.v1, stateroom.session.token-of-a-client";
        let mut client = offer_at(server.address(), path, &[session, "chat.v1"]).unwrap();
        assert_eq!(client.protocol(), Some("stateroom.v1"));
        assert!(client.next_text().starts_with("\0{"));
        client.expect(&["connect 1", "subprotocol is \"chat.v1\""]);
        let answer = offer_at(server.address(), path, &[session, "chat.v3"]).unwrap_err();
        assert_eq!(answer.status, 400);
        // One with a session and nothing else offers none of the service.
        let mut client = offer_at(server.address(), path, &["stateroom.v1"]).unwrap();
        assert!(client.next_text().starts_with("\0{"));
        client.expect(&["connect 2", "subprotocol is nothing"]);
        // If the session is in the query, the subprotocol is the service's.
        let path = format!("{path}&stateroom.session=");
        let client = offer_at(server.address(), &path, &["chat.v1, chat.v2"]).unwrap();
        assert_eq!(client.protocol(), Some("chat.v2"));
    }
}
