//! Clients are closed in batches.

use std::{fs, thread, time::Duration};

use rustix::process::Signal;
use serde_json::{Value, json};
use stateroom_tests::{
    Child, Client, Message, TestServer, eventually, server, services::script, wait_until_unused,
};

use super::{address, arguments, client, dist, operator, start};

const STEP: Duration = Duration::from_millis(100);

/// Opens a connection of a session, whose client has received so many messages.
#[track_caller]
fn session(
    address: std::net::SocketAddr,
    room: &str,
    number: usize,
    received: u64,
    attempt: u64,
) -> (Client, Value) {
    let offered = format!(
        "Sec-WebSocket-Protocol: stateroom.v1, stateroom.session.0123456789-{number:06}.{received}.{attempt}.0"
    );
    let client = Client::connect_with(address, &format!("/ws/{room}"), &[&offered]);
    let mut client = client.unwrap_or_else(|answer| panic!("no upgrade: {answer:?}"));
    let greeting = control(&client.next_text());
    (client, greeting)
}

/// Reads a control message.
#[track_caller]
fn control(text: &str) -> Value {
    let text = text.strip_prefix('\0').unwrap_or_else(|| panic!("this is no control message: {text:?}"));
    serde_json::from_str(text).expect("JSON")
}

#[test]
fn five_hundred_clients_are_closed_evenly_and_room_by_room_and_others_are_served_until_then() {
    let drain = Duration::from_secs(7);
    let server = TestServer::with_clock(server().with_drain(drain), script());
    // Five rooms of a hundred, in the order of their ids. One in ten has a session.
    let mut clients: Vec<(Client, bool)> = (0..500)
        .map(|number| {
            let room = format!("room-{}", number / 100);
            match number % 10 {
                0 => (session(server.address(), &room, number, 0, 0).0, true),
                _ => (server.client(&room), false),
            }
        })
        .collect();
    server.wait_for_clients(500);
    let mut speaker = server.client("speaker");
    let mut newcomer = super::connect(server.address());
    assert_eq!(super::ask(&mut newcomer, "/ready").status, 200);
    server.handle().begin_shutdown();
    // 501 clients in the 50 steps of five seconds.
    let mut closed = 0;
    for step in 1..=50 {
        let end = (501_usize * step).div_ceil(50);
        eventually("the batch is closed", || server.stats().clients <= 501 - end);
        assert_eq!(server.stats().clients, 501 - end, "no other client is closed with step {step}");
        for (client, has_session) in &mut clients[closed.min(500)..end.min(500)] {
            if *has_session {
                assert_eq!(control(&client.next_text()), json!({ "within": 500 }));
                assert_eq!(client.closed(), 1012);
            } else {
                assert_eq!(client.closed(), 1001);
            }
        }
        closed = end;
        if let Some((client, _)) = clients.get_mut(closed..).and_then(<[_]>::first_mut) {
            assert!(client.is_quiet());
            assert_eq!(client.ask("hello"), "hello", "its room is there");
        }
        if step < 50 {
            assert_eq!(speaker.ask("hello"), "hello");
            server.pass(STEP);
        }
    }
    assert_eq!(speaker.closed(), 1001);
    server.stop();
}

#[test]
fn a_server_ends_as_soon_as_nobody_is_left() {
    let server = TestServer::with_clock(server().with_drain(Duration::from_secs(3_600)), script());
    let (one, two) = (server.client("room"), server.client("room"));
    server.wait_for_clients(2);
    server.handle().begin_shutdown();
    eventually("one is closed at once", || server.stats().clients == 1);
    drop(one);
    two.leave();
    let took = server.stop();
    assert!(took < Duration::from_secs(2), "{took:?}");
}

#[test]
fn nobody_comes_to_a_server_that_closes_its_clients() {
    let server = TestServer::with_clock(server().with_drain(Duration::from_secs(62)), script());
    let (mut first, mut last) = (server.client("a"), server.client("b"));
    server.wait_for_clients(2);
    server.handle().begin_shutdown();
    assert_eq!(first.closed(), 1001);
    let answer = server.connect("/ws/b").expect_err("it takes nobody");
    assert_eq!((answer.status, answer.header("retry-after")), (503, Some("5")));
    assert_eq!(answer.header("connection"), Some("close"));
    assert_eq!(server.post("/ws/c").status, 503);
    let created = smol::block_on(server.handle().create_room("c"));
    assert!(matches!(created, Err(stateroom_server_smol::RoomError::Ending)), "{created:?}");
    assert_eq!(last.ask("hello"), "hello");
    // It still answers the program that it is a part of, which may end rooms.
    assert_eq!(server.rooms().len(), 2);
    assert!(smol::block_on(server.handle().close_room("b")).expect("it runs"));
    assert_eq!(last.closed(), 1001);
    server.stop();
}

