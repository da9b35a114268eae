//! Sessions that continue on another connection: `docs/reference/sessions.md`.

mod cuts;
#[cfg(unix)]
mod durable;
mod limits;
mod program;
mod shutdown;

use std::time::Duration;

use serde_json::{Value, json};
use stateroom_sdk_core::{
    ClientId, DefaultStateroomFactory, MessagePayload, StateroomContext, StateroomService,
};
use stateroom_server_smol::Server;
use stateroom_tests::{
    Client, Frame, Message, TestServer, eventually, server,
    services::{Gate, journal, script},
};

const TOKEN: &str = "0123456789abcdefghij_-";
const OTHER: &str = "another-token-of-a-client";
const WINDOW: Duration = Duration::from_secs(30);
const MOMENT: Duration = Duration::from_millis(1);

/// Opens a connection of a session, whose client has received so many messages.
#[track_caller]
fn open(server: &TestServer, token: &str, received: u64) -> Client {
    let offered = format!("Sec-WebSocket-Protocol: stateroom.v1, stateroom.session.{token}.{received}");
    let client = Client::connect_with(server.address(), "/ws/room", &[&offered]);
    let client = client.unwrap_or_else(|answer| panic!("no upgrade: {answer:?}"));
    assert_eq!(client.protocol(), Some("stateroom.v1"));
    client
}

/// Returns the control message that comes next, without its U+0000.
#[track_caller]
fn control(client: &mut Client) -> String {
    let text = client.next_text();
    text.strip_prefix('\0').unwrap_or_else(|| panic!("this is no control message: {text:?}")).to_owned()
}

#[track_caller]
fn greeting(client: &mut Client) -> Value {
    serde_json::from_str(&control(client)).expect("a greeting is JSON")
}

/// Begins a session. Returns its client, and the client's id.
#[track_caller]
fn begin(server: &TestServer, token: &str) -> (Client, u64) {
    let mut client = open(server, token, 0);
    let greeting = greeting(&mut client);
    assert_eq!(greeting["resumed"], false, "{greeting}");
    (client, greeting["client"].as_u64().expect("a number"))
}

/// Resumes a session of a client that has received so many messages. Returns how many the room has received from it.
#[track_caller]
fn resume(server: &TestServer, token: &str, received: u64) -> (Client, u64) {
    let mut client = open(server, token, received);
    let greeting = greeting(&mut client);
    assert_eq!(greeting["resumed"], true, "{greeting}");
    (client, greeting["received"].as_u64().expect("a number"))
}

fn settings() -> Server {
    server().with_resume(WINDOW)
}

#[test]
fn a_client_that_comes_back_keeps_its_id_and_gets_what_it_missed() {
    for threads in [1, 2] {
        let server = TestServer::with_clock(settings().with_threads(threads), journal());
        let mut other = server.client("room");
        other.expect(&["connect 1"]);
        assert_eq!(other.protocol(), None);
        let (mut client, id) = begin(&server, TOKEN);
        assert_eq!(id, 2);
        client.expect(&["connect 2"]);
        other.expect(&["connect 2"]);
        client.text("a");
        client.expect(&["message 2 a"]);
        client.hang_up();
        other.text("b");
        other.expect(&["message 2 a", "message 1 b"]);
        server.pass(WINDOW - MOMENT);
        let (mut client, received) = resume(&server, TOKEN, 2);
        assert_eq!(received, 1);
        client.expect(&["message 1 b"]);
        client.text("c");
        client.expect(&["message 2 c"]);
        // It has received three, and now comes back from a reset.
        client.reset();
        other.expect(&["message 2 c"]);
        server.pass(WINDOW - MOMENT);
        let (mut client, received) = resume(&server, TOKEN, 3);
        assert_eq!(received, 2);
        client.expect(&["message 2 c"]);
        assert!(client.is_quiet());
    }
}

