//! The static binary, as small machines get it: how large it is, what it takes, and how soon it answers. Nothing of it
//! may be more than its budget.
//!
//! `cargo bench --profile dev -p stateroom-tests --bench shipped` builds it and measures.
#![cfg(all(target_os = "linux", target_arch = "x86_64"))]

use std::{
    fs,
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use stateroom_tests::{Child, Client, Output, example};

const TARGET: &str = "x86_64-unknown-linux-musl";

/// The number of rooms at a time, with two clients each.
const ROOMS: usize = 500;

/// The number of starts: the machine may have something else to do, but not each time.
const STARTS: usize = 20;

fn main() {
    let module = example("echo").join("server.wasm");
    let module = module.to_str().expect("cargo's directory has a name in UTF-8");

    for (profile, features, budget) in [
        // 180 KB keep rooms and their sessions on disk, 15 KB listen on several addresses and Unix sockets, 15 KB end in batches and tell systemd.
        ("small", &["--no-default-features", "--features", "small"][..], 2_000_000),
        // TLS takes 716 KB.
        ("small", &["--no-default-features", "--features", "small,tls"], 2_725_000),
        // This one also decides who may enter (170 KB), records rooms and runs their events again, has the operator's commands and page, moves rooms
        // between directories (70 KB), writes manual pages, compresses messages (56 KB), believes proxies and has metrics (17 KB), and
        // keeps going without descriptors, disk or patience of the operator (12 KB).
        ("small", &["--features", "small"], 4_280_000),
        // Mostly what authors use: completions, `rooms`, the client library, the playground (46 KB are its page), checks of their packages.
        ("release", &[], 6_930_000),
    ] {
        let binary = built(profile, features);
        println!("{profile} {}", features.join(" "));
        within("size", size(&binary), budget, "bytes");
        serves(&binary, module);
    }
}

fn serves(binary: &Path, module: &str) {
    let server = Server::start(binary, module);
    within("memory when idle", server.child.resident(), 5_500_000, "bytes");
    let clients = server.converse();
    within("memory of 500 rooms with two clients each", server.child.resident(), 32_000_000, "bytes");
    drop((clients, server));

    let soonest = (0..STARTS).map(|_| first_answer(binary, module)).min().expect("more than none");
    // Some virtual machines wake a waiting thread only at the next tick of 4 ms, and there are several such waits.
    within("from the start to the first answer", soonest.as_micros() as u64, 25_000, "µs");
}

#[track_caller]
fn within(what: &str, value: u64, budget: u64, unit: &str) {
    println!("{what}: {value} {unit} of {budget}");
    assert!(value <= budget, "{what}: {value} {unit}, and may be {budget}");
}

/// Builds the command.
fn built(profile: &str, features: &[&str]) -> PathBuf {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--package", "stateroom-smol", "--target", TARGET, "--profile", profile]);
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("this package is in a workspace");
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("cargo's layout");
    let built = cargo.args(features).arg("--target-dir").arg(target).current_dir(root).status();
    assert!(
        built.expect("cargo runs").success(),
        "it does not build: has `rustup target add {TARGET}` been run?"
    );
    target.join(TARGET).join(profile).join("stateroom")
}

fn size(file: &Path) -> u64 {
    fs::metadata(file).expect("it has been built").len()
}

struct Server {
    child: Child,
    address: SocketAddr,
}

impl Server {
    fn start(binary: &Path, module: &str) -> Self {
        // Some systems let a process have 1024 sockets unless it asks for more.
        let mut shell = Command::new("sh");
        shell.args(["-c", "ulimit -n 4096 && exec \"$0\" \"$@\""]).arg(binary);
        let child = Child::of(shell.args(["serve", module, "--ip", "127.0.0.1", "--port", "0"]));
        let address = child.line(Output::Stderr, "serving on ").parse().expect("an address");
        Self { child, address }
    }

    /// Clients come to all rooms, two to each, and talk.
    fn converse(&self) -> Vec<Client> {
        let rooms = (0..2 * ROOMS).map(|client| format!("/ws/{}", client % ROOMS));
        let come = |room: String| Client::connect(self.address, &room).expect("it upgrades");
        let mut clients: Vec<_> = rooms.map(come).collect();
        for client in &mut clients {
            assert_eq!(client.ask(&"hello".repeat(10)), "hello".repeat(10));
        }
        clients
    }
}

/// Measures the time from the start of the process to the first answer of a room, with the loading of the module.
fn first_answer(binary: &Path, module: &str) -> Duration {
    let port = std::net::TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr());
    let address = port.expect("the system has a port");
    let port = address.port().to_string();
    let mut command = Command::new(binary);
    command.args(["serve", module, "--ip", "127.0.0.1", "--port", &port]);
    let begin = Instant::now();
    let server = Child::of(&mut command);
    while TcpStream::connect(address).is_err() {
        assert!(begin.elapsed() < Duration::from_secs(10), "it does not start");
    }
    let mut client = Client::connect(address, "/ws").expect("it upgrades");
    assert_eq!(client.ask("hello"), "hello");
    let took = begin.elapsed();
    drop(server);
    took
}
