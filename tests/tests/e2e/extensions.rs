//! Rooms that close connections, and ask what clients have brought with them.

use std::{iter, time::Duration};

use stateroom_server_smol::ShutdownPolicy;
use stateroom_tests::{
    Client, Frame, Guest, Message, TestServer, eventually, records, server,
    services::{bouncer, bouncer_guest},
};

/// Returns the same for native services and guests.
fn both() -> [TestServer; 2] {
    [TestServer::new(bouncer()), TestServer::new(bouncer_guest())]
}

/// Lets a client in.
#[track_caller]
fn join(server: &TestServer, room: &str) -> Client {
    server.client(&format!("{room}?token=1"))
}

/// Reads on until the connection is closed, which must be the case after what was sent before.
#[track_caller]
fn is_closed(client: &mut Client, code: u16, reason: &str) {
    assert_eq!(client.message(), Message::Text("before".into()));
    assert_eq!(client.message(), Message::Binary(b"close".into()));
    assert_eq!(client.closed_because(), (code, reason));
}

#[test]
fn a_client_that_is_closed_gets_what_was_sent_before_with_code_and_reason() {
    for server in both() {
        let mut host = join(&server, "room");
        host.expect(&["connect 1"]);
        for (id, code, reason) in [(2, 4000, "go away"), (3, 1000, ""), (4, 3000, "x"), (5, 4999, "no ✓")] {
            let mut client = join(&server, "room");
            host.expect(&[&format!("connect {id}")]);
            client.expect(&[&format!("connect {id}")]);
            host.text(&format!("close {id} {code} {reason}"));
            is_closed(&mut client, code, reason);
            host.expect(&[&format!("disconnect {id}")]);
        }
        // Who has left cannot be closed, nor who never was there.
        host.text("close 2 4000 again");
        host.text("close 99 4000 again");
        assert_eq!(host.ask("still here"), "message 1 still here");
        assert_eq!(server.rooms(), [("room".to_owned(), vec![1])]);
    }
}

#[test]
fn everyone_can_be_closed_and_the_room_lives_on() {
    for server in both() {
        let mut clients: Vec<_> = (0..3).map(|_| join(&server, "room")).collect();
        clients[0].expect(&["connect 1", "connect 2", "connect 3"]);
        clients[1].expect(&["connect 2", "connect 3"]);
        clients[2].expect(&["connect 3"]);
        clients[1].text("close 0 4002 closing time");
        for client in &mut clients {
            is_closed(client, 4002, "closing time");
        }
        server.wait_for_clients(0);
        join(&server, "room").expect(&["connect 4"]);
    }
}

#[test]
fn everyone_but_one_can_be_closed() {
    for server in both() {
        let mut clients: Vec<_> = (0..3).map(|_| join(&server, "room")).collect();
        clients[0].expect(&["connect 1", "connect 2", "connect 3"]);
        clients[1].expect(&["connect 2", "connect 3"]);
        clients[2].expect(&["connect 3"]);
        clients[0].text("close -2 4003 two is the winner");
        is_closed(&mut clients[0], 4003, "two is the winner");
        is_closed(&mut clients[2], 4003, "two is the winner");
        let mut farewells = [clients[1].next_text(), clients[1].next_text()];
        farewells.sort();
        assert_eq!(farewells, ["disconnect 1", "disconnect 3"]);
        assert_eq!(clients[1].ask("alone"), "message 2 alone");
    }
}

#[test]
fn a_client_can_be_turned_away_while_it_connects() {
    for server in both() {
        let mut observer = join(&server, "room");
        observer.expect(&["connect 1"]);
        for id in 2..5 {
            let mut stranger = server.client("room?user=me");
            assert_eq!(stranger.closed_because(), (4001, "where is your token?"));
            // It was never told of, but it had its `connect`, and so has its `disconnect`.
            observer.expect(&[&format!("disconnect {id}")]);
        }
        assert_eq!(observer.ask("done"), "message 1 done");
    }
}

#[test]
fn what_a_client_says_is_not_heard_after_it_has_been_closed() {
    for server in both() {
        let mut observer = join(&server, "room");
        observer.expect(&["connect 1"]);
        let mut client = join(&server, "room");
        observer.expect(&["connect 2"]);
        let mut words = vec![Frame::text("close 2 4000 enough")];
        words.extend((0..200).map(|_| Frame::text("and another thing")));
        client.raw(&words.iter().flat_map(Frame::masked).collect::<Vec<_>>());
        client.expect(&["connect 2"]);
        is_closed(&mut client, 4000, "enough");
        observer.expect(&["disconnect 2"]);
        assert_eq!(observer.ask("silence"), "message 1 silence");
    }
}