#[test]
fn the_greeting_says_what_a_client_needs_to_know() {
    let server = TestServer::with_clock(settings().with_session_buffer(10_000), script());
    let mut client = open(&server, TOKEN, 0);
    let expected = json!({
        "session": TOKEN, "client": 1, "resumed": false, "received": 0, "window": 30_000, "buffer": 10_000,
    });
    assert_eq!(greeting(&mut client), expected);
    assert_eq!(client.ask("hello"), "hello");
    client.hang_up();
    let mut client = open(&server, TOKEN, 1);
    let expected = json!({
        "session": TOKEN, "client": 1, "resumed": true, "received": 1, "window": 30_000, "buffer": 10_000,
    });
    assert_eq!(greeting(&mut client), expected);
}

/// Sends `welcome` to each client, and counts.
#[derive(Debug, Default)]
struct Welcoming(u32);

impl StateroomService for Welcoming {
    fn connect(&mut self, client: ClientId, ctx: &impl StateroomContext) {
        ctx.send_message(client, "welcome");
    }

    fn message(&mut self, client: ClientId, _: MessagePayload<'_>, ctx: &impl StateroomContext) {
        self.0 += 1;
        ctx.send_message(client, format!("new value: {}", self.0));
    }
}

#[test]
fn the_example_of_the_documents_happens() {
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/reference/sessions.md"));
    let page = page.expect("the page is there");
    let example =
        page.split("```text\n").nth(1).and_then(|rest| rest.split("```").next()).expect("an example");
    let server = TestServer::with_clock(settings(), DefaultStateroomFactory::<Welcoming>::default());
    // The client has the id 3.
    let _others = [server.client("lobby"), server.client("lobby")];
    let mut client: Option<Client> = None;
    let mut steps = 0;
    for line in example.lines() {
        let (who, what) = line.split_at(9);
        let (what, note) = what.split_once("    ").map_or((what, ""), |(what, note)| (what, note.trim()));
        let what = what.replace('␀', "\0");
        match (who.trim(), &mut client, what.strip_prefix("GET /ws/lobby, ")) {
            ("client", _, Some(header)) => {
                client = Client::connect_with(server.address(), "/ws/lobby", &[header]).ok();
            }
            ("client", Some(client), None) => client.text(&what),
            ("server", Some(client), _) if what.starts_with("101") => {
                assert_eq!(client.protocol(), what.rsplit(' ').next());
            }
            ("server", lost @ Some(_), _) if note.contains("lost") => *lost = None,
            ("server", Some(client), _) => assert_eq!(client.next_text(), what),
            _ => panic!("{line}"),
        }
        steps += 1;
    }
    assert_eq!(steps, 11, "all lines were read");
}

#[test]
fn a_client_that_does_not_come_back_in_time_leaves_the_room() {
    let server = TestServer::with_clock(settings(), journal());
    let mut other = server.client("room");
    let (client, _) = begin(&server, TOKEN);
    other.expect(&["connect 1", "connect 2"]);
    client.hang_up();
    // The server has to notice that before the time begins.
    eventually("the client leaves", || {
        server.pass(WINDOW);
        server.stats().clients == 1
    });
    other.expect(&["disconnect 2"]);
    let (mut client, id) = begin(&server, TOKEN);
    assert_eq!(id, 3);
    client.expect(&["connect 3"]);
    other.expect(&["connect 3"]);
}

#[test]
fn a_new_connection_replaces_a_stale_one_at_once() {
    let server = TestServer::with_clock(settings(), journal());
    let (mut stale, _) = begin(&server, TOKEN);
    stale.expect(&["connect 1"]);
    stale.text("a");
    stale.expect(&["message 1 a"]);
    let (mut client, received) = resume(&server, TOKEN, 1);
    assert_eq!(received, 1);
    client.expect(&["message 1 a"]);
    assert_eq!(stale.closed_because(), (1008, "the session continues on another connection"));
    client.text("b");
    client.expect(&["message 1 b"]);
}

