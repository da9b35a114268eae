//! The port that leads to TLS.

use std::{
    fs,
    io::{BufReader, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    os::fd::{AsRawFd as _, OwnedFd},
    process::Command,
};

use rustix::io::FdFlags;
use stateroom_tests::{Answer, Child, Directory, Output, binary, tls::Authority};

use super::{echo, start};

/// Starts a server, and returns the address that leads to TLS and the one with it.
fn redirecting(directory: &Directory) -> (Child, SocketAddr, SocketAddr) {
    Authority::new().issue().write(directory);
    let child = start(directory, &["--redirect-http", "0"]);
    let tls = child.line(Output::Stderr, "serving on ").parse().expect("an address");
    let line = child.line(Output::Stderr, "redirecting clients from ");
    let (plain, to) = line.split_once(" to ").expect("both addresses");
    assert!(to.starts_with("https://localhost:"), "{to}");
    (child, plain.parse().expect("an address"), tls)
}

fn ask(address: SocketAddr, request: &str) -> Answer {
    let mut stream = TcpStream::connect(address).expect("a connection");
    stream.write_all(request.as_bytes()).expect("a request");
    Answer::read(&mut BufReader::new(stream), request.split(' ').next().unwrap_or_default())
}

#[test]
fn clients_without_tls_are_led_to_the_same_url_with_it() {
    let directory = Directory::new();
    let (_child, plain, tls) = redirecting(&directory);
    let port = tls.port();
    for (line, host, to) in [
        ("GET /", "example.com", format!("https://example.com:{port}/")),
        ("GET /a%20b/?c=d&e", "example.com:80", format!("https://example.com:{port}/a%20b/?c=d&e")),
        ("POST /ws/room", "[::1]:8080", format!("https://[::1]:{port}/ws/room")),
        ("GET http://other/x", "example.com", format!("https://other:{port}/x")),
        ("HEAD //evil.example/", "example.com", format!("https://example.com:{port}//evil.example/")),
    ] {
        let answer = ask(plain, &format!("{line} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"));
        assert_eq!((answer.status, answer.header("location")), (308, Some(&*to)), "{line}");
    }
    for request in [
        "GET / HTTP/1.0\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\nConnection: close\r\n\r\n",
        "OPTIONS * HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    ] {
        assert_eq!(ask(plain, request).status, 400);
    }
}

#[test]
fn programs_that_renew_certificates_are_answered_there() {
    let directory = Directory::new()
        .with("static/.well-known/acme-challenge/token", "proof")
        .with("static/.well-known/other", "secret");
    let (_child, plain, _) = redirecting(&directory);
    let get =
        |path: &str| ask(plain, &format!("GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"));
    let answer = get("/.well-known/acme-challenge/token");
    assert_eq!((answer.status, answer.text()), (200, "proof"));
    assert_eq!(get("/.well-known/acme-challenge/other").status, 404);
    assert_eq!(get("/.well-known/acme-challenge/../other").status, 404);
    assert_eq!(get("/.well-known/other").status, 308);
}

#[test]
fn a_passed_socket_with_that_port_leads_to_tls() {
    let directory = Directory::new();
    Authority::new().issue().write(&directory);
    let [tls, plain] = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").expect("a port"));
    let [tls_at, plain_at] = [&tls, &plain].map(|socket| socket.local_addr().expect("it has one"));
    let port = plain_at.port().to_string();
    let path = |name: &str| directory.path().join(name).display().to_string();
    fs::write(path("room.wat"), echo().text()).expect("a disk");
    // The second one is inherited under its own number.
    rustix::io::fcntl_setfd(&plain, FdFlags::empty()).expect("it is ours");
    let script = format!(
        "exec 3<&0 4<&{} </dev/null; LISTEN_FDS=2 LISTEN_PID=$$ exec \"$0\" \"$@\"",
        plain.as_raw_fd()
    );
    let start = |port: &str| {
        // Other shells know only descriptors of one digit.
        let mut command = Command::new("bash");
        command.arg("-c").arg(&script).arg(binary("stateroom")).args(["serve", &path("room.wat")]);
        command.args(["--listen", "systemd", "--tls-cert", &path("cert.pem"), "--tls-key", &path("key.pem")]);
        let socket: OwnedFd = tls.try_clone().expect("a descriptor").into();
        Child::of_stdin(command.args(["--redirect-http", port]), socket)
    };
    let child = start(&port);
    assert_eq!(child.line(Output::Stderr, "serving on "), tls_at.to_string());
    child.line(
        Output::Stderr,
        &format!("redirecting clients from {plain_at} to https://localhost:{}", tls_at.port()),
    );
    let answer = ask(plain_at, "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    assert_eq!(answer.status, 308);
    drop(child);
    let mut child = start("1");
    child.line(Output::Stderr, "no socket is for the port 1, which is to lead to TLS");
    assert_eq!(child.exit().0, Some(1));
}
