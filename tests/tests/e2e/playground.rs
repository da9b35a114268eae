//! The stream of events that a playground listens to.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    net::TcpStream,
    time::Duration,
};

use rustix::net::sockopt::set_socket_recv_buffer_size;
use serde_json::Value;
use stateroom_server_smol::{Notices, Playground, Server};
use stateroom_tests::{
    TestServer, eventually, server,
    services::{Gate, script_guest},
};

/// The time that a room is idle before it hibernates. It is longer than a stream is silent.
const AFTER: Duration = Duration::from_secs(15);

/// A stream of server-sent events.
struct Stream(BufReader<TcpStream>);

impl Stream {
    fn of(server: &TestServer, path: &str) -> Self {
        let mut stream = TcpStream::connect(server.address()).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
        let mut stream = Self(BufReader::new(stream));
        assert_eq!(stream.line().as_deref(), Some("HTTP/1.1 200 OK"));
        stream
    }

    /// Returns the next line, or nothing at the end.
    fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        (self.0.read_line(&mut line).unwrap() > 0).then(|| line.trim_end().to_owned())
    }

    /// Returns what the next record of the room is of: an event, or a state.
    fn record(&mut self) -> String {
        loop {
            let line = self.line().expect("the stream goes on");
            if let Some(data) = line.strip_prefix("data: {") {
                let record: Value = serde_json::from_str(&format!("{{{data}")).unwrap();
                let of = record["event"].as_str().or_else(|| record["state"].as_str());
                return of.expect("it is a record").to_owned();
            }
        }
    }
}

fn settings() -> Server {
    let server = server().with_hibernate_after(AFTER).with_heartbeat_interval(Duration::ZERO);
    let server = server.with_heartbeat_timeout(Duration::ZERO);
    server.with_playground(Some(Playground::new(&[]).with_public(true)))
}

#[test]
fn a_page_sees_a_room_hibernate_and_wake() {
    let server = TestServer::with_clock(settings(), script_guest());
    let mut page = Stream::of(&server, "/_/events?room=attic");
    let mut client = server.client("attic");
    client.ask("count");
    for expected in ["began", "init", "connect", "message"] {
        assert_eq!(page.record(), expected);
    }
    for _ in 0..3 {
        eventually("the room hibernates", || {
            server.pass(AFTER);
            server.stats().hibernating_rooms == 1
        });
        client.ask("count");
        for expected in ["hibernates", "wakes", "message"] {
            assert_eq!(page.record(), expected);
        }
    }
}

#[test]
fn a_room_stays_silent_for_those_who_listen_to_another() {
    let server = TestServer::with(settings(), script_guest());
    let mut page = Stream::of(&server, "/_/events?room=attic");
    server.client("cellar").ask("count");
    assert_eq!(server.post("/_/rooms/attic").status, 201);
    assert_eq!(page.record(), "began");
    // Whoever comes later hears what happens from then on.
    let mut late = Stream::of(&server, "/_/events?room=attic");
    (0..2).for_each(|_| _ = server.client("attic").ask("count"));
    assert!(["connect", "message", "disconnect"].contains(&&*late.record()));
}

#[test]
fn whoever_comes_in_the_middle_of_an_event_takes_nothing_from_others() {
    let gate = Gate::default();
    let server = TestServer::with(settings(), gate.clone());
    let mut early = Stream::of(&server, "/_/events?room=attic");
    let mut client = server.client("attic");
    client.text("!message");
    gate.wait_for_computing(1);
    let mut late = Stream::of(&server, "/_/events?room=attic");
    // The thread of the room has heard of the second one by then.
    server.stats();
    gate.open();
    client.expect(&["!message"]);
    for expected in ["began", "init", "connect", "message"] {
        assert_eq!(early.record(), expected);
    }
    assert_eq!(late.record(), "message");
}

#[test]
fn a_page_that_does_not_read_delays_neither_the_room_nor_the_end() {
    let server = TestServer::with_clock(settings(), script_guest());
    let page = Stream::of(&server, "/_/events?room=attic");
    let mut client = server.client("attic");
    set_socket_recv_buffer_size(page.0.get_ref(), 8 << 10).unwrap();
    // More than the system keeps of a connection, and what waits.
    for _ in 0..3_000 {
        client.ask(&format!("echo {}", "a".repeat(1_000)));
    }
    client.leave();
    assert!(server.stop() < Duration::from_secs(1));
    drop(page);
}

#[test]
fn a_room_that_fails_is_told_to_have_ended_after_its_last_event() {
    let server = TestServer::with(settings(), script_guest());
    let mut page = Stream::of(&server, "/_/events?room=attic");
    let mut client = server.client("attic");
    client.text("panic");
    assert_eq!(client.closed(), 1011);
    for expected in ["began", "init", "connect", "message", "ended"] {
        assert_eq!(page.record(), expected);
    }
}

#[test]
fn there_are_only_so_many_streams_and_those_that_are_gone_make_space() {
    let server = TestServer::with(settings(), script_guest());
    let streams: Vec<_> = (0..32).map(|_| Stream::of(&server, "/_/events")).collect();
    let refused = server.get("/_/events");
    assert_eq!(refused.status, 503);
    drop(streams);
    eventually("there is space again", || {
        let mut stream = TcpStream::connect(server.address()).unwrap();
        write!(stream, "GET /_/events HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
        let mut first = String::new();
        BufReader::new(stream).read_line(&mut first).unwrap();
        first.starts_with("HTTP/1.1 200")
    });
}

#[test]
fn a_stream_ends_with_the_server_and_delays_nothing() {
    let notices = Notices::default();
    notices.set("build", "1");
    let playground = Playground::new(&[]).with_notices(notices.clone()).with_public(true);
    let server = TestServer::with_clock(settings().with_playground(Some(playground)), script_guest());
    let mut page = Stream::of(&server, "/_/events?room=attic");
    while page.line().unwrap() != "data: 1" {}
    notices.set("build", "2");
    while page.line().unwrap() != "data: 2" {}
    // Connections that do not end are given up after a second and a half.
    assert!(server.stop() < Duration::from_secs(1));
    while page.line().is_some() {}
}