#[test]
fn a_connection_that_arrives_late_does_not_replace_a_newer_one() {
    let server = TestServer::with_clock(settings(), journal());
    let open = |attempt: u64| open(&server, &format!("{TOKEN}.0.{attempt}"), 2);
    let mut client = open(2);
    assert_eq!(greeting(&mut client)["resumed"], false);
    client.expect(&["connect 1"]);
    assert_eq!(open(1).closed(), 1008);
    client.text("a");
    client.expect(&["message 1 a"]);
    let mut newer = open(3);
    assert_eq!(greeting(&mut newer)["resumed"], true);
    assert_eq!(client.closed(), 1008);
    assert_eq!(open(2).closed(), 1008);
    newer.expect(&["connect 1", "message 1 a"]);
    assert!(newer.is_quiet());
}

#[test]
fn a_session_continues_before_any_message_was_received() {
    let server = TestServer::with_clock(settings(), journal());
    let mut other = server.client("room");
    other.expect(&["connect 1"]);
    // It has not even received the greeting.
    open(&server, TOKEN, 0).hang_up();
    other.expect(&["connect 2"]);
    // For the client, the session begins now. For the room, it has begun.
    let mut client = open(&server, &format!("{TOKEN}.0.1"), 1);
    let first = greeting(&mut client);
    assert_eq!((&first["resumed"], &first["client"]), (&json!(false), &json!(2)));
    client.expect(&["connect 2"]);
    client.text("a");
    client.expect(&["message 2 a"]);
    other.expect(&["message 2 a"]);
    client.hang_up();
    let mut client = open(&server, &format!("{TOKEN}.2.2"), 1);
    let again = greeting(&mut client);
    assert_eq!((&again["resumed"], &again["received"]), (&json!(true), &json!(1)));
    assert!(other.is_quiet());
}

#[test]
fn what_a_client_has_received_in_another_session_does_not_count() {
    let server = TestServer::with_clock(settings(), journal());
    // It has received 1 message in a session that has ended, and does not receive the greeting of the next one.
    open(&server, &format!("{TOKEN}.1.7"), 0).hang_up();
    let mut client = open(&server, &format!("{TOKEN}.1.8"), 0);
    assert_eq!(greeting(&mut client)["resumed"], false);
    client.expect(&["connect 1"]);
}

#[test]
fn a_client_knows_how_many_of_its_messages_the_room_has_received() {
    let server = TestServer::with_clock(settings(), script());
    let (mut client, _) = begin(&server, TOKEN);
    for number in 1..=64 {
        assert_eq!(client.ask("hello"), "hello");
        if number % 32 == 0 {
            assert_eq!(control(&mut client), number.to_string());
        }
    }
    let large = "x".repeat(32 << 10);
    assert_eq!(client.ask(&large), large);
    assert_eq!(control(&mut client), "65");
    // The rest of a message that did not come is not received.
    client.text("hello");
    let half = Frame::text("half").masked();
    client.raw(&half[..half.len() - 1]);
    client.expect(&["hello"]);
    client.hang_up();
    let (mut client, received) = resume(&server, TOKEN, 66);
    assert_eq!(received, 66);
    assert_eq!(client.ask("half"), "half");
}

#[test]
fn the_code_4999_keeps_the_session_and_others_end_it() {
    let server = TestServer::with_clock(settings(), journal());
    let mut other = server.client("room");
    other.expect(&["connect 1"]);
    let (mut client, _) = begin(&server, TOKEN);
    other.expect(&["connect 2"]);
    client.expect(&["connect 2"]);
    client.frame(&Frame::close(4999));
    assert_eq!(client.message(), Message::Close(4999));
    let (mut client, _) = resume(&server, TOKEN, 1);
    client.text("a");
    client.expect(&["message 2 a"]);
    other.expect(&["message 2 a"]);
    client.leave();
    other.expect(&["disconnect 2"]);
    let (_client, id) = begin(&server, TOKEN);
    assert_eq!(id, 3);
}

