use std::{
    io::{BufReader, Write as _},
    net::TcpStream,
};

use stateroom_tests::{
    Answer, Child, Client, Directory, Module, Output, TestServer, eventually,
    services::{bouncer, script},
};

use super::{address, behind, tcp, upgrade};

#[test]
fn trusted_proxies_say_which_client_they_speak_for() {
    for threads in [1, 2] {
        let server = behind(&["127.0.0.1", "10.0.0.0/8"]).with_threads(threads);
        let server = TestServer::with(server, bouncer());
        for (headers, client) in [
            (&["X-Forwarded-For: 203.0.113.7"][..], "203.0.113.7"),
            (&["x-forwarded-for: 1.2.3.4, 203.0.113.7, 10.0.0.5"], "203.0.113.7"),
            (
                &["X-Forwarded-For: 1.2.3.4", "X-Forwarded-For: 203.0.113.7,", "X-Forwarded-For: 10.9.9.9"],
                "203.0.113.7",
            ),
            (&["X-Forwarded-For: ::ffff:203.0.113.7"], "203.0.113.7"),
            (&["Forwarded: for=1.2.3.4, for=\"[2001:db8::1]:4711\";proto=https;by=10.0.0.1"], "2001:db8::1"),
            (&["Forwarded: for=1.2.3.4", "Forwarded: for=203.0.113.7"], "203.0.113.7"),
            (&["Forwarded: for=203.0.113.7", "X-Forwarded-For: 1.2.3.4, 203.0.113.7"], "203.0.113.7"),
            // The proxy hides its client, or adds nothing.
            (&["Forwarded: for=1.2.3.4, for=_hidden"], "127.0.0.1"),
            (&["Forwarded: for=unknown"], "127.0.0.1"),
            (&["X-Forwarded-For: 1.2.3.4, unknown"], "127.0.0.1"),
            (&["X-Forwarded-For: "], "127.0.0.1"),
            (&[], "127.0.0.1"),
            // Nobody can tell which of them is the proxy's.
            (&["Forwarded: for=1.2.3.4", "X-Forwarded-For: 203.0.113.7"], "400"),
            (&["Forwarded: for=\"", "Forwarded: for=203.0.113.7"], "400"),
            (&["Forwarded: for=\"1.2.3.4, for=203.0.113.7"], "400"),
        ] {
            assert_eq!(address(&server, headers).0, client, "{headers:?}");
        }
        assert_eq!(server.request("GET", "/status", &["Forwarded: for=\""]).status, 400);
    }
}

#[test]
fn nobody_else_is_believed() {
    for proxies in [&[][..], &["10.0.0.0/8", "203.0.113.7", "unix", "::1"]] {
        let server = TestServer::with(behind(proxies).with_max_connections_per_address(Some(3)), bouncer());
        let mut all = Vec::new();
        for headers in
            [&["X-Forwarded-For: 203.0.113.7"][..], &["Forwarded: for=10.0.0.1"], &["Forwarded: for=\""]]
        {
            let (address, connection) = address(&server, headers);
            assert_eq!(address, "127.0.0.1", "{headers:?}");
            all.push(connection);
        }
        assert_eq!(address(&server, &["X-Forwarded-For: 203.0.113.8"]).0, "429");
    }
}

#[test]
fn connections_are_counted_for_the_clients_of_a_proxy_and_not_for_the_proxy() {
    for threads in [1, 2] {
        let server = behind(&["127.0.0.1"]).with_max_connections_per_address(Some(2)).with_threads(threads);
        let server = TestServer::with(server, bouncer());
        // Proxies keep connections open on which nothing is asked for.
        let idle: Vec<_> = (0..20).map(|_| tcp(server.address())).collect();
        let of = |client: &str| address(&server, &[&format!("X-Forwarded-For: {client}")]);
        let (first, second, other) = (of("203.0.113.7"), of("203.0.113.7"), of("203.0.113.8"));
        assert_eq!((&*first.0, &*second.0, &*other.0), ("203.0.113.7", "203.0.113.7", "203.0.113.8"));
        assert_eq!(of("203.0.113.7").0, "429");
        let refused = server.request("GET", "/ws/room", &["X-Forwarded-For: 203.0.113.7"]);
        assert_eq!(refused.status, 426, "only WebSockets are counted");
        // All addresses of a network of 64 bits are those of one client.
        let v6: Vec<_> = ["2001:db8::1", "2001:db8::2:1"].map(of).into();
        assert_eq!(of("2001:db8::ffff:1:2:3").0, "429");
        assert_eq!(of("2001:db8:0:1::1").0, "2001:db8:0:1::1");
        drop(first);
        eventually("there is a place again", || of("203.0.113.7").0 == "203.0.113.7");
        drop((second, other, v6, idle));
    }
}

