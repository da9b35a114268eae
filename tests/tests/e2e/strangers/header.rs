use std::{
    io::{BufReader, Read as _, Write as _},
    os::unix::net::UnixStream,
    sync::Arc,
    thread,
    time::Duration,
};

use rustls::{ClientConnection, StreamOwned, version::TLS13};
use stateroom_server_smol::{ListenAddress, Tls};
use stateroom_tests::{
    Answer, Directory, PATIENCE, TestServer, eventually, records_with, server,
    services::{bouncer, script},
    tls::{Authority, TlsClient},
};

use super::{address, address_on, behind, from, header, tcp};

const GET: &[u8] = b"GET /status HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";

#[test]
fn a_header_says_which_client_a_connection_is_from() {
    for threads in [1, 2] {
        let server = behind(&["127.0.0.1"]).with_proxy_protocol(true).with_threads(threads);
        let server = TestServer::with(server, bouncer());
        let known = |before: &[u8]| address_on(tcp(server.address()), before, &[]).0;
        assert_eq!(known(&from("203.0.113.7:4711")), "203.0.113.7");
        assert_eq!(known(&from("[2001:db8::1]:4711")), "2001:db8::1");
        assert_eq!(known(&from("[::ffff:203.0.113.7]:1")), "203.0.113.7");
        let mut more = vec![203, 0, 113, 7, 10, 0, 0, 1, 1, 2, 0, 80];
        more.extend([0xe0; 2_000]);
        assert_eq!(known(&header(0x21, 0x11, &more)), "203.0.113.7");
        // The proxy's own connection, and one whose client it does not know.
        assert_eq!(known(&header(0x20, 0, &[])), "127.0.0.1");
        assert_eq!(known(&header(0x21, 0, &[1; 50])), "127.0.0.1");
        // Nor is what such a connection says of its client believed: the proxy may not know who says it.
        for unknown in [header(0x20, 0, &[]), header(0x21, 0, &[1; 50])] {
            let spoofed = address_on(tcp(server.address()), &unknown, &["X-Forwarded-For: 1.2.3.4"]);
            assert_eq!(spoofed.0, "127.0.0.1");
        }
        // The client is no proxy, whatever it says.
        let spoofed =
            address_on(tcp(server.address()), &from("203.0.113.7:1"), &["X-Forwarded-For: 1.2.3.4"]);
        assert_eq!(spoofed.0, "203.0.113.7");
    }
}

#[test]
fn proxies_may_stand_in_a_row() {
    let server = behind(&["127.0.0.1", "10.0.0.0/8"]).with_proxy_protocol(true);
    let server = TestServer::with(server.with_max_connections_per_address(Some(1)), bouncer());
    let through = |client: &str| {
        let header = format!("X-Forwarded-For: {client}");
        address_on(tcp(server.address()), &from("10.0.0.9:4711"), &[&header])
    };
    let (first, second) = (through("1.2.3.4, 203.0.113.7"), through("203.0.113.8"));
    assert_eq!((&*first.0, &*second.0), ("203.0.113.7", "203.0.113.8"));
    assert_eq!(through("203.0.113.7").0, "429");
}

#[test]
fn a_header_may_come_in_pieces_and_together_with_a_request() {
    let server = TestServer::with(behind(&["127.0.0.1"]).with_proxy_protocol(true), bouncer());
    let whole = from("203.0.113.7:4711");
    for size in [1, 12, 16, 20, whole.len() - 1] {
        let mut stream = tcp(server.address());
        for piece in whole.chunks(size) {
            stream.write_all(piece).expect("it is read");
            thread::yield_now();
        }
        assert_eq!(address_on(stream, &[], &[]).0, "203.0.113.7", "{size}");
    }
}

