//! Clients that mean no good, or do not know that they need TLS.

use std::{
    io::{self, BufReader, Read as _, Write as _},
    net::{Shutdown, SocketAddr, TcpStream},
    sync::Arc,
    time::Duration,
};

use rustls::{ClientConnection, version::TLS13};
use stateroom_tests::{
    Answer, PATIENCE, TestServer, eventually,
    services::script,
    tls::{Authority, TlsClient, connect, get},
};

use super::tls_server;

fn tcp(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).expect("a connection");
    stream.set_read_timeout(Some(PATIENCE)).expect("not zero");
    stream
}

/// Returns the first bytes that a client sends.
fn hello(authority: &Authority) -> Vec<u8> {
    let config = Arc::new(authority.client(&[&TLS13]));
    let name = "localhost".try_into().expect("a name");
    let mut client = ClientConnection::new(config, name).expect("rules that fit together");
    let mut hello = Vec::new();
    client.write_tls(&mut hello).expect("memory");
    hello
}

#[test]
fn who_speaks_http_without_tls_is_told() {
    let authority = Authority::new();
    let (server, _, _directory) = tls_server(&authority);
    let server = TestServer::with(server, script());
    let words = "this port is for TLS: begin the URL with https:// or wss://";
    // However long the request is, and although its end comes later, the connection is not reset.
    for size in [0, 5_000, 60_000] {
        let mut stream = tcp(server.address());
        write!(stream, "GET / HTTP/1.1\r\nHost: a\r\nCookie: {}", "x".repeat(size)).expect("a request");
        stream.peek(&mut [0]).expect("an answer");
        stream.write_all(b"\r\nAccept: text/html\r\n\r\n").expect("the server reads");
        let answer = Answer::read(&mut BufReader::new(&stream), "GET");
        assert_eq!((answer.status, answer.text()), (400, words));
        stream.write_all(b"GET / HTTP/1.1\r\n\r\n").expect("no reset");
        assert_eq!(stream.read(&mut [0]).expect("no reset"), 0);
    }
}

#[test]
fn a_handshake_that_does_not_go_on_ends_after_30_seconds() {
    let authority = Authority::new();
    let (server, config, _directory) = tls_server(&authority);
    let server = TestServer::with_clock(server, script());
    let hello = hello(&authority);
    let mut slow: Vec<_> = (0..20)
        .map(|number| {
            let mut stream = tcp(server.address());
            stream.write_all(&hello[..hello.len() - 1 - number]).expect("a part of a handshake");
            stream
        })
        .collect();
    // Those whose handshake is over, and who ask nothing.
    let mut silent = connect(server.address(), &config);
    silent.flush().expect("a handshake");
    eventually("their memory is counted", || server.stats().memory >= 20 * (16 << 10));
    assert_eq!(get(server.address(), &config, "/status").text(), "ok", "others are served meanwhile");
    server.pass(Duration::from_secs(31));
    for stream in &mut slow {
        let mut rest = Vec::new();
        // It may be reset, as not all was read.
        let _ = stream.read_to_end(&mut rest);
        assert!(rest.is_empty(), "{rest:?}");
    }
    let mut rest = Vec::new();
    silent.read_to_end(&mut rest).expect("a good end");
    eventually("their memory is given back", || server.stats().memory < 20 << 10);
}

#[test]
fn handshakes_that_do_not_go_on_leave_memory_for_others() {
    const LIMIT: usize = 8 << 20;
    let authority = Authority::new();
    let (server, config, _directory) = tls_server(&authority);
    let server = TestServer::with(server.with_total_memory(LIMIT), script());
    let mut good = TlsClient::connect(server.address(), &config, "room");
    let hello = hello(&authority);
    // Together they would take more than twice the memory.
    let slow: Vec<_> = (0..800)
        .map(|_| {
            let mut stream = tcp(server.address());
            // It may have been refused already.
            let _ = stream.write_all(&hello[..hello.len() - 1]);
            stream
        })
        .collect();
    assert_eq!(good.ask("hello"), "hello");
    // Those that wait for longest go for those who ask for something.
    eventually("others are served", || {
        let mut stream = connect(server.address(), &config);
        let mut answer = String::new();
        // It may be refused in any way before that.
        let _ = write!(stream, "GET /status HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        let _ = stream.read_to_string(&mut answer);
        answer.starts_with("HTTP/1.1 200")
    });
    let stats = server.stats();
    assert!(stats.peak_memory <= LIMIT, "{stats:?}");
    assert_eq!(good.ask("hello"), "hello");
    drop(slow);
}

#[test]
fn too_many_of_an_address_are_told_so_over_tls() {
    let authority = Authority::new();
    let (server, config, _directory) = tls_server(&authority);
    let server = TestServer::with(server.with_max_connections_per_address(Some(1)), script());
    let mut client = TlsClient::connect(server.address(), &config, "room");
    assert_eq!(client.ask("hello"), "hello");
    let answer = get(server.address(), &config, "/status");
    assert_eq!((answer.status, answer.header("retry-after")), (429, Some("5")));
}

#[test]
fn damaged_records_end_their_connection_and_no_other() {
    let authority = Authority::new();
    let (server, config, _directory) = tls_server(&authority);
    let server = TestServer::with(server, script());
    let mut good = TlsClient::connect(server.address(), &config, "room");
    let hello = hello(&authority);
    let mut random = fastrand::Rng::with_seed(1);
    for round in 0..300 {
        let mut bytes = hello.clone();
        match round % 3 {
            0 => (0..random.usize(1..4)).for_each(|_| bytes[random.usize(..hello.len())] ^= random.u8(1..)),
            1 => bytes = (0..random.usize(1..20_000)).map(|_| random.u8(..)).collect(),
            // A record follows that cannot be decrypted.
            _ => bytes.extend([0x17, 3, 3, 0, 40].into_iter().chain((0..40).map(|_| random.u8(..)))),
        }
        // As an upper-case letter would begin a request without TLS.
        if round % 3 == 1 {
            bytes[0] = 0x16;
        }
        let mut stream = tcp(server.address());
        // The server may have closed it already.
        let _ = stream.write_all(&bytes);
        let _ = stream.shutdown(Shutdown::Write);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        assert_eq!(good.ask("hello"), "hello", "{round}");
    }
    eventually("they are gone", || server.stats().memory < 64 << 10);
    // After the handshake: the client's keys are used for a record that is changed on its way.
    let mut victim = connect(server.address(), &config);
    victim.flush().expect("a handshake");
    write!(victim.conn.writer(), "GET /status HTTP/1.1\r\n").expect("memory");
    let mut record = Vec::new();
    victim.conn.write_tls(&mut record).expect("memory");
    *record.last_mut().expect("it is not empty") ^= 1;
    victim.sock.write_all(&record).expect("a record");
    let error = victim.read(&mut [0; 100]).expect_err("an alert");
    assert!(
        error.kind() == io::ErrorKind::InvalidData && error.to_string().contains("BadRecordMac"),
        "{error}"
    );
    assert_eq!(good.ask("hello"), "hello");
}
