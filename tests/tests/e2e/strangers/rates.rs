use std::time::Duration;

use stateroom_server_smol::AdminAddress;
use stateroom_tests::{
    Answer, Client, Frame, Message, TestServer, eventually, records_with, request, server, services::script,
};

/// Returns a metric of a server, or 0 if it is not there.
#[track_caller]
fn metric(server: &TestServer, name: &str) -> f64 {
    let Some(AdminAddress::Tcp(address)) = server.handle().admin_address() else { panic!("it has none") };
    let answer = request(*address, "GET", "/metrics", &[]);
    let text = answer.text();
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.map_or(0.0, |number| number.parse().expect("a number"))
}

fn watched() -> stateroom_server_smol::Server {
    server().with_admin(Some("127.0.0.1:0".parse().expect("an address")))
}

/// Sends so many texts at once, and reads as many answers.
#[track_caller]
fn echo(client: &mut Client, count: usize) {
    client.raw(&Frame::text("hello").masked().repeat(count));
    (0..count).for_each(|_| assert_eq!(client.next_text(), "hello"));
}

#[test]
fn a_client_that_sends_messages_too_fast_is_closed_and_nobody_else() {
    let server = TestServer::with_clock(watched().with_message_rate(10), script());
    let (mut fast, mut slow) = (server.client("room"), server.client("room"));
    echo(&mut fast, 100);
    echo(&mut slow, 90);
    fast.text("hello");
    assert_eq!(fast.closed_because(), (1008, "the client sends messages too fast"));
    echo(&mut slow, 10);
    // Tokens come with the time, and no more than a burst.
    server.pass(Duration::from_millis(500));
    echo(&mut slow, 5);
    server.pass(Duration::from_secs(60));
    echo(&mut slow, 100);
    slow.text("hello");
    assert_eq!(slow.closed(), 1008);
    let name = "stateroom_closed_connections_total{reason=\"too_many_messages\"}";
    eventually("both are counted", || metric(&server, name) == 2.0);
    eventually("the log says so", || {
        server.pass(Duration::from_millis(100));
        !records_with("they sent messages too fast (`--message-rate`)").is_empty()
    });
}

#[test]
fn pings_count_as_messages_and_answers_to_pings_do_not() {
    let server = TestServer::with_clock(server().with_message_rate(1), script());
    let mut client = server.client("room");
    (0..50).for_each(|_| client.frame(&Frame::new(Frame::PONG, "")));
    (0..9).for_each(|_| client.frame(&Frame::new(Frame::PING, "")));
    assert_eq!(client.ask("hello"), "hello");
    client.frame(&Frame::new(Frame::PING, ""));
    assert_eq!(client.closed(), 1008);
}

#[test]
fn a_client_that_sends_data_too_fast_is_closed_and_nobody_else() {
    let server = watched().with_byte_rate(1_000).with_message_size(1_000);
    let server = TestServer::with_clock(server, script());
    let (mut fast, mut slow) = (server.client("room"), server.client("room"));
    // With its head, each takes 1,008 bytes.
    let large = "x".repeat(1_000);
    for client in [&mut fast, &mut slow] {
        (0..9).for_each(|_| assert!(client.ask(&large) == large));
    }
    fast.text(&large);
    assert_eq!(fast.closed_because(), (1008, "the client sends data too fast"));
    server.pass(Duration::from_secs(1));
    assert!(slow.ask(&large) == large);
    // What is no message counts, too.
    let mut client = server.client("room");
    let fragment = Frame { fin: false, ..Frame::new(Frame::CONTINUATION, "") };
    client.frame(&Frame { fin: false, ..Frame::text("") });
    client.try_raw(&fragment.masked().repeat(2_000));
    assert_eq!(client.message(), Message::Close(1008));
    let name = "stateroom_closed_connections_total{reason=\"too_many_bytes\"}";
    eventually("both are counted", || metric(&server, name) == 2.0);
}

#[test]
fn two_of_the_largest_messages_can_be_sent_at_any_rate() {
    let server = server().with_byte_rate(1).with_message_size(100_000);
    let server = TestServer::with_clock(server, script());
    let mut client = server.client("room");
    let large = "x".repeat(99_000);
    (0..2).for_each(|_| assert!(client.ask(&large) == large));
    client.text(&large);
    assert_eq!(client.closed(), 1008);
}