#[test]
fn connections_without_a_valid_header_are_closed_and_the_log_says_so() {
    let server = TestServer::with_clock(behind(&["127.0.0.1"]).with_proxy_protocol(true), script());
    let (mut good, _) = {
        let mut stream = tcp(server.address());
        stream.write_all(&from("203.0.113.7:1")).expect("it is read");
        (stream, ())
    };
    let mut too_large = header(0x21, 0x11, &[0; 20]);
    too_large[14..16].copy_from_slice(&[0xff, 0xff]);
    let bad: [&[u8]; 8] = [
        GET,
        b"PROXY TCP4 203.0.113.7 10.0.0.1 4711 80\r\nGET /status HTTP/1.1\r\n\r\n",
        b"\r\n\r\n\0\r\nQUIT\r",
        &[0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3],
        &header(0x31, 0x11, &[0; 12]),
        &header(0x21, 0x12, &[0; 12]),
        &header(0x21, 0x11, &[0; 11]),
        &too_large,
    ];
    for bytes in bad {
        let mut stream = tcp(server.address());
        stream.write_all(bytes).expect("it is read");
        let mut answer = Vec::new();
        // It may be reset, as not all was read.
        let _ = stream.read_to_end(&mut answer);
        assert!(answer.is_empty(), "{bytes:?}");
    }
    // A look whether the port is open is no fault.
    drop(tcp(server.address()));
    let line = "8 clients were refused or closed: connections of a trusted proxy did not begin with a header of version 2";
    eventually("the log says so", || {
        server.pass(Duration::from_millis(100));
        !records_with(line).is_empty()
    });
    good.write_all(GET).expect("it is read");
    assert_eq!(Answer::read(&mut BufReader::new(good), "GET").status, 200);
}

#[test]
fn a_header_that_does_not_come_ends_its_connection_after_a_while() {
    let server = TestServer::with_clock(behind(&["127.0.0.1"]).with_proxy_protocol(true), script());
    let whole = from("203.0.113.7:4711");
    let before = server.stats().memory;
    let mut slow: Vec<_> = [0, 1, 12, 15, 16, 27]
        .into_iter()
        .map(|size| {
            let mut stream = tcp(server.address());
            stream.write_all(&whole[..size]).expect("it is read");
            stream
        })
        .collect();
    eventually("they are accepted", || server.stats().memory >= before + slow.len() * 1_000);
    server.pass(Duration::from_secs(4));
    for stream in &mut slow {
        stream.set_nonblocking(true).expect("an option of every socket");
        assert!(stream.read(&mut [0]).is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock));
        stream.set_nonblocking(false).expect("an option of every socket");
    }
    eventually("they are closed", || {
        server.pass(Duration::from_secs(1));
        server.stats().memory <= before
    });
    for mut stream in slow {
        assert_eq!(stream.read(&mut [0]).unwrap_or(0), 0);
    }
}

#[test]
fn silent_connections_of_a_proxy_make_place_for_others() {
    let server = behind(&["127.0.0.1"]).with_proxy_protocol(true).with_max_connections(4);
    let server = TestServer::with(server, bouncer());
    let silent: Vec<_> = (0..10).map(|_| tcp(server.address())).collect();
    let clients: Vec<_> = (0..4)
        .map(|number| address_on(tcp(server.address()), &from(&format!("203.0.113.{number}:1")), &[]))
        .collect();
    for (number, (address, _)) in clients.iter().enumerate() {
        assert_eq!(*address, format!("203.0.113.{number}"));
    }
    assert_eq!(address_on(tcp(server.address()), &from("203.0.113.9:1"), &[]).0, "503");
    drop(silent);
}

#[test]
fn others_send_no_header_and_are_not_believed() {
    let server = behind(&["10.0.0.0/8", "unix"]).with_proxy_protocol(true);
    let server = TestServer::with(server, bouncer());
    assert_eq!(address(&server, &["X-Forwarded-For: 1.2.3.4"]).0, "127.0.0.1");
    let mut stream = tcp(server.address());
    stream.write_all(&[&from("203.0.113.7:1"), GET].concat()).expect("it is read");
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    assert!(!answer.starts_with(b"HTTP/1.1 200"), "{answer:?}");
}

#[test]
fn connections_are_counted_for_the_client_in_the_header() {
    let server = behind(&["127.0.0.1"]).with_proxy_protocol(true).with_max_connections_per_address(Some(2));
    let server = TestServer::with(server, bouncer());
    let of = |client: &str| address_on(tcp(server.address()), &from(client), &[]);
    let (first, second, other) = (of("203.0.113.7:1"), of("203.0.113.7:2"), of("203.0.113.8:1"));
    assert_eq!((&*first.0, &*second.0, &*other.0), ("203.0.113.7", "203.0.113.7", "203.0.113.8"));
    let mut stream = tcp(server.address());
    stream.write_all(&[&from("203.0.113.7:3"), GET].concat()).expect("it is read");
    let refused = Answer::read(&mut BufReader::new(stream), "GET");
    assert_eq!((refused.status, refused.header("retry-after")), (429, Some("5")));
    drop(first);
    eventually("there is a place again", || of("203.0.113.7:4").0 == "203.0.113.7");
}