#[test]
fn a_refused_client_is_told_when_to_come_back() {
    let server = behind(&["127.0.0.1"]).with_max_connections_per_address(Some(1));
    let server = TestServer::with(server, script());
    let header = ["X-Forwarded-For: 203.0.113.7"];
    let _first = Client::connect_with(server.address(), "/ws/room", &header).expect("an upgrade");
    let refused = Client::connect_with(server.address(), "/ws/room", &header).expect_err("one is the limit");
    assert_eq!((refused.status, refused.header("retry-after")), (429, Some("5")));
}

/// Sends requests one after the other on a connection. Returns the status of each answer.
struct KeptAlive(BufReader<TcpStream>);

impl KeptAlive {
    fn ask(&mut self, method: &str, path: &str, client: &str) -> u16 {
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\nX-Forwarded-For: {client}\r\n\r\n"
        );
        self.0.get_mut().write_all(request.as_bytes()).expect("a request");
        Answer::read(&mut self.0, method).status
    }
}

#[test]
fn each_request_on_a_connection_has_a_client_of_its_own() {
    let server = behind(&["127.0.0.1"]).with_join_rate(1).with_room_rate(1);
    let server = TestServer::with_clock(server, bouncer());
    let mut proxy = KeptAlive(BufReader::new(tcp(server.address())));
    for _ in 0..10 {
        assert_eq!(proxy.ask("GET", "/ws/room", "203.0.113.7"), 426);
    }
    for number in 0..10 {
        assert_eq!(proxy.ask("POST", &format!("/ws/{number}"), "203.0.113.7"), 201);
    }
    assert_eq!(proxy.ask("GET", "/ws/room", "203.0.113.7"), 429);
    assert_eq!(proxy.ask("POST", "/ws/a", "203.0.113.7"), 429);
    assert_eq!(proxy.ask("GET", "/ws/room", "203.0.113.8"), 426);
    assert_eq!(proxy.ask("POST", "/ws/a", "203.0.113.8"), 201);
    assert_eq!(proxy.ask("GET", "/ws/room", "203.0.113.7"), 429);
    // The last one becomes a WebSocket.
    let last = upgrade(super::ASK, &["X-Forwarded-For: 203.0.113.9"]);
    proxy.0.get_mut().write_all(last.as_bytes()).expect("a request");
    assert_eq!(Answer::read(&mut proxy.0, "GET").status, 101);
    let texts: Vec<_> = (0..2)
        .map(|_| stateroom_tests::Frame::read(&mut proxy.0).expect("a frame").expect("a message").payload)
        .collect();
    assert_eq!(texts[1], b"address is \"203.0.113.9\"");
}

#[test]
fn ten_thousand_addresses_do_not_change_what_one_may_do() {
    let server = behind(&["127.0.0.1"]).with_join_rate(1).with_max_connections_per_address(Some(1));
    let server = TestServer::with_clock(server, script());
    let mut proxy = KeptAlive(BufReader::new(tcp(server.address())));
    let ask = |proxy: &mut KeptAlive, client: &str| proxy.ask("GET", "/ws/room", client);
    (0..10).for_each(|_| assert_eq!(ask(&mut proxy, "203.0.113.7"), 426));
    let memory = server.stats().memory;
    for number in 0..10_000_u32 {
        let client = std::net::Ipv4Addr::from_bits(0x0b00_0000 + number);
        assert_eq!(ask(&mut proxy, &client.to_string()), 426);
    }
    assert_eq!(ask(&mut proxy, "203.0.113.7"), 429);
    assert_eq!(ask(&mut proxy, "11.0.0.1"), 426);
    assert_eq!(server.stats().memory, memory);
}

#[test]
fn a_url_that_is_asked_and_the_log_get_the_address_of_the_client() {
    let guest = Module::new().kept_program();
    let directory = Directory::new().with("guest.wasm", guest.module().expect("it is kept"));
    let module = directory.path().join("guest.wasm").display().to_string();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}/", listener.local_addr().expect("it listens"));
    let arguments = ["--trusted-proxy", "127.0.0.0/8", "--trusted-proxy", "unix", "--auth-url", &url];
    let fixed = ["serve", &module, "--verbose", "--ip", "127.0.0.1", "--port", "0"];
    let child = Child::start("stateroom", &[&fixed[..], &arguments].concat());
    let at = child.line(Output::Stderr, "serving on ").parse().expect("an address");
    let asking = std::thread::spawn(move || {
        Client::connect_with(at, "/ws/room", &["X-Forwarded-For: 203.0.113.7"])
            .expect_err("nobody enters")
            .status
    });
    let (backend, _) = listener.accept().expect("it is asked");
    let mut lines = Vec::new();
    let mut reader = BufReader::new(&backend);
    while !lines.iter().any(String::is_empty) {
        let mut line = String::new();
        std::io::BufRead::read_line(&mut reader, &mut line).expect("a request");
        lines.push(line.trim_end().to_owned());
    }
    assert!(lines.contains(&"X-Forwarded-For: 203.0.113.7".to_owned()), "{lines:?}");
    (&backend).write_all(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n").expect("it listens");
    assert_eq!(asking.join().expect("an answer"), 403);
    child.line(Output::Stderr, "203.0.113.7 is not let into room");
}
