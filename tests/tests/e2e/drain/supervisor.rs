//! Tests what systemd is told (`sd_notify(3)`).

use std::{
    env,
    io::Write as _,
    os::{
        linux::net::SocketAddrExt as _,
        unix::net::{SocketAddr, UnixDatagram, UnixStream},
    },
    path::PathBuf,
    process::{self, Command},
    thread,
    time::Duration,
};

use rustix::{
    process::Signal,
    time::{ClockId, clock_gettime},
};
use stateroom_sdk_core::{
    ClientId, DefaultStateroomFactory, MessagePayload, StateroomContext, StateroomService,
};
use stateroom_server_smol::ListenAddress;
use stateroom_tests::{Child, Directory, Frame, Output, PATIENCE, binary, eventually, server};

use super::{address, arguments, client, dist};
use crate::rooms::large_guest;

/// A supervisor that listens.
struct Supervisor {
    socket: UnixDatagram,
    /// The address, as the environment has it.
    address: String,
}

impl Supervisor {
    fn at_path(path: PathBuf) -> Self {
        let address = path.display().to_string();
        Self::of(UnixDatagram::bind(path).expect("a socket"), address)
    }

    fn abstract_one() -> Self {
        let name = format!("stateroom-tests-{}", process::id());
        let at = SocketAddr::from_abstract_name(&name).expect("a short name");
        Self::of(UnixDatagram::bind_addr(&at).expect("nobody else has it"), format!("@{name}"))
    }

    fn of(socket: UnixDatagram, address: String) -> Self {
        socket.set_read_timeout(Some(PATIENCE)).expect("not zero");
        Self { socket, address }
    }

    fn start(&self, directory: &Directory, environment: &[(&str, &str)], more: &[&str]) -> Child {
        let mut command = Command::new(binary("stateroom"));
        command.args(arguments(directory, &[&["--ip", "127.0.0.1", "--port", "0"], more].concat()));
        command.env("NOTIFY_SOCKET", &self.address).envs(environment.iter().copied());
        Child::of(&mut command)
    }

    /// Waits for a message, and returns its lines.
    #[track_caller]
    fn next(&self) -> Vec<String> {
        let mut bytes = [0; 4096];
        let size = self.socket.recv(&mut bytes).expect("a message");
        let text = std::str::from_utf8(&bytes[..size]).expect("text");
        text.lines().map(str::to_owned).collect()
    }

    /// Waits for a message with this line, and returns the others of it.
    #[track_caller]
    fn wait(&self, line: &str) -> Vec<String> {
        loop {
            let mut lines = self.next();
            let number = lines.len();
            lines.retain(|other| other != line);
            if lines.len() < number {
                return lines;
            }
        }
    }
}

#[test]
fn the_supervisor_is_told_when_the_server_starts_reloads_and_ends() {
    let directory = dist();
    for supervisor in [Supervisor::at_path(directory.path().join("notify.sock")), Supervisor::abstract_one()]
    {
        let mut server = supervisor.start(&directory, &[], &[]);
        assert_eq!(supervisor.next(), ["STATUS=reading the rooms on disk"]);
        assert_eq!(supervisor.next(), ["READY=1", "STATUS=ready"]);
        let at = address(&server);
        let mut client = client(at, "room");
        let now = || {
            let now = clock_gettime(ClockId::Monotonic);
            now.tv_sec as u64 * 1_000_000 + now.tv_nsec as u64 / 1_000
        };
        let before = now();
        server.signal(Signal::HUP);
        let reloading = supervisor.wait("RELOADING=1");
        let time = reloading.iter().find_map(|line| line.strip_prefix("MONOTONIC_USEC=")).expect("a time");
        let time: u64 = time.parse().expect("a number");
        assert!((before..=now()).contains(&time), "{time}");
        supervisor.wait("READY=1");
        assert_eq!(client.ask("hello"), "hello");
        server.signal(Signal::TERM);
        supervisor.wait("STOPPING=1");
        assert_eq!(client.closed(), 1001);
        assert_eq!(server.exit().0, Some(0));
    }
}

