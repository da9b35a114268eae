//! The end of a server.

use std::{
    fs::File,
    io::{BufRead as _, BufReader, Write as _},
    net::TcpStream,
    time::Duration,
};

#[cfg(unix)]
use rustix::process::Signal;
use smol::{
    Timer,
    future::{or, zip},
};
use stateroom_server_smol::RoomError;
use stateroom_tests::{
    Answer, Child, Client, Directory, Frame, Message, Module, Output, PATIENCE, TestServer, server,
    services::{Gate, journal, script, script_guest},
};

/// The time that the server waits for clients that do not answer its close frame.
const FAREWELL: Duration = Duration::from_millis(1_500);
/// The time that the end may take.
const LIMIT: Duration = Duration::from_secs(2);
/// The time that it takes if there is nobody to wait for.
const AT_ONCE: Duration = Duration::from_secs(1);

/// Stops a server that has told its clients so, and whose clients do not answer.
#[track_caller]
fn ends_in_time(server: TestServer) {
    server.pass(FAREWELL);
    let took = FAREWELL + server.stop();
    assert!(took < LIMIT, "{took:?}");
}

#[test]
fn clients_are_told_that_the_server_goes_away() {
    for server in [
        TestServer::with_clock(server(), script()),
        TestServer::with_clock(server().with_threads(2), script_guest()),
    ] {
        let mut clients: Vec<_> = ["a", "b", "c", "d", "a"].map(|room| server.client(room)).into();
        for client in &mut clients {
            assert_eq!(client.ask("hello"), "hello");
        }
        server.handle().begin_shutdown();
        for client in &mut clients {
            assert_eq!(client.closed(), 1001);
        }
        let address = server.address();
        let took = server.stop();
        // Nobody was waited for, as all said goodbye.
        assert!(took < AT_ONCE, "{took:?}");
        assert!(TcpStream::connect(address).is_err(), "nobody listens any more");
    }
}

#[test]
fn clients_of_a_server_that_restarts_are_told_to_connect_again() {
    for server in [
        TestServer::with_clock(server(), script()),
        TestServer::with_clock(server().with_threads(2), script_guest()),
    ] {
        let mut clients: Vec<_> = ["a", "b", "c", "d", "a"].map(|room| server.client(room)).into();
        for client in &mut clients {
            assert_eq!(client.ask("hello"), "hello");
        }
        server.handle().begin_restart();
        // Who ends it after that changes nothing for them.
        server.handle().begin_shutdown();
        for client in &mut clients {
            assert_eq!(client.closed(), 1012);
        }
        server.stop();
    }
}

#[test]
fn replies_that_wait_are_sent_before_the_end() {
    let server = TestServer::with_clock(server(), journal());
    let mut client = server.client("room");
    client.expect(&["connect 1"]);
    let frames: Vec<_> = (0..1_000).flat_map(|number| Frame::text(&number.to_string()).masked()).collect();
    client.raw(&frames);
    client.expect(&["message 1 0"]);
    server.handle().begin_shutdown();
    // However many of them were heard: they come in order, and the close frame comes last.
    let mut next = 1;
    loop {
        match client.message() {
            Message::Text(text) => assert_eq!(text, format!("message 1 {next}")),
            Message::Close(code) => break assert_eq!(code, 1001),
            other => panic!("{other:?}"),
        }
        next += 1;
    }
}

#[test]
fn requests_in_progress_are_answered_to_the_end_and_new_ones_are_not() {
    let directory = Directory::new();
    let file = File::create(directory.path().join("huge.bin")).expect("a file");
    file.set_len(64 << 20).expect("the disk takes it");
    let server = server().with_static_files(Some(directory.path().into()));
    let server = TestServer::with_clock(server, script());
    let connect = || TcpStream::connect(server.address()).expect("a connection");
    let mut download = BufReader::new(connect());
    let (kept, late) = (connect(), connect());
    let ask = |mut stream: &TcpStream, path: &str| {
        stream.set_read_timeout(Some(PATIENCE)).expect("not zero");
        write!(stream, "GET {path} HTTP/1.1\r\nHost: a\r\n\r\n").expect("a request");
    };
    ask(download.get_ref(), "/huge.bin");
    download.fill_buf().expect("it begins");
    ask(&kept, "/status");
    assert_eq!(Answer::read(&mut BufReader::new(&kept), "GET").status, 200);
    let mut client = server.client("room");
    server.handle().begin_shutdown();
    assert_eq!(client.closed(), 1001);
    for stream in [&kept, &late] {
        ask(stream, "/status");
        let answer = Answer::read(&mut BufReader::new(stream), "GET");
        assert_eq!((answer.status, answer.text()), (503, "the server is ending"));
    }
    assert_eq!(Answer::read(&mut download, "GET").body.len(), 64 << 20);
    let took = server.stop();
    assert!(took < LIMIT, "{took:?}");
}

#[test]
fn a_server_without_clients_ends_at_once() {
    let server = TestServer::with_clock(server(), script());
    server.client("room").leave();
    server.wait_for_clients(0);
    let took = server.stop();
    assert!(took < AT_ONCE, "{took:?}");
}