#[test]
fn a_resumable_session_is_limited_and_its_confirmations_are_not() {
    let server = TestServer::with_clock(server().with_message_rate(1), script());
    let session = "Sec-WebSocket-Protocol: stateroom.v1, stateroom.session.token-of-a-client";
    let connect = || Client::connect_with(server.address(), "/ws/room", &[session]).expect("an upgrade");
    let mut client = connect();
    assert!(client.next_text().contains(r#""resumed":false"#));
    for number in 1..=10 {
        assert_eq!(client.ask("hello"), "hello");
        client.text(&format!("\0{number}"));
    }
    client.text("hello");
    assert_eq!(client.closed(), 1008);
    // The session has ended.
    assert!(connect().next_text().contains(r#""resumed":false"#));
}

/// Asks for a room without a WebSocket.
#[track_caller]
fn knock(server: &TestServer) -> Answer {
    server.get("/ws/room")
}

#[test]
fn rooms_are_asked_for_at_a_rate_from_each_address() {
    for threads in [1, 2] {
        let server = TestServer::with_clock(watched().with_join_rate(2).with_threads(threads), script());
        let mut clients: Vec<_> = (0..19).map(|number| server.client(&number.to_string())).collect();
        // A plain request, with which a page finds out why it gets no WebSocket, counts as well.
        assert_eq!(knock(&server).status, 426);
        let refused = knock(&server);
        assert_eq!((refused.status, refused.header("retry-after")), (429, Some("1")));
        assert!(refused.text().contains("your address"), "{refused:?}");
        // Those who are there, and all other requests, are not affected.
        clients.iter_mut().for_each(|client| assert_eq!(client.ask("hello"), "hello"));
        assert_eq!((server.get("/status").status, server.post("/ws/new").status), (200, 201));
        server.pass(Duration::from_millis(500));
        drop(server.client("room"));
        assert_eq!(server.connect("/ws/room").expect_err("it is one too many").status, 429);
        eventually("they are counted", || {
            metric(&server, "stateroom_refused_requests_total{reason=\"joins\"}") >= 2.0
        });
    }
}

#[test]
fn a_room_has_only_so_many_clients() {
    for threads in [1, 2] {
        let server = watched().with_max_clients_per_room(Some(2)).with_threads(threads);
        let server = TestServer::with(server, script());
        for room in ["a", "b"] {
            let (mut first, mut second) = (server.client(room), server.client(room));
            assert_eq!((first.ask("hello"), second.ask("hello")), ("hello".into(), "hello".into()));
            let mut third = server.client(room);
            assert_eq!(third.closed_because(), (1013, "the room is full; come again later"));
            first.leave();
            eventually("there is a place again", || {
                let mut next = server.client(room);
                next.text("hello");
                next.message() == Message::Text("hello".to_owned())
            });
            assert_eq!(second.ask("hello"), "hello");
        }
        let name = "stateroom_closed_connections_total{reason=\"room_full\"}";
        eventually("they are counted", || metric(&server, name) >= 2.0);
    }
}

#[test]
fn a_session_that_waits_has_its_place_in_the_room() {
    let server = server().with_max_clients_per_room(Some(1));
    let server = TestServer::with(server, script());
    let session = "Sec-WebSocket-Protocol: stateroom.v1, stateroom.session.token-of-a-client";
    let connect = || Client::connect_with(server.address(), "/ws/room", &[session]).expect("an upgrade");
    let mut client = connect();
    assert!(client.next_text().contains(r#""resumed":false"#));
    client.hang_up();
    assert_eq!(server.client("room").closed(), 1013);
    assert!(connect().next_text().contains(r#""resumed":true"#));
}

#[test]
fn who_floods_does_not_slow_others_down_and_is_gone() {
    let server = TestServer::with(server().with_message_rate(100), script());
    let mut good = server.client("room");
    let crowd: Vec<_> = (0..8).map(|_| server.client("room")).collect();
    let flood: Vec<_> =
        crowd.iter().map(|client| client.send_aside((0..5_000).map(|_| Frame::text("hello")))).collect();
    (0..100).for_each(|_| assert_eq!(good.ask("hello"), "hello"));
    flood.into_iter().for_each(|sender| sender.join().expect("it does not matter how"));
    for mut client in crowd {
        loop {
            match client.message() {
                Message::Text(_) => {}
                Message::Close(code) => break assert_eq!(code, 1008),
                // What it still sent has reset the connection.
                Message::End => break,
                other => panic!("{other:?}"),
            }
        }
    }
    server.wait_for_clients(1);
}
