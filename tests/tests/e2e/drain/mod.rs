//! A clean start and a clean end: readiness, batches of clients, signals, the supervisor, and a process that takes over.
#![cfg(target_os = "linux")]

mod batches;
mod deploy;
mod ready;
mod signals;
mod supervisor;

use std::{
    io::{BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    os::unix::net::UnixStream,
    path::Path,
};

use stateroom_tests::{Answer, Child, Client, Directory, Output, PATIENCE};

/// Sends text to the one who has sent it, or to everybody if it begins with a `*`.
const ROOM: &str = r#"(module
    (import "env" "send_message" (func $send (param i32 i32 i32)))
    (memory (export "memory") 1)
    (func (export "jam_malloc") (param i32) (result i32) (i32.const 1024))
    (func (export "jam_free") (param i32 i32))
    (func (export "initialize") (param i32 i32))
    (func (export "connect") (param i32))
    (func (export "disconnect") (param i32))
    (func (export "timer"))
    (func (export "binary") (param i32 i32 i32))
    (func (export "message") (param $client i32) (param $at i32) (param $len i32)
        (if (i32.eq (i32.load8_u (local.get $at)) (i32.const 42)) (then (local.set $client (i32.const 0))))
        (call $send (local.get $client) (local.get $at) (local.get $len))))"#;

/// Returns a directory as `stateroom build` makes it.
fn dist() -> Directory {
    Directory::new()
        .with("dist/server.wasm", wat::parse_str(ROOM).expect("a module"))
        .with("dist/static/index.html", "a page")
}

/// Returns the arguments that serve it.
fn arguments(directory: &Directory, more: &[&str]) -> Vec<String> {
    let module = directory.path().join("dist").display().to_string();
    ["serve", &module].iter().chain(more).map(|word| (*word).to_owned()).collect()
}

/// Starts the command on a port that nobody else has.
fn start(directory: &Directory, more: &[&str]) -> (Child, SocketAddr) {
    let fixed = ["--ip", "127.0.0.1", "--port", "0"];
    let server = Child::start("stateroom", &arguments(directory, &[&fixed, more].concat()));
    let address = address(&server);
    (server, address)
}

/// Waits until a server listens on an IP address.
#[track_caller]
fn address(server: &Child) -> SocketAddr {
    server.line(Output::Stderr, "serving on ").parse().expect("an address")
}

/// Opens a connection for requests.
#[track_caller]
fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).expect("it listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("not zero");
    stream
}

/// Opens a WebSocket, and waits until it is in its room.
#[track_caller]
fn client(address: SocketAddr, room: &str) -> Client {
    let client = Client::connect(address, &format!("/ws/{room}"));
    let mut client = client.unwrap_or_else(|answer| panic!("no upgrade: {answer:?}"));
    assert_eq!(client.ask("hello"), "hello");
    client
}

/// Sends a request, which is not the last one.
#[track_caller]
fn ask<S: Read + Write>(stream: &mut S, path: &str) -> Answer {
    write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").expect("a request");
    Answer::read(&mut BufReader::new(stream), "GET")
}

/// Returns the answer to the operator at a Unix socket.
#[track_caller]
fn operator(socket: &Path, path: &str) -> Answer {
    let mut stream = UnixStream::connect(socket).expect("it listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("not zero");
    ask(&mut stream, path)
}
