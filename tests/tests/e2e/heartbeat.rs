//! Pings, and what becomes of those who do not answer them.

use std::time::Duration;

use stateroom_server_smol::Server;
use stateroom_tests::{
    Client, Frame, TestServer, server,
    services::{Gate, journal, script},
};

const INTERVAL: Duration = Duration::from_secs(10);
/// The timeout, which falls between two pings.
const TIMEOUT: Duration = Duration::from_secs(25);
const MOMENT: Duration = Duration::from_millis(1);

fn settings() -> Server {
    server().with_heartbeat_interval(INTERVAL).with_heartbeat_timeout(TIMEOUT)
}

/// Waits for a ping and returns its content.
#[track_caller]
fn ping(client: &mut Client) -> Vec<u8> {
    let frame = client.next_frame().expect("a ping");
    assert_eq!(frame.opcode, Frame::PING);
    frame.payload
}

/// Waits for a ping, answers it, and waits until the server has heard the answer.
#[track_caller]
fn answer_ping(client: &mut Client) {
    let content = ping(client);
    client.frame(&Frame::new(Frame::PONG, content));
    client.frame(&Frame::new(Frame::PING, "heard?"));
    assert_eq!(client.next_frame(), Some(Frame::new(Frame::PONG, "heard?")));
}

#[test]
fn clients_are_pinged_at_the_interval() {
    let server = TestServer::with_clock(settings(), script());
    let mut client = server.client("room");
    assert_eq!(client.ask("hello"), "hello");
    for _ in 0..5 {
        server.pass(INTERVAL - MOMENT);
        // Messages come in between as always.
        client.text("not yet");
        assert_eq!(client.next_frame(), Some(Frame::text("not yet")));
        server.pass(MOMENT);
        answer_ping(&mut client);
    }
}

#[test]
fn a_silent_client_is_dropped_and_one_that_answers_pings_stays() {
    let server = TestServer::with_clock(settings(), journal());
    let mut patient = server.client("room");
    patient.expect(&["connect 1"]);
    let mut silent = server.client("room");
    patient.expect(&["connect 2"]);
    silent.expect(&["connect 2"]);
    for _ in 0..2 {
        server.pass(INTERVAL);
        answer_ping(&mut patient);
        ping(&mut silent);
    }
    server.pass(TIMEOUT - 2 * INTERVAL - MOMENT);
    patient.text("still here");
    patient.expect(&["message 1 still here"]);
    silent.expect(&["message 1 still here"]);
    server.pass(MOMENT);
    patient.expect(&["disconnect 2"]);
    assert_eq!(silent.closed(), 1001);
    patient.text("still here");
    patient.expect(&["message 1 still here"]);
}

#[test]
fn a_client_that_speaks_need_not_answer_pings() {
    let server = TestServer::with_clock(settings(), script());
    let mut client = server.client("room");
    assert_eq!(client.ask("hello"), "hello");
    for _ in 0..6 {
        server.pass(INTERVAL);
        ping(&mut client);
        client.text("I speak");
        assert_eq!(client.next_frame(), Some(Frame::text("I speak")));
    }
}

#[test]
fn without_an_interval_nobody_is_pinged() {
    let server = TestServer::with_clock(settings().with_heartbeat_interval(Duration::ZERO), journal());
    let mut client = server.client("room");
    client.expect(&["connect 1"]);
    server.pass(TIMEOUT);
    // The first thing to come is the end.
    let frame = client.next_frame().expect("a frame");
    assert_eq!((frame.opcode, &frame.payload[..2]), (Frame::CLOSE, &1001_u16.to_be_bytes()[..]));
}

#[test]
fn without_a_timeout_nobody_is_dropped() {
    let server = TestServer::with_clock(settings().with_heartbeat_timeout(Duration::ZERO), journal());
    let mut client = server.client("room");
    client.expect(&["connect 1"]);
    for _ in 0..50 {
        server.pass(INTERVAL);
        ping(&mut client);
    }
    assert_eq!(client.ask("hello"), "message 1 hello");
}

#[test]
fn a_client_whose_room_computes_is_not_taken_for_silent() {
    let gate = Gate::default();
    let server = TestServer::with_clock(settings(), gate.clone());
    let (mut client, mut silent) = (server.client("busy"), server.client("quiet"));
    assert_eq!(silent.ask("hello"), "hello");
    client.text("!");
    gate.wait_for_computing(1);
    client.text("more");
    // With the first ping the server finds that the silent one has spoken before.
    for _ in 0..3 {
        server.pass(INTERVAL);
        ping(&mut silent);
    }
    server.pass(TIMEOUT - 2 * INTERVAL);
    assert_eq!(silent.closed(), 1001);
    gate.open();
    client.expect(&["!", "more"]);
}