#[test]
fn a_client_that_breaks_the_protocol_ends_its_session() {
    let server = TestServer::with_clock(settings(), journal());
    let mut other = server.client("room");
    other.expect(&["connect 1"]);
    for (id, sent) in [(2, "\0"), (3, "\0{\"within\":1}"), (4, "\0-1")] {
        let (mut client, _) = begin(&server, TOKEN);
        client.expect(&[&format!("connect {id}")]);
        client.text(sent);
        assert_eq!(client.closed(), 1002);
        other.expect(&[&format!("connect {id}"), &format!("disconnect {id}")]);
    }
}

#[test]
fn texts_that_look_like_control_messages_arrive_as_they_are() {
    let server = TestServer::with_clock(settings(), script());
    let (mut client, _) = begin(&server, TOKEN);
    let mut plain = server.client("room");
    for text in ["\0", "\x0017", "\0\0", "\0{\"session\":1}"] {
        // As the protocol has it, with one more.
        assert_eq!(client.ask(&format!("\0{text}")), format!("\0{text}"));
        assert_eq!(plain.ask(text), text, "plain clients notice nothing");
        plain.text(&format!("broadcast {text}"));
        assert_eq!(client.next_text(), format!("\0{text}"));
        assert_eq!(plain.next_text(), text);
    }
    let large = format!("\0{}", "x".repeat(70_000));
    plain.text(&format!("to 1 {large}"));
    assert_eq!(client.next_text(), format!("\0{large}"));
    client.binary(b"\x0017");
    assert_eq!(client.next_binary(), b"\x0017");
    // They are kept in the same form.
    plain.text("to 1 \0last");
    assert_eq!(client.next_text(), "\0\0last");
    client.hang_up();
    let (mut client, received) = resume(&server, TOKEN, 10);
    assert_eq!(received, 5);
    assert_eq!(client.next_text(), "\0\0last");
}

#[test]
fn the_query_asks_for_a_session_as_well() {
    let server = TestServer::with_clock(settings(), journal());
    let open =
        |session: &str| server.connect(&format!("/ws/room?name=Ada&stateroom.session={session}")).unwrap();
    let mut client = open("");
    assert_eq!(client.protocol(), None, "none was offered");
    let first = greeting(&mut client);
    let token = first["session"].as_str().unwrap();
    client.expect(&["connect 1"]);
    client.hang_up();
    let mut client = open(&format!("{token}.0"));
    assert_eq!(greeting(&mut client)["resumed"], true);
    client.expect(&["connect 1"]);
}

#[test]
fn what_is_no_session_is_refused_with_a_reason() {
    let server = TestServer::with_clock(settings(), script());
    for session in ["short", "0123456789abcdef.x", "0123456789abcdef.-1", "0123456789abcde%C3%A9"] {
        let answer = server.connect(&format!("/ws/room?stateroom.session={session}")).unwrap_err();
        assert_eq!(answer.status, 400, "{session}");
        assert!(String::from_utf8(answer.body).unwrap().contains("TOKEN.RECEIVED.ATTEMPT.BEGUN"));
    }
    let header = "Sec-WebSocket-Protocol: stateroom.v1, stateroom.session.short";
    let answer = Client::connect_with(server.address(), "/ws/room", &[header]).unwrap_err();
    assert_eq!(answer.status, 400);
    // Who offers others gets none of them.
    let header = "Sec-WebSocket-Protocol: chat, stateroom.session.short";
    let client = Client::connect_with(server.address(), "/ws/room", &[header]).unwrap();
    assert_eq!(client.protocol(), None);
    assert_eq!(server.rooms().len(), 1);
}