#[test]
fn five_hundred_clients_of_the_command_hear_all_messages_until_they_are_closed() {
    let directory = dist();
    let socket = directory.path().join("admin.sock");
    let admin = socket.display().to_string();
    let (mut server, at) = start(&directory, &["--drain", "5", "--admin", &admin, "--threads", "2"]);
    // The clients of one room are closed in the order in which they have come.
    let listeners: Vec<_> = (0..500).map(|number| session(at, "room", number, 0, 0).0).collect();
    let mut speaker = client(at, "room");
    let count = || {
        let status = operator(&socket, "/status");
        let status: Value =
            serde_json::from_slice(&status.body).unwrap_or_else(|_| panic!("{}", status.text()));
        status["clients"].as_u64().expect("a number")
    };
    assert_eq!(count(), 501);
    assert_eq!(operator(&socket, "/ready").status, 200);
    assert_eq!(speaker.ask("*0"), "*0");
    server.signal(Signal::TERM);
    // Each of them hears all messages in their order, until it is closed.
    let listening = thread::spawn(move || {
        let listen = |(number, mut client): (usize, Client)| {
            let mut heard = 0;
            loop {
                match client.message() {
                    Message::Text(text) if text.starts_with('*') => {
                        assert_eq!(text, format!("*{heard}"));
                        heard += 1;
                    }
                    Message::Text(text) => break assert_eq!(control(&text)["within"], 500),
                    other => panic!("client {number} has heard {heard} messages, and {other:?}"),
                }
            }
            assert_eq!(client.closed(), 1012);
            heard
        };
        listeners.into_iter().enumerate().map(listen).collect::<Vec<u32>>()
    });
    let mut said = 1;
    let mut is_seen = false;
    loop {
        speaker.text(&format!("*{said}"));
        match speaker.message() {
            Message::Text(text) => assert_eq!(text, format!("*{said}")),
            other => break assert_eq!(other, Message::Close(1001)),
        }
        said += 1;
        if !is_seen && count() < 400 {
            is_seen = true;
            assert_eq!(operator(&socket, "/ready").status, 503);
        }
    }
    drop(speaker);
    let heard = listening.join().expect("they heard what they should");
    assert!(heard.is_sorted(), "those who are closed later hear more: {heard:?}");
    assert!(heard.first() < heard.last() && heard.last() <= Some(&said), "{heard:?}");
    assert!(is_seen, "the operator sees clients go");
    let (status, _) = server.exit();
    assert_eq!(status, Some(0));
    assert!(!fs::exists(&socket).expect("a directory"));
}

/// Starts the command with rooms on disk.
fn durable(directory: &stateroom_tests::Directory, port: u16) -> Child {
    let data = directory.path().join("data");
    wait_until_unused(&data);
    let (data, port) = (data.display().to_string(), port.to_string());
    let more = ["--ip", "127.0.0.1", "--port", &port, "--data", &data, "--drain", "60"];
    Child::start("stateroom", &arguments(directory, &more))
}

#[test]
fn five_hundred_sessions_on_disk_lose_nothing_and_wait_for_nobody() {
    let directory = dist();
    let mut server = durable(&directory, 0);
    let at = address(&server);
    let room = |number: usize| format!("room-{}", number % 7);
    let said = |number: usize, message: u64| format!("{number}: {message}");
    let mut clients: Vec<_> = (0..500).map(|number| session(at, &room(number), number, 0, 0).0).collect();
    // Many of these are on their way when the server is told to end.
    for message in 0..10 {
        for (number, client) in clients.iter_mut().enumerate() {
            client.text(&said(number, message));
        }
    }
    server.signal(Signal::TERM);
    let mut heard = Vec::new();
    for (number, client) in clients.iter_mut().enumerate() {
        let mut next = 0;
        loop {
            match client.message() {
                Message::Text(text) if text.starts_with('\0') => break,
                Message::Text(text) => assert_eq!(text, said(number, next)),
                other => panic!("{other:?}"),
            }
            next += 1;
        }
        assert_eq!(client.closed(), 1012);
        heard.push(next);
    }
    // No other process can have these rooms, so all clients are closed at once.
    assert_eq!(server.exit().0, Some(0));
    let mut server = durable(&directory, at.port());
    assert_eq!(address(&server), at);
    for (number, heard) in heard.into_iter().enumerate() {
        let (mut client, greeting) = session(at, &room(number), number, heard, 1);
        assert_eq!(greeting["resumed"], true, "{greeting}");
        let received = greeting["received"].as_u64().expect("a number");
        assert!(received >= heard, "{heard} {greeting}");
        for message in received..10 {
            client.text(&said(number, message));
        }
        for message in heard..10 {
            assert_eq!(client.next_text(), said(number, message));
        }
        assert!(client.is_quiet());
    }
    server.signal(Signal::TERM);
    assert_eq!(server.exit().0, Some(0));
}
