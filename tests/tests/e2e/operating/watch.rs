//! Rooms that are watched as things happen in them.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    os::unix::net::UnixStream,
};

use serde_json::Value;
use stateroom_tests::{Child, Output, PATIENCE};

use super::Running;

#[test]
fn a_room_is_watched_as_text() {
    let server = Running::start(&["--hibernate-after", "0"]);
    let watch = Child::of(&mut server.command(&["rooms", "watch", "hall", "--admin", "./admin.sock"]));
    assert_eq!(watch.line(Output::Stderr, "watching room hall"), ", which does not exist yet");
    let mut client = server.client("hall");
    let connect = watch.line(Output::Stdout, "connect  ");
    assert!(
        connect.contains("client ") && connect.contains("fuel ") && connect.ends_with(" µs"),
        "{connect}"
    );
    assert_eq!(watch.next_line(Output::Stdout).trim(), "to everyone  \"come\" (4 bytes)");
    client.text("hello");
    let message = watch.line(Output::Stdout, "message  ");
    assert!(message.contains("\"hello\" (5 bytes)") && message.contains("  memory "), "{message}");
    client.text("");
    watch.line(Output::Stdout, "timer 1 ms");
    watch.line(Output::Stdout, "  timer  ");
    client.binary(&[0, 127]);
    assert!(watch.line(Output::Stdout, "message  ").contains("007f (2 bytes)"));
    server.rooms(&["message", "hall", "hi"]).expect("it is there");
    assert!(watch.line(Output::Stdout, "operator  ").starts_with("message  \"hi\" (2 bytes) to "));
    client.leave();
    watch.line(Output::Stdout, "disconnect  ");
    server.rooms(&["close", "hall"]).expect("it is there");
    watch.line(Output::Stdout, "operator  close 1001");
    assert_eq!(watch.line(Output::Stdout, "room ended: "), "the room has ended");
    drop(server);
    watch.line(Output::Stderr, "ended the stream of events");
}

#[test]
fn a_room_is_watched_as_json() {
    let server = Running::start(&["--hibernate-after", "0"]);
    let mut client = server.client("hall");
    client.expect(&["come"]);
    let mut watch =
        Child::of(&mut server.command(&["rooms", "watch", "hall", "--json", "--admin", "./admin.sock"]));
    assert_eq!(watch.line(Output::Stderr, "watching room hall"), "");
    assert_eq!(client.ask("hello"), "hello");
    let record: Value = serde_json::from_str(&watch.next_line(Output::Stdout)).expect("JSON");
    assert_eq!((&record["event"], &record["client"]), (&"message".into(), &1.into()));
    assert_eq!(record["message"], serde_json::json!({ "text": "hello", "size": 5 }));
    assert!(record["fuel"].is_u64() && record["memory"].is_u64() && record["micros"].is_u64(), "{record}");
    assert!(watch.is_running());
}

#[test]
fn a_watcher_that_does_not_read_is_told_how_many_events_it_has_missed() {
    let server = Running::start(&["--hibernate-after", "0"]);
    let mut client = server.client("hall");
    client.expect(&["come"]);
    let stream = UnixStream::connect(server.directory.path().join("admin.sock")).expect("it listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("not zero");
    write!(&stream, "GET /rooms/hall/events HTTP/1.0\r\nHost: x\r\n\r\n").expect("it reads");
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    while !line.starts_with("retry") {
        line.clear();
        stream.read_line(&mut line).expect("a stream");
    }
    let long = "a".repeat(1_000);
    const MESSAGES: usize = 700;
    // The room goes on all the while.
    for _ in 0..MESSAGES {
        assert_eq!(client.ask(&long), long);
    }
    let (mut seen, mut missed) = (0, 0);
    while seen + missed < MESSAGES {
        line.clear();
        assert!(stream.read_line(&mut line).expect("a stream") > 0, "{seen} were seen, {missed} missed");
        if line.starts_with("event: room") {
            seen += 1;
        } else if line.starts_with("event: dropped") {
            line.clear();
            stream.read_line(&mut line).expect("a stream");
            missed += line["data: ".len()..].trim().parse::<usize>().expect("a number");
        }
    }
    assert!(missed > 0 && seen + missed == MESSAGES, "{seen} were seen, {missed} missed");
}

#[test]
fn there_are_only_so_many_watchers() {
    let server = Running::start(&[]);
    let watch = || {
        let mut stream = UnixStream::connect(server.directory.path().join("admin.sock")).expect("it listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("not zero");
        write!(stream, "GET /rooms/hall/events HTTP/1.0\r\nHost: x\r\n\r\n").expect("it reads");
        let mut head = [0; 12];
        stream.read_exact(&mut head).expect("an answer");
        (head, stream)
    };
    let watchers: Vec<_> = (0..32).map(|_| watch()).collect();
    assert!(watchers.iter().all(|(head, _)| head.ends_with(b"200")));
    assert!(watch().0.ends_with(b"503"));
    assert_eq!(server.ask("POST", "/rooms/hall/events", "").header("allow"), Some("GET"));
}