#[test]
fn tls_begins_behind_the_header() {
    let authority = Authority::new();
    let directory = Directory::new();
    authority.issue().write(&directory);
    let path = directory.path();
    let tls = Tls::from_files(path.join("cert.pem"), path.join("key.pem")).expect("both are there");
    let config = Arc::new(authority.client(&[&TLS13]));
    let server = behind(&["127.0.0.1"]).with_proxy_protocol(true).with_tls(Some(tls));
    let server = TestServer::with(server.with_max_connections_per_address(Some(1)), bouncer());
    let connect = |before: &[u8]| {
        let mut socket = tcp(server.address());
        socket.write_all(before).expect("it is read");
        let name = "localhost".try_into().expect("a name");
        StreamOwned::new(ClientConnection::new(Arc::clone(&config), name).expect("rules"), socket)
    };
    let (address, mut first) = address_on(connect(&from("203.0.113.7:1")), &[], &[]);
    assert_eq!(address, "203.0.113.7");
    // One too many is told so over TLS, too.
    assert_eq!(address_on(connect(&from("203.0.113.7:2")), &[], &[]).0, "429");
    let mut other = TlsClient::upgrade(connect(&from("203.0.113.8:1")), "room?token=1");
    assert!(other.receive().expect("an event").is_some());
    // Without a header, the handshake is taken for one.
    let mut without = connect(&[]);
    assert!(
        without.write_all(GET).and_then(|()| without.flush()).is_err() || without.read(&mut [0]).is_err()
    );
    first.get_mut().flush().expect("it stands");
}

#[test]
fn proxies_at_a_unix_socket_are_trusted_if_the_operator_says_so() {
    for (has_header, before) in [(false, Vec::new()), (true, from("203.0.113.7:4711"))] {
        let directory = Directory::new();
        let path = directory.path().join("rooms.sock");
        let socket = ListenAddress::Unix { path: path.clone(), mode: 0o600 };
        let trusting = behind(&["unix"]).with_proxy_protocol(has_header).with_listen(socket.clone());
        let connect = || {
            let stream = UnixStream::connect(&path).expect("it listens");
            stream.set_read_timeout(Some(PATIENCE)).expect("not zero");
            stream
        };
        let trusting = TestServer::with(trusting.with_max_connections_per_address(Some(1)), bouncer());
        let headers: &[&str] = if has_header { &[] } else { &["X-Forwarded-For: 1.2.3.4, 203.0.113.7"] };
        let (address, first) = address_on(connect(), &before, headers);
        assert_eq!(address, "203.0.113.7");
        assert_eq!(address_on(connect(), &before, headers).0, "429");
        drop((first, trusting));
        // By default, nobody is.
        let other = TestServer::with(server().with_listen(socket), bouncer());
        assert_eq!(address_on(connect(), &[], &["X-Forwarded-For: 203.0.113.7"]).0, "127.0.0.1");
        drop(other);
    }
}

#[test]
fn a_server_that_expects_headers_of_nobody_does_not_start() {
    let error = server().with_proxy_protocol(true).bind().expect_err("it says why").to_string();
    assert!(error.contains("`proxy_protocol`") && error.contains("`trusted_proxies`"), "{error}");
}

#[test]
fn random_bytes_in_place_of_a_header_harm_nobody() {
    let server = TestServer::with(behind(&["127.0.0.1"]).with_proxy_protocol(true), bouncer());
    let before = server.stats().memory;
    let mut random = fastrand::Rng::with_seed(5);
    let whole = [header(0x21, 0x21, &[7; 300]), GET.to_vec()].concat();
    for _ in 0..300 {
        let mut bytes = whole.clone();
        for _ in 0..random.usize(1..4) {
            let at = random.usize(..20);
            bytes[at] = random.u8(..);
        }
        bytes.truncate(random.usize(..bytes.len()));
        let mut stream = tcp(server.address());
        let _ = stream.write_all(&bytes);
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let _ = stream.read_to_end(&mut Vec::new());
    }
    eventually("all are gone", || server.stats().memory <= before);
    assert_eq!(address_on(tcp(server.address()), &from("203.0.113.7:1"), &[]).0, "203.0.113.7");
}
