//! Clients come and go.

use std::time::Duration;

use stateroom_tests::{
    Client, Frame, TestServer, eventually, server,
    services::{Gate, journal, journal_guest, script, script_guest},
};

#[test]
fn ids_count_from_1_in_each_room_and_are_not_reused() {
    for server in [TestServer::new(journal()), TestServer::new(journal_guest())] {
        let mut observer = server.client("one");
        observer.expect(&["connect 1"]);
        for id in 2..=5 {
            let mut client = server.client("one");
            let connect = format!("connect {id}");
            client.expect(&[&connect]);
            client.leave();
            observer.expect(&[&connect, &format!("disconnect {id}")]);
        }
        observer.leave();
        server.wait_for_clients(0);
        // The room is empty, but it lives.
        server.client("one").expect(&["connect 6"]);
        server.client("two").expect(&["connect 1"]);
    }
}

#[test]
fn clients_that_come_at_once_get_ids_of_their_own() {
    let server = TestServer::new(journal());
    let mut observer = server.client("crowd");
    observer.expect(&["connect 1"]);
    let address = server.address();
    let threads: Vec<_> = (0..50)
        .map(|_| std::thread::spawn(move || Client::connect(address, "/ws/crowd").expect("an upgrade")))
        .collect();
    let clients: Vec<_> = threads.into_iter().map(|thread| thread.join().expect("a client")).collect();
    let mut ids: Vec<u32> = (0..50)
        .map(|_| {
            let line = observer.next_text();
            line.strip_prefix("connect ").and_then(|id| id.parse().ok()).expect("a newcomer")
        })
        .collect();
    ids.sort_unstable();
    assert_eq!(ids, (2..=51).collect::<Vec<_>>());
    drop(clients);
}

const INTERVAL: Duration = Duration::from_secs(10);
/// The timeout, which falls between two pings.
const TIMEOUT: Duration = Duration::from_secs(25);

/// Connects a client that says two things and ends as `end` has it: exactly these events must follow. The result of
/// `end` lives until then.
#[track_caller]
fn leaving_is_told_once<T>(end: impl Fn(Client, &TestServer, &mut Client) -> T) {
    let settings = || server().with_heartbeat_interval(INTERVAL).with_heartbeat_timeout(TIMEOUT);
    for server in
        [TestServer::with_clock(settings(), journal()), TestServer::with_clock(settings(), journal_guest())]
    {
        let mut observer = server.client("room");
        observer.expect(&["connect 1"]);
        for id in [2, 3] {
            let mut client = server.client("room");
            client.text("a");
            client.text("b");
            observer.expect(&[
                &format!("connect {id}"),
                &format!("message {id} a"),
                &format!("message {id} b"),
            ]);
            let _end = end(client, &server, &mut observer);
            observer.expect(&[&format!("disconnect {id}")]);
        }
        observer.text("the end");
        observer.expect(&["message 1 the end"]);
        assert_eq!(server.rooms(), [("room".to_owned(), vec![1])]);
    }
}

#[test]
fn disconnect_comes_once_after_a_close_frame() {
    leaving_is_told_once(|client, _, _| client.leave());
}

#[test]
fn disconnect_comes_once_after_a_close_frame_whose_answer_nobody_awaits() {
    leaving_is_told_once(|mut client, _, _| {
        client.frame(&Frame::new(Frame::CLOSE, []));
        client.hang_up();
    });
}

#[test]
fn disconnect_comes_once_after_a_reset() {
    leaving_is_told_once(|client, _, _| client.reset());
}

#[test]
fn disconnect_comes_once_after_an_end_without_a_word() {
    leaving_is_told_once(|client, _, _| client.hang_up());
}

#[test]
fn disconnect_comes_once_after_an_end_within_a_frame() {
    leaving_is_told_once(|mut client, _, _| {
        let frame = Frame::text("never to be finished").masked();
        client.raw(&frame[..frame.len() / 2]);
        client.hang_up();
    });
}

#[test]
fn disconnect_comes_once_after_silence() {
    leaving_is_told_once(|mut client, server, observer| {
        // It has spoken before the first ping, and answers none.
        for _ in 0..3 {
            server.pass(INTERVAL);
            while client.next_frame().expect("a frame").opcode != Frame::PING {}
            observer.text("here");
            observer.expect(&["message 1 here"]);
        }
        server.pass(TIMEOUT - 2 * INTERVAL);
        client
    });
}

#[test]
fn disconnect_comes_once_after_a_breach_of_the_protocol() {
    leaving_is_told_once(|mut client, _, _| {
        client.raw(&Frame::text("unmasked").unmasked());
        while client.next_frame().is_some() {}
    });
}

