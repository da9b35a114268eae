//! The process has as many open files as it may have.

use std::{
    fs,
    io::{BufReader, Write as _},
    net::{TcpListener, TcpStream},
    sync::Arc,
    thread,
    time::Duration,
};

use stateroom_tests::{
    Answer, Client, PATIENCE, eventually, request,
    tls::{Authority, TlsClient, connect},
};

use super::{Counting, Running, dist};

/// Returns the processor time that a process has had.
#[track_caller]
fn processor_time(process: u32) -> Duration {
    let tasks = fs::read_dir(format!("/proc/{process}/task")).expect("it runs").map_while(Result::ok);
    let nanoseconds = tasks.map(|task| {
        let line = fs::read_to_string(task.path().join("schedstat")).unwrap_or_default();
        line.split(' ').next().and_then(|ran| ran.parse::<u64>().ok()).unwrap_or_default()
    });
    Duration::from_nanos(nanoseconds.sum())
}

#[test]
fn newcomers_get_a_503_and_everybody_else_goes_on() {
    let server = Running::start(&[]);
    let mut clients: Vec<_> = (0..3).map(|_| Counting::join(server.address, "room")).collect();
    let _others = server.fill(|| Counting::join(server.address, "other"));
    server.allow_more_files(0);
    for round in 0..10 {
        let answer = Client::connect(server.address, "/ws/room").expect_err("there is no descriptor");
        assert_eq!((answer.status, answer.header("retry-after")), (503, Some("5")), "{round}: {answer:?}");
        assert_eq!(clients[2].count(8), round + 1);
    }
    // Nobody is accepted, and nobody waits: it does nothing.
    let before = processor_time(server.child.id());
    thread::sleep(Duration::from_millis(500));
    let busy = processor_time(server.child.id()).saturating_sub(before);
    assert!(busy < Duration::from_millis(50), "it is busy for {busy:?}");
    drop(clients.pop());
    let mut late = None;
    eventually("there is a place", || {
        late = Client::connect(server.address, "/ws/room").ok();
        late.is_some()
    });
    server.allow_more_files(100);
    let _more: Vec<_> = (0..20).map(|_| Counting::join(server.address, "room")).collect();
    let (lines, _) = server.end();
    let said: Vec<_> = lines.iter().filter(|line| line.contains("no new connections for now")).collect();
    assert_eq!(said.len(), 1, "{lines:#?}");
    assert!(said[0].contains("too many open files; raise the limit of open files"), "{said:?}");
    assert!(lines.len() < 12, "{lines:#?}");
}

#[test]
fn newcomers_get_a_503_with_tls() {
    let (directory, authority) = (dist(), Authority::new());
    authority.issue().write(&directory);
    let server = Running::start_in(directory, &["--tls-cert", "cert.pem", "--tls-key", "key.pem"]);
    let config = Arc::new(authority.client(rustls::ALL_VERSIONS));
    let mut client = TlsClient::connect(server.address, &config, "room");
    client.receive().expect("its id");
    let _others = server.fill(|| TlsClient::connect(server.address, &config, "other"));
    server.allow_more_files(0);
    for _ in 0..6 {
        let answer = TlsClient::upgrade_with(connect(server.address, &config), "room", &[]);
        assert_eq!(answer.expect_err("there is no descriptor").status, 503);
    }
    client.leave();
}

#[test]
fn many_silent_newcomers_do_not_keep_the_others_from_their_answer() {
    let server = Running::start(&[]);
    let mut client = Counting::join(server.address, "room");
    let _others = server.fill(|| Counting::join(server.address, "other"));
    server.allow_more_files(0);
    // Each takes a spare descriptor for a second.
    let _silent: Vec<_> =
        (0..12).map(|_| TcpStream::connect(server.address).expect("a connection")).collect();
    let answer = Client::connect(server.address, "/ws/room").expect_err("there is no descriptor");
    assert_eq!(answer.status, 503);
    assert_eq!(client.count(8), 1);
}

#[test]
fn the_operator_is_let_in() {
    let server = Running::start(&["--admin", "127.0.0.1:0"]);
    let operator = server.child.line(stateroom_tests::Output::Stderr, "the operator's status is at http://");
    let operator = operator.split('/').next().and_then(|address| address.parse().ok()).expect("an address");
    let _client = Counting::join(server.address, "room");
    let _others = server.fill(|| Counting::join(server.address, "other"));
    server.allow_more_files(0);
    for _ in 0..5 {
        assert_eq!(request(operator, "GET", "/status", &[]).status, 200);
    }
}

#[test]
fn a_file_that_cannot_be_opened_now_is_a_503() {
    let server = Running::start(&[]);
    let stream = TcpStream::connect(server.address).expect("a connection");
    stream.set_read_timeout(Some(PATIENCE)).expect("not zero");
    let mut answers = BufReader::new(&stream);
    let mut ask = |path: &str| {
        write!(&stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").expect("it reads");
        Answer::read(&mut answers, "GET")
    };
    assert_eq!(ask("/page.html").text(), "a page");
    let _others = server.fill(|| Counting::join(server.address, "other"));
    server.allow_more_files(0);
    let answer = ask("/page.html");
    assert_eq!((answer.status, answer.header("retry-after")), (503, Some("5")), "{answer:?}");
    assert_eq!(ask("/nothing").status, 404);
    server.allow_more_files(10);
    assert_eq!(ask("/page.html").text(), "a page");
}

#[test]
fn nobody_enters_if_there_is_no_descriptor_to_ask_who_may() {
    let backend = TcpListener::bind("127.0.0.1:0").expect("the system has a port");
    let url = format!("http://{}/", backend.local_addr().expect("it listens"));
    thread::spawn(move || {
        for stream in backend.incoming().map_while(Result::ok) {
            let _ = (&stream).write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
        }
    });
    let server = Running::start(&["--auth-url", &url, "--auth-cache", "0"]);
    let mut client = Counting::join(server.address, "room");
    // One for the connection, and none for the question.
    let _others = server.fill(|| Counting::join(server.address, "other"));
    server.allow_more_files(1);
    let answer = Client::connect(server.address, "/ws/room").expect_err("nobody can be asked");
    assert_eq!(answer.status, 503, "{answer:?}");
    assert_eq!(client.count(8), 1);
    server.allow_more_files(10);
    Counting::join(server.address, "room");
}

#[test]
fn the_journal_goes_on() {
    /// More than there is space for in one of its files.
    const MESSAGES: u64 = 320;
    let directory = {
        let server = Running::start(&["--data", "data", "--journal-size", "128MiB"]);
        let mut client = Counting::join(server.address, "room");
        assert_eq!(client.count(8), 1);
        let _others = server.fill(|| Counting::join(server.address, "other"));
        server.allow_more_files(0);
        for message in 0..MESSAGES {
            assert_eq!(client.count(60 << 10), message + 2);
        }
        server.end().1
    };
    let server = Running::start_in(directory, &["--data", "data", "--journal-size", "128MiB"]);
    assert_eq!(Counting::join(server.address, "room").count(8), MESSAGES + 2);
}
