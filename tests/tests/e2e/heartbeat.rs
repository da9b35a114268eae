//! Pings, and what becomes of those who do not answer them.

use std::time::{Duration, Instant};

use stateroom_tests::{
    Client, Frame, Module, TestServer, server,
    services::{journal, script},
};

/// Waits for a ping and returns its content.
#[track_caller]
fn ping(client: &mut Client) -> Vec<u8> {
    let frame = client.next_frame().expect("a ping");
    assert_eq!(frame.opcode, Frame::PING);
    frame.payload
}

#[test]
fn clients_are_pinged_at_the_interval() {
    let interval = Duration::from_millis(60);
    let settings = server().with_heartbeat_interval(interval).with_heartbeat_timeout(Duration::ZERO);
    let server = TestServer::with(settings, script());
    let mut client = server.client("room");
    let begin = Instant::now();
    for count in 1..=5 {
        let content = ping(&mut client);
        // The first ping may be a little early as seen from here, as the interval begins before the client
        // knows that it is in.
        assert!(begin.elapsed() >= interval * count - Duration::from_millis(30), "ping {count}");
        client.frame(&Frame::new(Frame::PONG, content));
    }
    assert!(begin.elapsed() < Duration::from_secs(5));
    // Messages come in between as always.
    client.text("between");
    let frame = std::iter::repeat_with(|| client.next_frame().expect("a frame"));
    assert_eq!(frame.into_iter().find(|frame| frame.opcode != Frame::PING), Some(Frame::text("between")));
}

#[test]
fn a_silent_client_is_dropped_and_one_that_answers_pings_stays() {
    let (interval, timeout) = (Duration::from_millis(50), Duration::from_millis(800));
    let settings = server().with_heartbeat_interval(interval).with_heartbeat_timeout(timeout);
    let server = TestServer::with(settings, journal());
    let mut patient = server.client("room");
    patient.expect(&["connect 1"]);
    let begin = Instant::now();
    let mut silent = server.client("room");
    // It answers pings while it waits for this, well beyond the timeout.
    patient.expect(&["connect 2", "disconnect 2"]);
    assert!(begin.elapsed() >= timeout);
    silent.expect(&["connect 2"]);
    // The silent one was told; what it had been asked comes first.
    assert_eq!(silent.closed(), 1001);
    patient.text("still here");
    patient.expect(&["message 1 still here"]);
}

#[test]
fn a_client_that_speaks_need_not_answer_pings() {
    let (interval, timeout) = (Duration::from_millis(50), Duration::from_millis(800));
    let settings = server().with_heartbeat_interval(interval).with_heartbeat_timeout(timeout);
    let server = TestServer::with(settings, script());
    let mut client = server.client("room");
    let begin = Instant::now();
    while begin.elapsed() < 2 * timeout {
        client.text("I speak");
        // Waits for the next ping, so that this is done at the interval, and does not answer it.
        while client.next_frame().expect("a frame").opcode != Frame::PING {}
    }
}

#[test]
fn without_an_interval_nobody_is_pinged() {
    let timeout = Duration::from_millis(400);
    let settings = server().with_heartbeat_interval(Duration::ZERO).with_heartbeat_timeout(timeout);
    let server = TestServer::with(settings, script());
    let mut client = server.client("room");
    // The first thing to come is the end.
    let frame = client.next_frame().expect("a frame");
    assert_eq!((frame.opcode, &frame.payload[..2]), (Frame::CLOSE, &1001_u16.to_be_bytes()[..]));
}

#[test]
fn without_a_timeout_nobody_is_dropped() {
    let settings =
        server().with_heartbeat_interval(Duration::from_millis(10)).with_heartbeat_timeout(Duration::ZERO);
    let server = TestServer::with(settings, script());
    let mut client = server.client("room");
    for _ in 0..50 {
        ping(&mut client);
    }
    assert_eq!(client.ask("hello"), "hello");
}

#[test]
fn a_client_whose_room_computes_is_not_taken_for_silent() {
    // About a second, in which the server has no eye for the client's pongs.
    let module = Module::new().told(
        "(loop $again
            (br_if $again (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 200000000))))",
    );
    let (interval, timeout) = (Duration::from_millis(50), Duration::from_millis(250));
    let settings = server().with_heartbeat_interval(interval).with_heartbeat_timeout(timeout);
    let server = TestServer::with(settings, module.program());
    let mut client = server.client("room");
    let begin = Instant::now();
    client.text("!");
    client.text("more");
    client.expect(&["!", "more"]);
    assert!(begin.elapsed() > timeout, "this test needs an event that takes longer than silence may");
}