#[test]
fn a_client_that_never_answers_does_not_keep_the_server() {
    let server = TestServer::with_clock(server(), script());
    let mut silent = server.client("room");
    assert_eq!(silent.ask("hello"), "hello");
    server.handle().begin_shutdown();
    assert_eq!(silent.message(), Message::Close(1001));
    ends_in_time(server);
}

#[test]
fn a_client_that_does_not_read_does_not_keep_the_server() {
    let server = TestServer::with_clock(server().with_outbox_size(16 << 20), script());
    let mut slow = server.client("room");
    assert_eq!(slow.ask("hello"), "hello");
    let mut speaker = server.client("room");
    for _ in 0..700 {
        speaker.text(&format!("to 1 {}", "x".repeat(10_000)));
    }
    assert_eq!(speaker.ask("hello"), "hello");
    assert_eq!(
        server.status()["client_count"],
        2,
        "this test needs a client for which some wait, but not too many"
    );
    server.handle().begin_shutdown();
    assert_eq!(speaker.closed(), 1001);
    ends_in_time(server);
}

#[test]
fn a_connection_without_a_request_does_not_keep_the_server() {
    let server = TestServer::with_clock(server(), script());
    let _idle = TcpStream::connect(server.address()).expect("a connection");
    assert_eq!(server.get("/status").text(), "ok");
    let took = server.stop();
    assert!(took < AT_ONCE, "{took:?}");
}

#[test]
fn a_room_in_the_middle_of_a_long_event_does_not_keep_the_server() {
    let server = TestServer::with_clock(server(), Module::new().told("(loop $again (br $again))").program());
    let (mut busy, mut waiting) = (server.client("busy"), server.client("busy"));
    assert_eq!(busy.ask("hello"), "hello");
    assert_eq!(waiting.ask("hello"), "hello");
    busy.text("!");
    busy.text("is anybody there?");
    let mut other = server.client("other");
    assert_eq!(other.ask("hello"), "hello");
    server.handle().begin_shutdown();
    for client in [&mut busy, &mut waiting, &mut other] {
        assert_eq!(client.closed(), 1001);
    }
    ends_in_time(server);
}

#[test]
fn a_client_that_waits_to_connect_to_a_busy_room_is_told_too() {
    let spin = "(loop $again (br $again))";
    let server = TestServer::with_clock(server(), Module::new().told(spin).program());
    let mut busy = server.client("room");
    assert_eq!(busy.ask("hello"), "hello");
    busy.text("!");
    // The second is sure to come to a room that computes, as the first one's message has been sent before.
    let mut waiting = server.client("room");
    assert_eq!(server.client("other").ask("hello"), "hello");
    server.handle().begin_shutdown();
    assert_eq!(waiting.closed(), 1001);
    assert_eq!(busy.closed(), 1001);
    ends_in_time(server);
}

/// Starts the command with a module, and returns a client of it as well.
#[cfg(unix)]
fn command(arguments: &[&str]) -> (Child, Client, Directory) {
    let directory = Directory::new().with("echo.wat", Module::new().told("(loop $again (br $again))").text());
    let module = directory.path().join("echo.wat").display().to_string();
    let fixed = ["serve", &module, "--ip", "127.0.0.1", "--port", "0"];
    let child = Child::start("stateroom", &[&fixed, arguments].concat());
    let address = child.line(Output::Stderr, "serving on ").parse().expect("an address");
    let mut client = Client::connect(address, "/ws/room").expect("an upgrade");
    assert_eq!(client.ask("hello"), "hello");
    (child, client, directory)
}

#[cfg(unix)]
#[test]
fn signals_end_the_command_well() {
    for signal in [Signal::TERM, Signal::INT] {
        let (mut child, mut client, _directory) = command(&["--threads", "2"]);
        child.signal(signal);
        assert_eq!(client.closed(), 1001);
        assert_eq!(child.exit().0, Some(0), "{signal:?}");
    }
}

#[cfg(unix)]
#[test]
fn signals_end_the_command_while_a_room_computes_and_a_client_is_silent() {
    let (mut child, mut client, _directory) = command(&[]);
    client.text("!");
    child.signal(Signal::TERM);
    assert_eq!(child.exit().0, Some(0));
    assert_eq!(client.closed(), 1001);
}

#[test]
fn who_asks_a_server_that_ends_hears_that_it_ends() {
    let gate = Gate::default();
    let server = TestServer::with_clock(server(), gate.clone());
    let mut client = server.client("room");
    client.text("!");
    gate.wait_for_computing(1);
    server.handle().begin_shutdown();
    let ask = async {
        let handle = server.handle();
        let (rooms, stats) = zip(handle.rooms(None, 1), handle.stats()).await;
        (rooms.map(drop), stats.map(drop), handle.create_room("late").await, handle.close_room("room").await)
    };
    let in_time = or(async { Some(ask.await) }, async {
        Timer::after(PATIENCE).await;
        None
    });
    let answers = smol::block_on(in_time).expect("each has an answer");
    assert!(matches!(
        answers,
        (Err(RoomError::Ending), Err(RoomError::Ending), Err(RoomError::Ending), Err(RoomError::Ending))
    ));
    gate.open();
    ends_in_time(server);
    drop(client);
}
