//! A server with TLS: handshakes, messages, certificates, the port that leads to TLS, and clients that mean no good.
#![cfg(target_os = "linux")]

mod files;
mod hostile;
mod redirect;

use std::{
    io::{BufReader, Write as _},
    net::SocketAddr,
    process::Command,
    sync::Arc,
    thread,
};

use rustix::process::Signal;
use rustls::{
    ClientConfig, HandshakeKind,
    version::{TLS12, TLS13},
};
use stateroom_server_smol::Tls;
use stateroom_tests::{
    Answer, Child, Directory, Frame, Module, Output, TestServer, server,
    services::script,
    tls::{Authority, TlsClient, connect, get},
};

/// Returns a server in this process with a certificate, and a client that trusts it.
fn tls_server(authority: &Authority) -> (stateroom_server_smol::Server, Arc<ClientConfig>, Directory) {
    let directory = Directory::new();
    authority.issue().write(&directory);
    let path = directory.path();
    let tls = Tls::from_files(path.join("cert.pem"), path.join("key.pem")).expect("both are there");
    (server().with_tls(Some(tls)), Arc::new(authority.client(&[&TLS13, &TLS12])), directory)
}

/// Starts the command with a certificate, and returns its address.
fn command(directory: &Directory, more: &[&str]) -> (Child, SocketAddr) {
    let child = start(directory, more);
    let address = child.line(Output::Stderr, "serving on ").parse().expect("an address");
    (child, address)
}

fn start(directory: &Directory, more: &[&str]) -> Child {
    std::fs::write(directory.path().join("server.wasm"), wat::parse_str(echo().text()).expect("a module"))
        .expect("a disk");
    let path = |name: &str| directory.path().join(name).display().to_string();
    let (module, cert, key) = (path(""), path("cert.pem"), path("key.pem"));
    let fixed =
        ["serve", &module, "--ip", "127.0.0.1", "--port", "0", "--tls-cert", &cert, "--tls-key", &key];
    Child::start("stateroom", &[&fixed, more].concat())
}

/// Returns a guest that sends everything back, with space for large messages.
fn echo() -> Module {
    Module::new().memory("20")
}

#[test]
fn messages_go_both_ways_with_both_versions_of_tls() {
    let authority = Authority::new();
    for threads in [1, 2] {
        let (server, _, _directory) = tls_server(&authority);
        let server = TestServer::with(server.with_threads(threads), script());
        for version in [&TLS13, &TLS12] {
            let config = Arc::new(authority.client(&[version]));
            // Rooms of both threads.
            for room in ["a", "b", "c", "d"] {
                let mut client = TlsClient::connect(server.address(), &config, room);
                assert_eq!(client.connection().protocol_version(), Some(version.version));
                assert_eq!(client.connection().alpn_protocol(), Some(&b"http/1.1"[..]));
                assert_eq!(client.ask("hello"), "hello");
                client.leave();
            }
            assert_eq!(get(server.address(), &config, "/status").text(), "ok");
        }
    }
}

#[test]
fn a_client_that_wants_another_protocol_than_http_1_is_told_in_the_handshake() {
    let authority = Authority::new();
    let (server, _, _directory) = tls_server(&authority);
    let server = TestServer::with(server, script());
    let mut config = authority.client(&[&TLS13]);
    config.alpn_protocols = vec![b"h2".to_vec()];
    let error = connect(server.address(), &Arc::new(config)).flush().unwrap_err();
    assert!(error.to_string().contains("NoApplicationProtocol"), "{error}");
}

#[test]
fn what_comes_in_one_record_with_the_request_is_read_on_any_thread() {
    let authority = Authority::new();
    let (server, config, _directory) = tls_server(&authority);
    let server = TestServer::with(server.with_threads(2), script());
    for room in ["a", "b", "c", "d", "e", "f"] {
        let texts: Vec<_> = (0..130).map(|number| format!("{number:0100}")).collect();
        let frames: Vec<u8> = texts.iter().flat_map(|text| Frame::text(text).masked()).collect();
        // It is more than is read of a request at a time, and less than a record can have.
        let mut client = TlsClient::upgrade_and_send(connect(server.address(), &config), room, &frames);
        for text in texts {
            let frame = client.receive().expect("an answer").expect("an answer");
            assert_eq!(frame.payload, text.as_bytes());
        }
        client.leave();
    }
}

#[test]
fn a_page_without_tls_is_not_of_the_same_host() {
    let authority = Authority::new();
    let (server, config, _directory) = tls_server(&authority);
    let server = TestServer::with(server, script());
    for (origin, status) in
        [("https://localhost", 200), ("http://localhost", 403), ("http://localhost:443", 403)]
    {
        let mut stream = connect(server.address(), &config);
        write!(stream, "GET /status HTTP/1.1\r\nHost: localhost\r\nOrigin: {origin}\r\n\r\n")
            .expect("a request");
        assert_eq!(Answer::read(&mut BufReader::new(stream), "GET").status, status, "{origin}");
    }
}

