//! The sockets that the command listens on: several of them, Unix sockets, those that systemd passes, and those that a new
//! process takes over.
#![cfg(target_os = "linux")]

use std::{
    fs,
    io::{BufReader, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    os::{
        fd::OwnedFd,
        unix::{
            fs::PermissionsExt as _,
            net::{UnixListener, UnixStream},
        },
    },
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use rustix::process::Signal;
use stateroom_tests::{Answer, Child, Client, Directory, Message, Output, PATIENCE, binary, eventually};

/// A room that tells each client its address, and sends all text back.
const ROOM: &str = r#"(module
    (import "env" "send_message" (func $send (param i32 i32 i32)))
    (import "stateroom" "client_info" (func $info (param i32 i32 i32 i32 i32) (result i32)))
    (memory (export "memory") 1)
    (data (i32.const 512) "address")
    (func (export "jam_malloc") (param i32) (result i32) (i32.const 1024))
    (func (export "jam_free") (param i32 i32))
    (func (export "initialize") (param i32 i32))
    (func (export "connect") (param $client i32)
        (call $send (local.get $client) (i32.const 600)
            (call $info (local.get $client) (i32.const 512) (i32.const 7) (i32.const 600) (i32.const 100))))
    (func (export "disconnect") (param i32))
    (func (export "timer"))
    (func (export "binary") (param i32 i32 i32))
    (func (export "message") (param $client i32) (param $at i32) (param $len i32)
        (call $send (local.get $client) (local.get $at) (local.get $len))))"#;

fn directory() -> Directory {
    Directory::new().with("room.wat", ROOM)
}

/// Returns the arguments that serve the room.
fn arguments(directory: &Directory, more: &[&str]) -> Vec<String> {
    let module = directory.path().join("room.wat").display().to_string();
    let words = ["serve", &module].into_iter().chain(more.iter().copied());
    words.map(str::to_owned).collect()
}

/// Waits until a server has said its next address.
#[track_caller]
fn address(server: &Child) -> String {
    server.line(Output::Stderr, "serving on ")
}

/// Sends a request over any stream, and returns the answer.
#[track_caller]
fn ask(mut stream: impl std::io::Read + std::io::Write, path: &str) -> Answer {
    write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").expect("a request");
    Answer::read(&mut BufReader::new(stream), "GET")
}

#[test]
fn one_server_listens_on_several_addresses() {
    let directory = directory();
    let path = directory.path().join("rooms.sock");
    let unix = format!("unix:{},mode=666", path.display());
    let listen = ["--listen", "127.0.0.1:0", "--listen", &unix, "--listen", "[::1]:0"];
    let mut server = Child::start("stateroom", &arguments(&directory, &listen));
    let first: SocketAddr = address(&server).parse().expect("an address");
    assert_eq!(address(&server), format!("unix:{}", path.display()));
    let third: SocketAddr = address(&server).parse().expect("an address");
    assert_eq!(fs::metadata(&path).expect("it is there").permissions().mode() & 0o777, 0o666);
    assert_eq!(ask(UnixStream::connect(&path).expect("it listens"), "/status").text(), "ok");
    // A client at one address hears one at another.
    for (address, own) in [(first, "127.0.0.1"), (third, "::1")] {
        let mut client = Client::connect(address, "/ws/room").expect("an upgrade");
        assert_eq!(client.message(), Message::Text(own.to_owned()));
        assert_eq!(client.ask("hello"), "hello");
    }
    server.signal(Signal::TERM);
    assert_eq!(server.exit().0, Some(0));
    assert!(!path.exists(), "the server removes its socket");
}

#[test]
fn clients_of_a_unix_socket_have_the_address_of_this_machine() {
    let directory = directory();
    let path = directory.path().join("rooms.sock");
    let unix = format!("unix:{}", path.display());
    let server = Child::start("stateroom", &arguments(&directory, &["--listen", &unix]));
    address(&server);
    let mut stream = UnixStream::connect(&path).expect("it listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("not zero");
    let upgrade = "GET /ws/room HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                   Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    stream.write_all(upgrade.as_bytes()).expect("a request");
    let mut stream = BufReader::new(stream);
    assert_eq!(Answer::read(&mut stream, "GET").status, 101);
    let frame = stateroom_tests::Frame::read(&mut stream).expect("a frame").expect("a message");
    assert_eq!(frame.payload, b"127.0.0.1");
}

#[test]
fn a_socket_of_a_dead_server_is_replaced_and_one_of_a_live_server_is_not() {
    let directory = directory();
    let path = directory.path().join("rooms.sock");
    let unix = format!("unix:{}", path.display());
    drop(UnixListener::bind(&path).expect("a socket"));
    let start = || Child::start("stateroom", &arguments(&directory, &["--listen", &unix]));
    let live = start();
    address(&live);
    let mut second = start();
    let line = second.line(Output::Stderr, "cannot listen on ");
    let mend = "another program listens there; choose another path, or end that program (see `--listen`)";
    assert_eq!(line, format!("{unix}: {mend}"));
    assert_eq!(second.exit().0, Some(1));
    assert_eq!(ask(UnixStream::connect(&path).expect("it still listens"), "/status").text(), "ok");
}

#[test]
fn without_passed_sockets_there_is_nothing_to_take_from_systemd() {
    let directory = directory();
    let mut server = Child::start("stateroom", &arguments(&directory, &["--listen", "systemd"]));
    let line = server.line(Output::Stderr, "cannot listen on systemd: ");
    assert!(line.starts_with("no sockets were passed to this process (`LISTEN_FDS`)"), "{line}");
    assert_eq!(server.exit().0, Some(1));
}

/// Starts a server that gets a socket as systemd passes it: as file descriptor 3, and with the variables that say so.
fn start_with(socket: OwnedFd, directory: &Directory) -> Child {
    let script = "exec 3<&0 </dev/null; LISTEN_FDS=1 LISTEN_PID=$$ exec \"$0\" \"$@\"";
    let mut command = Command::new("sh");
    command.arg("-c").arg(script).arg(binary("stateroom"));
    command.args(arguments(directory, &["--listen", "systemd"]));
    Child::of_stdin(&mut command, socket)
}

#[test]
fn sockets_that_systemd_passes_are_served() {
    let directory = directory();
    let tcp = TcpListener::bind("127.0.0.1:0").expect("a port");
    let at = tcp.local_addr().expect("it has one");
    let mut server = start_with(tcp.into(), &directory);
    assert_eq!(address(&server), at.to_string());
    assert_eq!(ask(TcpStream::connect(at).expect("a connection"), "/status").text(), "ok");
    server.signal(Signal::TERM);
    assert_eq!(server.exit().0, Some(0));

    let path = directory.path().join("passed.sock");
    let unix = UnixListener::bind(&path).expect("a socket");
    let mut server = start_with(unix.into(), &directory);
    assert_eq!(address(&server), format!("unix:{}", path.display()));
    assert_eq!(ask(UnixStream::connect(&path).expect("a connection"), "/status").text(), "ok");
    server.signal(Signal::TERM);
    assert_eq!(server.exit().0, Some(0));
    assert!(path.exists(), "it is systemd's");
}

/// Opens WebSockets until it is told to stop, and says how many it has opened. It may be told to connect again (1012), and
/// nothing else may happen to it.
fn connect_in_a_loop(address: SocketAddr, stop: &AtomicBool) -> usize {
    let mut count = 0;
    while !stop.load(Ordering::Relaxed) {
        let mut client = Client::connect(address, "/ws/room").expect("an upgrade");
        match client.message() {
            Message::Text(own) => {
                assert_eq!(own, "127.0.0.1");
                client.text("hello");
                let answer = client.message();
                assert!(
                    matches!(&answer, Message::Text(text) if text == "hello")
                        || answer == Message::Close(1012),
                    "{answer:?}"
                );
            }
            other => assert_eq!(other, Message::Close(1012)),
        }
        count += 1;
    }
    count
}

#[test]
fn a_new_process_takes_a_passed_socket_over_and_no_client_is_refused() {
    let directory = directory();
    let socket = TcpListener::bind("127.0.0.1:0").expect("a port");
    let at = socket.local_addr().expect("it has one");
    let start = || {
        let server = start_with(socket.try_clone().expect("a descriptor").into(), &directory);
        assert_eq!(address(&server), at.to_string());
        server
    };
    let stop = Arc::new(AtomicBool::new(false));
    let mut server = start();
    let clients: Vec<_> = (0..4)
        .map(|_| {
            let stop = Arc::clone(&stop);
            thread::spawn(move || connect_in_a_loop(at, &stop))
        })
        .collect();
    for _ in 0..3 {
        let next = start();
        let mut client = Client::connect(at, "/ws/room").expect("an upgrade");
        assert_eq!(client.message(), Message::Text("127.0.0.1".to_owned()));
        server.signal(Signal::TERM);
        assert_eq!(server.exit().0, Some(0));
        server = next;
    }
    // Without another process, they wait for it.
    server.signal(Signal::TERM);
    assert_eq!(server.exit().0, Some(0));
    let waiting = TcpStream::connect(at).expect("nobody is refused");
    server = start();
    assert_eq!(ask(waiting, "/status").text(), "ok");
    stop.store(true, Ordering::Relaxed);
    for client in clients {
        assert!(client.join().expect("it was never refused") > 0);
    }
    drop(server);
}

#[test]
fn two_processes_share_a_port_if_both_want_that() {
    let directory = directory();
    // A port that this test has, and that the servers may share with it.
    let first =
        Child::start("stateroom", &arguments(&directory, &["--listen", "127.0.0.1:0", "--reuse-port"]));
    let at: SocketAddr = address(&first).parse().expect("an address");
    let listen = at.to_string();
    let mut alone = Child::start("stateroom", &arguments(&directory, &["--listen", &listen]));
    alone.line(Output::Stderr, "the port is in use");
    assert_eq!(alone.exit().0, Some(1));
    let second = Child::start("stateroom", &arguments(&directory, &["--listen", &listen, "--reuse-port"]));
    assert_eq!(address(&second), listen);
    let mut first = first;
    first.signal(Signal::TERM);
    assert_eq!(first.exit().0, Some(0));
    let mut client = Client::connect(at, "/ws/room").expect("an upgrade");
    assert_eq!(client.message(), Message::Text("127.0.0.1".to_owned()));
    eventually("the second one serves", || {
        ask(TcpStream::connect(at).expect("a connection"), "/status").text() == "ok"
    });
}

#[test]
fn the_same_port_can_be_listened_on_for_both_kinds_of_addresses() {
    let directory = directory();
    let free = TcpListener::bind("[::]:0").expect("a port");
    let port = free.local_addr().expect("it has one").port();
    drop(free);
    let (v4, v6) = (format!("0.0.0.0:{port}"), format!("[::]:{port}"));
    let server = Child::start("stateroom", &arguments(&directory, &["--listen", &v4, "--listen", &v6]));
    assert_eq!((address(&server), address(&server)), (v4, v6));
    for ip in ["127.0.0.1", "::1"] {
        let at = SocketAddr::new(ip.parse().expect("an address"), port);
        let mut client = Client::connect(at, "/ws/room").expect("an upgrade");
        assert_eq!(client.message(), Message::Text(ip.to_owned()));
    }
}