#[test]
fn what_was_said_before_a_close_frame_is_heard_before_disconnect() {
    for server in [TestServer::new(journal()), TestServer::new(journal_guest())] {
        let mut observer = server.client("room");
        let mut client = server.client("room");
        observer.expect(&["connect 1", "connect 2"]);
        let mut bytes = Vec::new();
        for number in 0..500 {
            bytes.extend(Frame::text(&number.to_string()).masked());
        }
        bytes.extend(Frame::close(1000).masked());
        client.raw(&bytes);
        for number in 0..500 {
            observer.expect(&[&format!("message 2 {number}")]);
        }
        observer.expect(&["disconnect 2"]);
    }
}

#[test]
fn what_is_said_after_a_close_frame_is_not_heard() {
    let server = TestServer::new(journal());
    let mut observer = server.client("room");
    let mut client = server.client("room");
    observer.expect(&["connect 1", "connect 2"]);
    let words = [Frame::text("before"), Frame::close(1000), Frame::text("after")];
    client.raw(&words.iter().flat_map(Frame::masked).collect::<Vec<_>>());
    observer.expect(&["message 2 before", "disconnect 2"]);
    observer.text("the end");
    observer.expect(&["message 1 the end"]);
}

#[test]
fn words_that_come_with_the_handshake_are_heard_after_connect() {
    use std::{
        io::{Read as _, Write as _},
        net::TcpStream,
    };
    let server = TestServer::new(journal());
    let mut observer = server.client("room");
    observer.expect(&["connect 1"]);
    let mut hasty = TcpStream::connect(server.address()).expect("a connection");
    let mut bytes =
        b"GET /ws/room HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
        Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
            .to_vec();
    bytes.extend(Frame::text("one").masked());
    bytes.extend(Frame::text("two").masked());
    hasty.write_all(&bytes).expect("a request");
    observer.expect(&["connect 2", "message 2 one", "message 2 two"]);
    assert!(hasty.read(&mut [0; 1024]).expect("an answer") > 0);
}

#[test]
fn a_client_that_has_left_is_sent_nothing() {
    for server in [TestServer::new(script()), TestServer::new(script_guest())] {
        let mut observer = server.client("room");
        server.client("room").leave();
        server.wait_for_clients(1);
        for command in ["to 2 hello", "to 99 hello", "except 2 still here", "broadcast and well"] {
            observer.text(command);
        }
        observer.expect(&["still here", "and well"]);
        assert_eq!(observer.ask("nothing else"), "nothing else");
    }
}

/// A way in which a client goes.
const WAYS: [fn(Client); 3] = [Client::reset, Client::hang_up, |mut client| {
    client.text("nobody will hear this");
    client.hang_up();
}];

/// Connects a client as soon as there is a place for one.
fn next_client(server: &TestServer, room: &str) -> Client {
    let mut client = None;
    eventually("there is a place", || {
        client = server.connect(&format!("/ws/{room}")).ok();
        client.is_some()
    });
    client.expect("it is there")
}

#[test]
fn the_room_never_hears_of_who_goes_before_connect_has_begun() {
    for threads in [1, 2] {
        let gate = Gate::default();
        let server = server().with_max_connections(2).with_threads(threads);
        let server = TestServer::with_clock(server, gate.clone());
        let mut busy = server.client("room");
        busy.text("!");
        gate.wait_for_computing(1);
        // There is a place for one at a time.
        for way in WAYS.into_iter().cycle().take(30) {
            way(next_client(&server, "room"));
        }
        let mut last = next_client(&server, "room");
        last.text("hello");
        // It still listens.
        last.end_sending();
        gate.open();
        busy.expect(&["!"]);
        last.expect(&["hello"]);
        gate.wait_for_clients(2, 1);
    }
}

#[test]
fn who_has_gone_takes_no_place_though_disconnect_waits_for_the_room() {
    for way in WAYS {
        let gate = Gate::default();
        let server = TestServer::with_clock(server().with_max_connections(4), gate.clone());
        let [silent, mut speaker, mut busy] = [(); 3].map(|()| server.client("room"));
        for client in [&mut speaker, &mut busy] {
            assert_eq!(client.ask("hello"), "hello");
        }
        busy.text("!");
        gate.wait_for_computing(1);
        speaker.text("its event is to come");
        way(silent);
        way(speaker);
        way(busy);
        let others = [(); 4].map(|()| next_client(&server, "other"));
        gate.wait_for_clients(7, 0);
        gate.open();
        gate.wait_for_clients(7, 3);
        drop(others);
    }
}