#[test]
fn a_room_that_ends_ends_the_sessions_that_wait() {
    let server = TestServer::with_clock(settings(), script());
    let (mut client, _) = begin(&server, TOKEN);
    assert_eq!(client.ask("count"), "1");
    client.hang_up();
    let mut other = server.client("room");
    other.text("panic now");
    other.expect(&["about to panic"]);
    assert_eq!(other.closed(), 1011);
    let (mut client, id) = begin(&server, TOKEN);
    assert_eq!((client.ask("count"), id), ("1".to_owned(), 1), "it is a new room");
}

#[test]
fn a_room_waits_for_the_clients_that_it_may_still_have() {
    let settings = settings().with_shutdown(stateroom_server_smol::ShutdownPolicy::Immediate);
    let server = TestServer::with_clock(settings, script());
    let (mut client, _) = begin(&server, TOKEN);
    assert_eq!(client.ask("count"), "1");
    client.hang_up();
    server.pass(WINDOW - MOMENT);
    let (mut client, _) = resume(&server, TOKEN, 1);
    assert_eq!(client.ask("count"), "2");
    client.leave();
    server.wait_for_rooms(0);
}

#[test]
fn a_client_comes_back_while_the_room_is_busy_with_its_message() {
    let gate = Gate::default();
    let server = TestServer::with_clock(settings(), gate.clone());
    let (mut client, _) = begin(&server, TOKEN);
    client.text("!");
    gate.wait_for_computing(1);
    // It does not know whether that has arrived, and waits for the answer on another connection.
    let mut client_again = open(&server, TOKEN, 0);
    gate.open();
    assert_eq!(greeting(&mut client_again)["received"], 1);
    client_again.expect(&["!"]);
    gate.wait_for_clients(1, 0);
    assert_eq!(client.closed(), 1008);
}

#[test]
fn a_client_that_has_confirmed_more_than_it_says_begins_anew() {
    let server = TestServer::with_clock(settings(), journal());
    let (mut client, _) = begin(&server, TOKEN);
    client.expect(&["connect 1"]);
    client.text("\u{0}1");
    client.text("a");
    client.expect(&["message 1 a"]);
    // The server has not kept the first message.
    let (mut client, id) = begin(&server, TOKEN);
    assert_eq!(id, 2);
    client.expect(&["connect 2", "disconnect 1"]);
}

#[test]
fn a_session_that_has_ended_begins_anew_at_once() {
    let server = TestServer::with_clock(settings(), journal());
    let (mut client, _) = begin(&server, TOKEN);
    client.expect(&["connect 1"]);
    // It says goodbye, and keeps its end of the connection open.
    client.frame(&Frame::close(1000));
    assert_eq!(client.message(), Message::Close(1000));
    let (mut again, id) = begin(&server, TOKEN);
    assert_eq!(id, 2);
    again.expect(&["connect 2"]);
}

#[test]
fn without_time_to_wait_sessions_end_with_their_connections() {
    let server = TestServer::with_clock(settings().with_resume(Duration::ZERO), journal());
    let mut other = server.client("room");
    let (mut stale, _) = begin(&server, TOKEN);
    other.expect(&["connect 1", "connect 2"]);
    // A connection that has not ended can be replaced.
    let (client, _) = resume(&server, TOKEN, 0);
    stale.expect(&["connect 2"]);
    assert_eq!(stale.closed(), 1008);
    client.hang_up();
    other.expect(&["disconnect 2"]);
}

#[test]
fn a_client_that_was_silent_for_too_long_may_come_back() {
    let settings = settings().with_heartbeat_timeout(Duration::from_secs(60));
    let server = TestServer::with_clock(settings, journal());
    let (mut client, _) = begin(&server, TOKEN);
    client.expect(&["connect 1"]);
    server.pass(Duration::from_secs(60));
    while !matches!(client.message(), Message::Close(1001)) {}
    let (mut client, received) = resume(&server, TOKEN, 1);
    assert_eq!(received, 0);
    client.text("a");
    client.expect(&["message 1 a"]);
}
