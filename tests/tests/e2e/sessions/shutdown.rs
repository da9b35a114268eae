//! Sessions when the server shuts down.

use std::time::Duration;

use serde_json::{Value, json};
use stateroom_tests::{
    TestServer,
    services::{Gate, script},
};

use super::{OTHER, TOKEN, begin, control, open, settings};

#[test]
fn clients_with_sessions_are_told_when_to_come_back_after_a_restart() {
    let server = TestServer::with_clock(settings(), script());
    let mut plain = server.client("room");
    assert_eq!(plain.ask("hello"), "hello");
    let (mut client, _) = begin(&server, TOKEN);
    let (gone, _) = begin(&server, OTHER);
    gone.hang_up();
    server.handle().begin_shutdown();
    let within: Value = serde_json::from_str(&control(&mut client)).unwrap();
    assert_eq!(within, json!({ "within": 500 }));
    assert_eq!(client.closed(), 1012);
    assert_eq!(plain.closed(), 1001);
    // Nobody waits for the one that is away.
    assert!(server.stop() < Duration::from_secs(1));
}

#[test]
fn a_client_that_waits_to_resume_its_session_is_told_that_the_server_ends() {
    let gate = Gate::default();
    let server = TestServer::with_clock(settings(), gate.clone());
    let (mut client, _) = begin(&server, TOKEN);
    client.text("!");
    gate.wait_for_computing(1);
    let older = open(&server, &format!("{TOKEN}.0.1"), 0);
    let mut waiting = open(&server, &format!("{TOKEN}.0.2"), 0);
    // It is replaced while it waits.
    let mut older = older;
    assert_eq!(older.closed(), 1008);
    server.handle().begin_shutdown();
    assert_eq!(control(&mut waiting), r#"{"within":500}"#);
    assert_eq!(waiting.closed(), 1012);
    gate.open();
}

#[test]
fn the_time_to_come_back_is_longer_for_more_clients() {
    let server = TestServer::with_clock(settings(), script());
    let _others: Vec<_> = (0..700).map(|_| server.client("other")).collect();
    let (mut client, _) = begin(&server, TOKEN);
    server.wait_for_clients(701);
    server.handle().begin_shutdown();
    assert_eq!(control(&mut client), r#"{"within":701}"#);
}