#[test]
fn large_and_many_messages_come_whole() {
    let authority = Authority::new();
    let (server, config, _directory) = tls_server(&authority);
    let server = TestServer::with(server, script());
    let mut client = TlsClient::connect(server.address(), &config, "room");
    for size in [1, 125, 126, 16_383, 16_384, 16_385, 65_535, 65_536, 1 << 20] {
        let text: String =
            (0..size).map(|at| char::from(b'a' + u8::try_from(at % 26).expect("a letter"))).collect();
        assert!(client.ask(&text) == text, "{size}");
    }
    // Many in few records.
    let texts: Vec<_> = (0..5_000).map(|number| format!("number {number}")).collect();
    let frames: Vec<u8> = texts.iter().flat_map(|text| Frame::text(text).masked()).collect();
    client.send_raw(&frames);
    for text in texts {
        let frame = client.receive().expect("an answer").expect("an answer");
        assert_eq!(frame.payload, text.as_bytes());
    }
    client.leave();
}

#[test]
fn a_client_that_reads_late_gets_all_that_was_sent_to_it() {
    let authority = Authority::new();
    let (server, config, _directory) = tls_server(&authority);
    let server = TestServer::with(server.with_outbox_size(64 << 20), script());
    let mut slow = TlsClient::connect(server.address(), &config, "room");
    assert_eq!(slow.ask("hello"), "hello");
    let mut speaker = TlsClient::connect(server.address(), &config, "room");
    let text = "x".repeat(100_000);
    for _ in 0..200 {
        speaker.send(&Frame::text(&format!("to 1 {text}")));
    }
    assert_eq!(speaker.ask("hello"), "hello");
    for _ in 0..200 {
        let frame = slow.receive().expect("a message").expect("a message");
        assert!(frame.payload == text.as_bytes());
    }
    slow.leave();
}

#[test]
fn clients_that_come_back_continue_their_tls_sessions() {
    let authority = Authority::new();
    for version in [&TLS13, &TLS12] {
        let (server, _, directory) = tls_server(&authority);
        let tls = server.settings().tls.clone().expect("it has been set");
        let server = TestServer::with(server, script());
        let config = Arc::new(authority.client(&[version]));
        let visit = || {
            let mut client = TlsClient::connect(server.address(), &config, "room");
            assert_eq!(client.ask("hello"), "hello");
            let is_resumed = client.is_resumed();
            client.leave();
            is_resumed
        };
        assert_eq!([visit(), visit(), visit()], [false, true, true], "{version:?}");
        // With another certificate, too.
        authority.issue().write(&directory);
        tls.reload().expect("it is there");
        assert!(visit(), "{version:?}");
    }
}

#[test]
fn clients_are_told_over_tls_that_the_server_goes_away() {
    let authority = Authority::new();
    let directory = Directory::new();
    authority.issue().write(&directory);
    let (mut child, address) = command(&directory, &["--threads", "2"]);
    let connect = |room| TlsClient::connect(address, &Arc::new(authority.client(&[&TLS13])), room);
    let mut clients: Vec<_> = ["a", "b", "c"].map(connect).into();
    for client in &mut clients {
        assert_eq!(client.ask("hello"), "hello");
        assert_eq!(client.connection().handshake_kind(), Some(HandshakeKind::Full));
    }
    child.signal(Signal::TERM);
    let goodbye = |mut client: TlsClient| {
        let close = client.receive().expect("a frame").expect("a close frame");
        assert_eq!(close.payload[..2], 1001_u16.to_be_bytes());
        client.send(&Frame::close(1001));
    };
    let clients: Vec<_> = clients.into_iter().map(|client| thread::spawn(move || goodbye(client))).collect();
    clients.into_iter().for_each(|client| client.join().expect("all went well"));
    assert_eq!(child.exit().0, Some(0));
}

/// Returns true if a program is there.
fn is_installed(program: &str) -> bool {
    Command::new(program).arg("--version").output().is_ok()
        || Command::new(program).arg("version").output().is_ok()
}

#[test]
fn curl_and_openssl_reach_it() {
    let authority = Authority::new();
    let directory = Directory::new().with("ca.pem", authority.certificate.pem());
    authority.issue().write(&directory);
    let (_child, address) = command(&directory, &[]);
    let ca = directory.path().join("ca.pem");
    let port = address.port();
    if is_installed("curl") {
        for version in ["--tlsv1.3", "--tls-max=1.2"] {
            let mut curl = Command::new("curl");
            curl.args(["--silent", "--show-error", "--noproxy", "*", "--cacert"]).arg(&ca);
            match version.split_once('=') {
                Some((option, value)) => curl.args([option, value]),
                None => curl.arg(version),
            };
            let output = curl.arg(format!("https://localhost:{port}/status")).output().expect("it runs");
            let (out, errors) =
                (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
            assert_eq!((&*out, &*errors), ("ok", ""), "{version}");
        }
    }
    if is_installed("openssl") {
        for version in ["-tls1_3", "-tls1_2"] {
            let mut openssl = Command::new("openssl");
            openssl.args([
                "s_client",
                "-verify_return_error",
                "-servername",
                "localhost",
                "-alpn",
                "http/1.1",
                version,
            ]);
            openssl.arg("-CAfile").arg(&ca).args(["-connect", &address.to_string()]);
            let output = openssl.stdin(std::process::Stdio::null()).output().expect("it runs");
            let text = String::from_utf8_lossy(&output.stdout);
            assert!(text.contains("Verify return code: 0 (ok)"), "{version}: {text}");
            assert!(text.contains("ALPN protocol: http/1.1"), "{version}: {text}");
        }
    }
}
