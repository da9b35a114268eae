//! The signals of the command.

use std::{
    fs,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use rustix::process::{Pid, Signal, kill_process};
use rustls::version::TLS13;
use stateroom_tests::{
    Child, Output, eventually, request,
    tls::{Authority, TlsClient, get},
};

use super::{address, arguments, client, dist, start};

/// Sends SIGHUP all the time, until this is dropped.
struct Storm {
    over: Arc<AtomicBool>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Storm {
    fn over(server: &Child) -> Self {
        let over = Arc::<AtomicBool>::default();
        let is_over = Arc::clone(&over);
        let id = i32::try_from(server.id()).ok().and_then(Pid::from_raw).expect("a process");
        let storm = move || {
            // It fails when the process has ended, for which the test has not waited yet.
            while !is_over.load(Ordering::Relaxed) && kill_process(id, Signal::HUP).is_ok() {
                thread::yield_now();
            }
        };
        Self { over, thread: Some(thread::spawn(storm)) }
    }
}

impl Drop for Storm {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        self.thread.take().into_iter().for_each(|thread| _ = thread.join());
    }
}

/// Returns true if the process handles SIGHUP.
fn catches_hangups(server: &Child) -> bool {
    let status = fs::read_to_string(format!("/proc/{}/status", server.id())).expect("it runs");
    let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).expect("every process has it");
    let caught = u64::from_str_radix(caught.trim(), 16).expect("a number");
    caught & 1 << (Signal::HUP.as_raw() - 1) != 0
}

#[test]
fn a_second_signal_ends_the_command_at_once() {
    for (second, status) in [(Signal::TERM, 143), (Signal::INT, 130)] {
        let (mut server, at) = start(&dist(), &["--drain", "3600"]);
        let (mut one, mut two) = (client(at, "room"), client(at, "room"));
        server.signal(Signal::TERM);
        // The first one is closed at once, the other one in half an hour.
        assert_eq!(one.closed(), 1001);
        assert_eq!(two.ask("hello"), "hello");
        server.signal(second);
        assert_eq!(server.exit().0, Some(status));
    }
}

#[test]
fn a_storm_of_hangups_kills_nobody_while_the_server_starts_serves_and_ends() {
    let directory = dist();
    let data = directory.path().join("data").display().to_string();
    let more = ["--ip", "127.0.0.1", "--port", "0"];
    for more in
        [&more[..], &[&more[..], &["--data", &data]].concat(), &[&more[..], &["--drain", "4"]].concat()]
    {
        let mut server = Child::start("stateroom", &arguments(&directory, more));
        eventually("it handles signals", || catches_hangups(&server));
        let storm = Storm::over(&server);
        let at = address(&server);
        server.line(Output::Stderr, "replaced the module");
        let mut clients: Vec<_> = (0..3).map(|_| client(at, "room")).collect();
        server.signal(Signal::TERM);
        for client in &mut clients {
            assert_eq!(client.closed(), 1001);
        }
        // A process that has ended cannot be sent signals once it was waited for.
        eventually("it ends", || !catches_hangups_or_ended(&server));
        drop(storm);
        assert_eq!(server.exit().0, Some(0), "{more:?}");
    }
}

/// Returns false if the process has ended and nobody has waited for it.
fn catches_hangups_or_ended(server: &Child) -> bool {
    let status = fs::read_to_string(format!("/proc/{}/status", server.id())).expect("nobody waited for it");
    !status.lines().any(|line| line.starts_with("State:") && line.contains('Z'))
}

#[test]
fn what_is_broken_is_named_and_the_rest_is_loaded_again() {
    let authority = Authority::new();
    let directory = dist();
    authority.issue().write(&directory);
    let path = |name: &str| directory.path().join(name);
    let (cert, key) = (path("cert.pem").display().to_string(), path("key.pem").display().to_string());
    let (server, at) = start(&directory, &["--tls-cert", &cert, "--tls-key", &key]);
    let config = Arc::new(authority.client(&[&TLS13]));
    let mut client = TlsClient::connect(at, &config, "room");
    assert_eq!(client.ask("hello"), "hello");
    let serves = |client: &mut TlsClient| {
        assert_eq!(client.ask("hello"), "hello", "who is there stays");
        let mut newcomer = TlsClient::connect(at, &config, "room");
        assert_eq!(newcomer.ask("hello"), "hello", "and others come");
        newcomer.leave();
    };

    // The certificate alone.
    let good = fs::read(path("cert.pem")).expect("a file");
    fs::write(path("cert.pem"), "nonsense").expect("a disk");
    server.signal(Signal::HUP);
    let line = server.line(Output::Stderr, "the previous certificate is still used: ");
    assert!(line.starts_with(&format!("`{cert}` has no certificate in it")), "{line}");
    server.line(Output::Stderr, "replaced the module");
    serves(&mut client);

    // The module, too.
    let module = fs::read(path("dist/server.wasm")).expect("a file");
    fs::write(path("dist/server.wasm"), "nonsense").expect("a disk");
    server.signal(Signal::HUP);
    server.line(Output::Stderr, "the previous certificate is still used: ");
    let line = server.line(Output::Stderr, "the previous module is still served: ");
    assert!(line.contains("server.wasm"), "{line}");
    serves(&mut client);

    // And the directory with the pages.
    fs::rename(path("dist/static"), path("dist/away")).expect("a disk");
    server.signal(Signal::HUP);
    let line = server.line(Output::Stderr, "the static files in ");
    let directory_name = path("dist/static").display().to_string();
    assert!(line.starts_with(&format!("`{directory_name}` cannot be served: ")), "{line}");
    server.line(Output::Stderr, "the previous module is still served: ");
    serves(&mut client);

    // All is well again.
    fs::rename(path("dist/away"), path("dist/static")).expect("a disk");
    fs::write(path("dist/static/index.html"), "another page").expect("a disk");
    fs::write(path("dist/server.wasm"), module).expect("a disk");
    fs::write(path("cert.pem"), good).expect("a disk");
    server.signal(Signal::HUP);
    server.line(Output::Stderr, "read the certificate and its key again");
    server.line(Output::Stderr, "replaced the module");
    serves(&mut client);
    assert_eq!(get(at, &config, "/").text(), "another page");
}

#[test]
fn nothing_is_loaded_again_while_the_server_ends() {
    let directory = dist();
    let (mut server, at) = start(&directory, &["--drain", "3600"]);
    let (mut one, mut two) = (client(at, "room"), client(at, "room"));
    fs::write(directory.path().join("dist/server.wasm"), "nonsense").expect("a disk");
    server.signal(Signal::TERM);
    assert_eq!(one.closed(), 1001);
    server.signal(Signal::HUP);
    server.line(Output::Stderr, "nothing is loaded again (SIGHUP): the server ends");
    assert_eq!(two.ask("hello"), "hello");
    assert_eq!(request(at, "GET", "/ready", &[]).status, 503);
    two.leave();
    assert_eq!(server.exit().0, Some(0));
}
