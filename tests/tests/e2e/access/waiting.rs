//! Clients that wait until somebody else knows whether they may enter.

use std::{
    fs,
    future::pending,
    io::{BufReader, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    os::fd::OwnedFd,
    time::{Duration, Instant},
};

use rustix::net::{AddressFamily, SocketType, bind, connect, socket};
use stateroom_server_smol::{Access, Claims, Denial};
use stateroom_tests::{Answer, TestServer, eventually, server, services::bouncer, status};

use super::Server;

/// A server that asks a URL at which nobody answers.
fn asking(options: &[&str]) -> (Server, TcpListener) {
    let silent = TcpListener::bind("127.0.0.1:0").expect("the system has a port");
    let url = format!("http://{}/", silent.local_addr().expect("it listens"));
    (Server::start(&[&["--auth-url", &url], options].concat()), silent)
}

/// Asks for a WebSocket, with a long query, from one of the addresses of this machine.
fn ask_from(client: u8, address: SocketAddr, query: usize) -> TcpStream {
    let socket: OwnedFd = socket(AddressFamily::INET, SocketType::STREAM, None).expect("a socket");
    bind(&socket, &SocketAddr::from((Ipv4Addr::new(127, 0, 0, client), 0))).expect("an own address");
    connect(&socket, &address).expect("the server takes connections");
    let mut stream = TcpStream::from(socket);
    let query = "x".repeat(query);
    write!(stream, "GET /ws/room?{query} HTTP/1.1\r\nHost: a\r\n\r\n").expect("a request");
    stream
}

/// Returns whether an answer has come, or the end.
fn is_answered(stream: &TcpStream) -> bool {
    stream.set_nonblocking(true).expect("an option of every socket");
    let found = stream.peek(&mut [0]).is_ok();
    stream.set_nonblocking(false).expect("an option of every socket");
    found
}

#[test]
fn a_program_that_decides_slowly_is_given_copies_that_are_counted() {
    const QUERY: usize = 15_000;
    let access = Access::new(async |_| pending::<Result<Claims, Denial>>().await);
    let server = TestServer::with(server().with_access(Some(access)), bouncer());
    let before = server.stats().memory;
    let waiting: Vec<_> = (0..50).map(|_| ask_from(1, server.address(), QUERY)).collect();
    // The request, and the copy.
    eventually("all are counted", || server.stats().memory - before > waiting.len() * 2 * QUERY);
    drop(waiting);
    eventually("nothing is left", || server.stats().memory <= before);
}

#[test]
fn who_waits_for_a_url_takes_no_memory_that_is_not_counted() {
    let (server, _silent) = asking(&[]);
    let resident = || {
        let status = fs::read_to_string(format!("/proc/{}/status", server.child.id())).expect("it runs");
        let size = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a size");
        size.trim_matches(|letter: char| !letter.is_ascii_digit()).parse::<usize>().expect("a number") << 10
    };
    let counted =
        || usize::try_from(status(server.address)["memory"].as_u64().expect("a number")).expect("a size");
    let (resident_before, counted_before) = (resident(), counted());
    let waiting: Vec<_> = (1..=4)
        .flat_map(|client| (0..60).map(move |_| client))
        .map(|client| ask_from(client, server.address, 15_500))
        .collect();
    eventually("all have come", || counted() - counted_before > waiting.len() * 15_500);
    let (resident, counted) = (resident() - resident_before, counted() - counted_before);
    assert!(resident < counted + (4 << 20), "{resident} bytes are taken, and {counted} are counted");
}

#[test]
fn who_has_gone_does_not_wait() {
    let (server, _silent) = asking(&["--max-connections", "20"]);
    let begin = Instant::now();
    // More than there may be, and than may be refused at a time.
    for _ in 0..600 {
        drop(ask_from(1, server.address, 0));
    }
    assert_eq!(server.ask("GET", "/status", &[]).text(), "ok");
    // It would be 10 seconds until they are given up.
    assert!(begin.elapsed() < Duration::from_secs(8));
}

#[test]
fn so_many_wait_of_an_address_and_so_many_of_all() {
    let (server, _silent) = asking(&[]);
    let mut waiting = Vec::new();
    // So many more come from an address, and so many of all are told to come later.
    for (client, come, refused) in [(1, 70, 6), (2, 65, 1), (3, 64, 0), (4, 64, 0), (5, 3, 3)] {
        waiting.extend((0..come).map(|_| ask_from(client, server.address, 0)));
        let left = waiting.len() - refused;
        eventually("those that are too many are refused", || {
            waiting.retain(|stream| !is_answered(stream) || !is_refused(stream));
            waiting.len() == left
        });
    }
    // Others are served meanwhile.
    assert_eq!(server.ask("GET", "/status", &[]).text(), "ok");
    assert_eq!(waiting.len(), 256);
    assert!(!waiting.iter().any(is_answered));
}

/// Returns true. The answer says that too many wait.
fn is_refused(stream: &TcpStream) -> bool {
    let answer = Answer::read(&mut BufReader::new(stream), "GET");
    assert_eq!((answer.status, answer.header("retry-after")), (503, Some("2")));
    assert!(answer.text().contains("too many"), "{}", answer.text());
    true
}