#[test]
fn a_server_that_is_watched_says_that_its_threads_answer_until_its_end() {
    let directory = dist();
    let supervisor = Supervisor::at_path(directory.path().join("notify.sock"));
    let watched = [("WATCHDOG_USEC", "300000")];
    // The two rooms may be on one thread, which then closes one client at the begin and one in the middle.
    let mut server = supervisor.start(&directory, &watched, &["--threads", "2", "--drain", "2"]);
    let at = address(&server);
    let (mut one, mut two) = (client(at, "a"), client(at, "b"));
    while supervisor.wait("WATCHDOG=1") != ["STATUS=2 rooms, 2 clients"] {}
    server.signal(Signal::TERM);
    supervisor.wait("STOPPING=1");
    for client in [&mut one, &mut two] {
        assert_eq!(client.closed(), 1001);
    }
    assert_eq!(server.exit().0, Some(0));
}

#[test]
fn a_server_that_waits_for_space_on_the_disk_is_not_stuck() {
    let guest = large_guest();
    let directory = Directory::new().with("dist/server.wasm", guest.module().expect("it is kept"));
    let data = directory.path().join("data").display().to_string();
    let supervisor = Supervisor::at_path(directory.path().join("notify.sock"));
    let watched = [("WATCHDOG_USEC", "300000")];
    let server = supervisor.start(&directory, &watched, &["--data", &data, "--journal-size", "128MiB"]);
    let at = address(&server);
    let grow = format!("!{}", "x".repeat(5_000));
    let mut clients: Vec<_> = (0..40).map(|number| client(at, &number.to_string())).collect();
    clients.iter_mut().for_each(|client| _ = client.ask("a"));
    clients.iter_mut().for_each(|client| client.text(&grow));
    // What waits for the disk then is so much that the threads of the rooms wait, too.
    server.line(Output::Stderr, "all rooms wait for space");
    let long = "x".repeat(60_000);
    clients.iter_mut().for_each(|client| (0..10).for_each(|_| client.text(&long)));
    for _ in 0..10 {
        while supervisor.wait("WATCHDOG=1") != ["STATUS=all rooms wait for space on the disk"] {}
    }
}

/// A room that keeps its thread for ever at the first message.
#[derive(Default)]
struct Stuck;

impl StateroomService for Stuck {
    fn message(&mut self, _: ClientId, _: MessagePayload<'_>, _: &impl StateroomContext) {
        loop {
            thread::park();
        }
    }
}

/// The Unix socket on which the process of the next test listens, in its environment.
const LISTEN: &str = "STATEROOM_TESTS_LISTEN";

#[test]
#[ignore = "it is the process that the next test starts"]
fn serves_rooms_that_keep_their_thread() {
    let path = env::var_os(LISTEN).expect("it is started by the next test").into();
    let server = server().with_listen(ListenAddress::Unix { path, mode: 0o600 });
    server.serve(DefaultStateroomFactory::<Stuck>::default()).expect("it can be served");
}

#[test]
fn a_server_whose_thread_is_stuck_says_nothing() {
    const PERIOD: Duration = Duration::from_millis(100);
    let directory = Directory::new();
    let supervisor = Supervisor::at_path(directory.path().join("notify.sock"));
    let path = directory.path().join("rooms.sock");
    let mut command = Command::new(env::current_exe().expect("a program has a path"));
    command.args(["--ignored", "--exact", "drain::supervisor::serves_rooms_that_keep_their_thread"]);
    command.env("NOTIFY_SOCKET", &supervisor.address).env(LISTEN, &path);
    command.env("WATCHDOG_USEC", (PERIOD * 3).as_micros().to_string());
    let _server = Child::of(&mut command);
    supervisor.wait("READY=1");
    for _ in 0..2 {
        supervisor.wait("WATCHDOG=1");
    }
    let mut client = UnixStream::connect(&path).expect("it listens");
    let upgrade = "GET /ws/room HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                   Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    client.write_all(upgrade.as_bytes()).expect("a request");
    client.write_all(&Frame::text("!").masked()).expect("a message");
    // A server that is not stuck would say something in each period.
    supervisor.socket.set_read_timeout(Some(PERIOD * 20)).expect("not zero");
    eventually("it says nothing", || supervisor.socket.recv(&mut [0; 4096]).is_err());
}

#[test]
fn what_is_for_another_process_is_not_heeded() {
    let directory = dist();
    let supervisor = Supervisor::at_path(directory.path().join("notify.sock"));
    let other = [("WATCHDOG_USEC", "1000"), ("WATCHDOG_PID", "1")];
    let mut server = supervisor.start(&directory, &other, &[]);
    supervisor.wait("READY=1");
    address(&server);
    server.signal(Signal::TERM);
    assert_eq!(
        supervisor.next(),
        ["STOPPING=1", "STATUS=closing clients"],
        "nothing was reported in between"
    );
    assert_eq!(server.exit().0, Some(0));
}