#[test]
fn what_waits_for_a_busy_room_is_not_heard_once_its_client_has_been_closed() {
    let source = "#![no_std]
        use stateroom_sdk_core::*;

        /// A service that sends back what it hears; `close` takes a while, and closes everyone else.
        #[stateroom_wasm]
        #[derive(Default)]
        struct Slow(u32);

        impl StateroomService for Slow {
            fn message(&mut self, client: ClientId, message: MessagePayload, ctx: &impl StateroomContext) {
                if message.text() == Some(\"close\") {
                    for n in 0..2_000_000u32 {
                        self.0 = core::hint::black_box(self.0.wrapping_mul(33) ^ n);
                    }
                    ctx.close(MessageRecipient::EveryoneExcept(client), 4000, \"\");
                }
                ctx.send_message(MessageRecipient::Broadcast, message);
            }
        }";
    // Time stands still, so that it may take as long as it likes to read what comes before the end.
    let server = TestServer::with_clock(server(), Guest::new("slow-bouncer", "[]", source).program());
    let (mut one, mut two) = (server.client("room"), server.client("room"));
    assert_eq!(two.ask("here"), "here");
    one.expect(&["here"]);
    // It talks without end, so that something waits whenever the room is busy. As it reads nothing, it is heard until the
    // system keeps no more for it; that is not so many messages if they are long.
    let early = "early".repeat(1_000);
    let frame = Frame::text(&early);
    let sending = two.send_aside(iter::repeat_with(move || frame.clone()));
    one.expect(&[&early]);
    one.text("close");
    let mut count = 1;
    loop {
        match &*one.next_text() {
            text if text == early => count += 1,
            other => break assert_eq!(other, "close"),
        }
    }
    for _ in 0..count {
        assert_eq!(two.next_text(), early);
    }
    assert_eq!(two.closed(), 4000);
    sending.join().expect("it only sends");
    server.wait_for_clients(1);
    assert_eq!(one.ask("silence"), "silence");
}

#[test]
fn a_reason_may_have_123_bytes() {
    for server in both() {
        let mut client = join(&server, "room");
        client.expect(&["connect 1"]);
        let reason = format!("{}x", "é".repeat(61));
        assert_eq!(reason.len(), 123);
        client.text(&format!("close 1 4000 {reason}"));
        is_closed(&mut client, 4000, &reason);
    }
}

#[test]
fn closing_with_a_code_or_a_reason_that_there_is_not_ends_the_room() {
    let long = "x".repeat(124);
    for (kind, server) in ["native", "guest"].into_iter().zip(both()) {
        for (code, reason, why) in [
            (1006, "", "the code 1006; 1000 and 3000 to 4999"),
            (1011, "", "the code 1011; 1000 and 3000 to 4999"),
            (4000, &long, "a reason of 124 bytes; 123 fit"),
        ] {
            let room = format!("closed-{kind}-{code}");
            let (mut one, mut two) = (join(&server, &room), join(&server, &room));
            one.expect(&["connect 1", "connect 2"]);
            two.expect(&["connect 2"]);
            two.text(&format!("close 1 {code} {reason}"));
            if kind == "native" {
                // What a native service has sent is sent.
                one.expect(&["before"]);
                assert_eq!(one.next_binary(), b"close");
            }
            assert_eq!((one.closed(), two.closed()), (1011, 1011));
            let lines = records(&room);
            assert!(lines.iter().any(|line| line.starts_with("ERROR") && line.contains(why)), "{lines:?}");
            join(&server, &room).expect(&["connect 1"]);
        }
    }
}

#[test]
fn a_client_that_does_not_read_is_gone_soon_after_it_has_been_closed() {
    for server in [
        TestServer::with_clock(server().with_outbox_size(16 << 20), bouncer()),
        TestServer::with_clock(server().with_outbox_size(16 << 20), bouncer_guest()),
    ] {
        let mut slow = join(&server, "room");
        slow.expect(&["connect 1"]);
        let mut speaker = join(&server, "room");
        speaker.expect(&["connect 2"]);
        let filler = "x".repeat(10_000);
        for _ in 0..700 {
            assert!(speaker.ask(&filler).ends_with(&filler));
        }
        assert_eq!(server.status()["client_count"], 2, "enough waits for the slow one, but not too much");
        speaker.text("close 1 4000 wake up");
        // The room need not wait for it.
        speaker.expect(&["disconnect 1"]);
        server.pass(Duration::from_secs(1));
        eventually("the server lets go of it", || !slow.takes(&Frame::new(Frame::PONG, [])));
        assert_eq!(speaker.ask("well"), "message 2 well");
    }
}

#[test]
fn a_room_that_closes_its_last_client_is_empty() {
    let server = TestServer::with(server().with_shutdown(ShutdownPolicy::Immediate), bouncer_guest());
    let mut client = join(&server, "room");
    client.expect(&["connect 1"]);
    client.text("close 0 1000 the end");
    is_closed(&mut client, 1000, "the end");
    server.wait_for_rooms(0);
    let mut stranger = server.client("room");
    assert_eq!(stranger.closed_because(), (4001, "where is your token?"));
    server.wait_for_rooms(0);
}

/// Returns what a room learns while a client connects with this query and these headers.
#[track_caller]
fn learns(server: &TestServer, query: &str, headers: &[&str]) -> String {
    let client = Client::connect_with(server.address(), &format!("/ws/room?token=1&{query}"), headers);
    let mut client = client.unwrap_or_else(|answer| panic!("no upgrade: {answer:?}"));
    assert!(client.next_text().starts_with("connect "));
    client.next_text()
}

#[test]
fn a_room_learns_what_the_query_says() {
    for server in both() {
        for (query, answer) in [
            ("ask=query", r#"query is "token=1&ask=query""#),
            ("a=1+2&ask=query:a", r#"query:a is "1 2""#),
            ("a=%E2%9C%93%26&ask=query:a", r#"query:a is "✓&""#),
            ("a=first&ask=query:a&a=second", r#"query:a is "first""#),
            ("%61=b&ask=query%3Aa", r#"query:a is "b""#),
            ("a&ask=query:a", r#"query:a is """#),
            ("a=%ff&ask=query:a", "query:a is nothing"),
            ("A=1&ask=query:a", "query:a is nothing"),
            ("ask=query:a", "query:a is nothing"),
            ("ask=name", "name is nothing"),
            ("ask=", " is nothing"),
        ] {
            assert_eq!(learns(&server, query, &[]), answer, "{query}");
        }
    }
}

#[test]
fn a_room_learns_the_address_of_a_client() {
    for server in both() {
        assert_eq!(learns(&server, "ask=address", &[]), r#"address is "127.0.0.1""#);
    }
}

#[test]
fn a_room_sees_chosen_headers_and_no_others() {
    let chosen = || server().with_client_header("X-User");
    let headers = [
        "Origin: https://localhost",
        "User-Agent: test",
        "Accept-Language: en",
        "Cookie: secret",
        "Authorization: Basic secret",
        "X-User: ada",
        "x-user: also ada",
    ];
    for (x_user, server) in [
        ("nothing", TestServer::new(bouncer())),
        ("nothing", TestServer::new(bouncer_guest())),
        (r#""ada, also ada""#, TestServer::with(chosen(), bouncer())),
        (r#""ada, also ada""#, TestServer::with(chosen(), bouncer_guest())),
    ] {
        for (name, value) in [
            ("origin", r#""https://localhost""#),
            ("user-agent", r#""test""#),
            ("accept-language", r#""en""#),
            ("cookie", "nothing"),
            ("authorization", "nothing"),
            ("host", "nothing"),
            ("x-user", x_user),
            ("Origin", "nothing"),
        ] {
            let answer = learns(&server, &format!("ask=header:{name}"), &headers);
            assert_eq!(answer, format!("header:{name} is {value}"));
        }
        assert_eq!(learns(&server, "ask=header:origin", &[]), "header:origin is nothing");
    }
}

#[test]
fn what_a_client_has_brought_is_forgotten_when_it_has_connected() {
    for server in both() {
        let mut client = server.client("room?token=1&ask=query:token");
        client.expect(&["connect 1", r#"query:token is "1""#]);
        for key in ["query", "query:token", "address", "header:origin"] {
            assert_eq!(client.ask(&format!("ask {key}")), format!("{key} is nothing"));
        }
    }
}

#[test]
fn a_value_for_which_a_room_has_no_space_is_nothing_to_it() {
    for server in both() {
        // The room takes ten bytes.
        join(&server, "room").leave();
        server.client("room?token=0123456789").leave();
        assert_eq!(server.client("room?token=0123456789a").closed(), 4001);
    }
}

#[test]
fn of_a_query_with_thousands_of_parameters_a_hundred_are_decoded() {
    for server in both() {
        let query: String = (2..2_000).map(|number| format!("&{number}=x")).collect();
        assert_eq!(learns(&server, &format!("ask=query:99{query}"), &[]), "query:99 is \"x\"");
        assert_eq!(learns(&server, &format!("ask=query:1999{query}"), &[]), "query:1999 is nothing");
        let same = "&a=1".repeat(3_000);
        assert_eq!(learns(&server, &format!("ask=query:a{same}"), &[]), "query:a is \"1\"");
    }
}
