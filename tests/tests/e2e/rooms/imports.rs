//! Tests which files of rooms are imported, and with which limits, and how much memory this takes.

use std::{
    io::{BufReader, Write as _},
    net::TcpStream,
};

use stateroom_host_min::Program;
use stateroom_server_smol::{AdminAddress, DataRooms, RoomsError};
use stateroom_tests::{Answer, Directory, Module, PATIENCE, TestServer, eventually, wait_until_unused};

use super::{order, settings};

#[test]
fn a_room_that_is_too_large_for_the_journal_is_not_imported() {
    let program = || growing(64 << 20);
    let (from, to) = (Directory::new(), Directory::new());
    let server = TestServer::guests(settings(&from), program());
    let mut client = server.client("large");
    assert_eq!(client.ask("!"), "!");
    let file = order(&server, "GET", "/rooms/large/export").body;
    let server = TestServer::guests(settings(&to).with_journal_size(128 << 20), program());
    let mut small = server.client("small");
    assert_eq!(small.ask("a"), "a");
    let answer = import(&server, &file);
    let reason = String::from_utf8_lossy(&answer.body);
    assert!(answer.status == 413 && reason.contains("a quarter of `--journal-size`"), "{reason}");
    assert_eq!(small.ask("?"), "1", "the others go on");
    assert_eq!(order(&server, "GET", "/rooms/large").status, 404);
}

/// Returns a guest that grows to 40 MiB at a message with `!`, where its memory may have so much.
fn growing(memory: usize) -> Program {
    Module::new()
        .told(
            "(drop (memory.grow (i32.const 640))) \
             (memory.fill (i32.const 65536) (i32.const 7) (i32.const 41943040))",
        )
        .limits(|limits| limits.memory = memory)
        .kept_program()
}

#[test]
fn an_imported_room_has_no_higher_limits_than_the_server() {
    let (from, to) = (Directory::new(), Directory::new());
    let server = TestServer::guests(settings(&from), growing(64 << 20));
    assert_eq!(server.client("small").ask("a"), "a");
    assert_eq!(server.client("large").ask("!"), "!");
    let file = |room: &str| order(&server, "GET", &format!("/rooms/{room}/export")).body;
    let (small, large) = (file("small"), file("large"));
    let server = TestServer::guests(settings(&to), growing(32 << 20));
    let answer = import(&server, &large);
    let reason = String::from_utf8_lossy(&answer.body);
    assert!(answer.status == 422 && reason.contains("a limit is lower here"), "{}: {reason}", answer.status);
    assert_eq!(import(&server, &small).status, 201);
    let mut client = server.client("small");
    assert_eq!(client.ask("?"), "1");
    client.text("!");
    assert_eq!(client.closed(), 1011, "it cannot grow as it could where it came from");
    drop((client, server));

    // Without a server, those are the limits of one without options.
    wait_until_unused(&to.path().join("data"));
    let rooms = DataRooms::open(&to.path().join("data")).expect("no server uses it");
    let mut rooms = rooms.with_limits(Default::default(), 128 << 20);
    assert!(matches!(rooms.import(&large, None), Err(RoomsError::Import(_))));
    let mut limits = stateroom_host_min::Limits::default();
    limits.memory = 64 << 20;
    let mut rooms = rooms.with_limits(limits, 128 << 20);
    let refused = rooms.import(&large, None).expect_err("it is larger than a quarter");
    assert!(refused.to_string().contains("`--journal-size`"), "{refused}");
    let mut rooms = rooms.with_limits(limits, 1 << 30);
    assert_eq!(rooms.import(&large, None).expect("there is space"), "large");
}

#[test]
fn an_import_takes_no_more_memory_than_there_is() {
    let (from, to) = (Directory::new(), Directory::new());
    let server = TestServer::guests(settings(&from), growing(64 << 20));
    assert_eq!(server.client("large").ask("!"), "!");
    let file = order(&server, "GET", "/rooms/large/export").body;
    let other = settings(&to).with_total_memory(72 << 20);
    let server = TestServer::guests(other, growing(64 << 20));
    let answer = import(&server, &file);
    let reason = String::from_utf8_lossy(&answer.body);
    assert!(answer.status == 503 && reason.contains("--max-total-memory"), "{}: {reason}", answer.status);
    eventually("its memory is free again", || server.stats().memory < 1 << 20);
    assert_eq!(server.client("large").ask("?"), "0", "there is no such room");
}

#[test]
fn an_export_takes_no_more_memory_than_there_is() {
    let guest = || {
        let fill = "(memory.fill (i32.const 65536) (i32.const 7) (i32.const 8388608))";
        Module::new().memory("130").told(fill).kept_program()
    };
    let data = Directory::new();
    let server = TestServer::guests(settings(&data), guest());
    let mut client = server.client("large");
    // So many events lead to a snapshot with this memory.
    (0..2_000).for_each(|_| _ = client.ask("!"));
    let export = |server: &TestServer| order(server, "GET", "/rooms/large/export");
    let file = export(&server);
    assert!(file.status == 200 && file.body.len() > 8 << 20, "{}", file.body.len());
    drop((client, server));
    wait_until_unused(&data.path().join("data"));
    let server = TestServer::guests(settings(&data).with_total_memory(12 << 20), guest());
    let answer = export(&server);
    let reason = String::from_utf8_lossy(&answer.body);
    assert!(answer.status == 503 && reason.contains("--max-total-memory"), "{}", answer.status);
    eventually("its memory is free again", || server.stats().memory < 1 << 20);
}

/// Imports a room through the operator's listener.
#[track_caller]
fn import(server: &TestServer, file: &[u8]) -> Answer {
    let Some(AdminAddress::Tcp(address)) = server.handle().admin_address() else { panic!("it has one") };
    let mut stream = TcpStream::connect(address).expect("somebody listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("not zero");
    write!(stream, "POST /rooms HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n", file.len())
        .expect("it reads");
    stream.write_all(file).expect("it reads");
    Answer::read(&mut BufReader::new(stream), "POST")
}
