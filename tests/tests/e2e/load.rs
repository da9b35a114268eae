//! `stateroom load` counts what there is, and notices what is wrong.
#![cfg(target_os = "linux")]

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    process::{self, Command},
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;
use stateroom_sdk_core::{
    ClientId, MessagePayload, MessageRecipient, StateroomContext, StateroomService, StateroomServiceFactory,
};
use stateroom_tests::{Child, TestServer, binary, eventually, guest};

/// The reaction of a service to its clients' messages.
#[derive(Debug, Clone, Copy)]
enum Manner {
    /// Sends it to everyone.
    Broadcasts,
    /// Sends it back, with a greeting before the first.
    Greets,
    /// Sends nothing.
    Ignores,
    /// The same as `Greets`, but sometimes …
    Loses,
    Doubles,
    Swaps,
    Changes,
    /// … closes the connection, or …
    Closes,
    /// … computes for a fifth of a second.
    Stalls,
}

/// The time that a stalled service computes.
const STALL: Duration = Duration::from_millis(200);
/// The number of the message in a room that something happens to.
const CHOSEN: u32 = 10;

struct Service {
    manner: Manner,
    count: u32,
    kept: String,
}

impl StateroomService for Service {
    fn connect(&mut self, client: ClientId, ctx: &impl StateroomContext) {
        if matches!(self.manner, Manner::Greets) {
            ctx.send_message(client, "welcome to the room, dear client");
        }
    }

    fn message(&mut self, client: ClientId, message: MessagePayload<'_>, ctx: &impl StateroomContext) {
        self.count += 1;
        let text = message.text().unwrap_or_default();
        let is_chosen = self.count == CHOSEN;
        match self.manner {
            Manner::Ignores => return,
            Manner::Broadcasts => return ctx.send_message(MessageRecipient::Broadcast, message),
            Manner::Loses if is_chosen => return,
            Manner::Doubles if is_chosen => ctx.send_message(client, text),
            Manner::Swaps if is_chosen => {
                text.clone_into(&mut self.kept);
                return;
            }
            Manner::Swaps if self.count == CHOSEN + 1 => {
                ctx.send_message(client, text);
                return ctx.send_message(client, &*self.kept);
            }
            Manner::Changes if is_chosen => return ctx.send_message(client, text.replacen('.', ":", 1)),
            Manner::Closes if is_chosen => return ctx.close(client, 4000, "that is enough"),
            Manner::Stalls if is_chosen => {
                let begin = Instant::now();
                while begin.elapsed() < STALL {
                    thread::yield_now();
                }
            }
            _ => {}
        }
        ctx.send_message(client, message);
    }
}

impl StateroomServiceFactory for Manner {
    type Service = Service;
    type Error = std::convert::Infallible;

    fn build(&self, _: &str, _: &impl StateroomContext) -> Result<Service, Self::Error> {
        Ok(Service { manner: *self, count: 0, kept: String::new() })
    }
}

/// The results of the command.
struct Run {
    status: Option<i32>,
    stdout: String,
    stderr: String,
}

/// Runs `stateroom load` with these words, of which the first is the mode; `path` is at the server.
fn load(address: SocketAddr, path: &str, words: &str) -> Run {
    let (mode, options) = words.split_once(' ').unwrap_or((words, ""));
    let mut command = Command::new(binary("stateroom"));
    command.args(["load", mode]).arg(format!("ws://{address}{path}")).args(options.split_whitespace());
    let output = command.env_remove("RUST_LOG").output().expect("it has been built");
    let [stdout, stderr] = [output.stdout, output.stderr].map(|text| String::from_utf8(text).expect("text"));
    Run { status: output.status.code(), stdout, stderr }
}

impl Run {
    /// Returns what a good run has reported.
    #[track_caller]
    fn report(&self) -> Value {
        assert_eq!((self.status, &*self.stderr), (Some(0), ""), "{}", self.stdout);
        self.json()
    }

    #[track_caller]
    fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self}"))
    }

    #[track_caller]
    fn fails(&self, parts: &[&str]) {
        assert_eq!(self.status, Some(1), "{self}");
        for part in parts {
            assert!(self.stderr.contains(part), "`{part}` is not in: {self}");
        }
    }
}

impl std::fmt::Display for Run {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}\n{}{}", self.status, self.stdout, self.stderr)
    }
}

fn number(report: &Value, path: &str) -> f64 {
    report.pointer(path).and_then(Value::as_f64).unwrap_or_else(|| panic!("no {path} in {report}"))
}

#[test]
fn echoes_are_counted_and_timed() {
    let server = TestServer::new(guest("echo"));
    for options in ["", "--window 32", "--size 16 --binary", "--size 70000 --connections 3", "--rooms 7"] {
        let words = format!("echo --duration 0.2 --warmup 0.05 --json {options}");
        let report = load(server.address(), "/ws/load-{room}", &words).report();
        let (messages, deliveries) = (number(&report, "/messages"), number(&report, "/deliveries"));
        assert!(messages > 0.0 && deliveries > 0.0, "{options}: {report}");
        let quantiles =
            ["p50", "p90", "p99", "p99.9", "max"].map(|name| number(&report, &format!("/latency_us/{name}")));
        assert!(quantiles[0] > 0.0 && quantiles.is_sorted(), "{options}: {report}");
        assert_eq!(report["faults"].to_string(), r#"{"altered":0,"duplicate":0,"missing":0,"reordered":0}"#);
    }
    assert_eq!(server.rooms().len(), 7);
}

#[test]
fn broadcasts_reach_everyone_in_the_room_and_nobody_else() {
    let server = TestServer::new(Manner::Broadcasts);
    for (clients, senders, window) in [(5.0, 1, 1.0), (4.0, 4, 1.0), (3.0, 2, 10.0)] {
        let words = format!(
            "broadcast --rooms 3 --clients {clients} --senders {senders} --window {window} --duration 0.2 --warmup 0 --json"
        );
        let report = load(server.address(), "/ws/{room}", &words).report();
        let (messages, deliveries) = (number(&report, "/messages"), number(&report, "/deliveries"));
        // What is on its way at either end has been counted on one side.
        let on_their_way = 3.0 * f64::from(senders) * window * clients;
        assert!(messages > 0.0 && (messages * clients - deliveries).abs() <= on_their_way, "{report}");
    }
    server.wait_for_clients(0);
    assert_eq!(server.rooms().len(), 3);
}

#[test]
fn messages_are_sent_at_the_rate_that_is_asked_for() {
    let server = TestServer::new(guest("echo"));
    let words = "echo --connections 7 --rate 1000 --duration 0.3 --warmup 0.1 --json";
    let report = load(server.address(), "/ws", words).report();
    let due = number(&report, "/messages") + number(&report, "/unsent");
    assert!((due - 300.0 * number(&report, "/seconds") / 0.3).abs() <= 2.0, "{report}");
}

#[test]
fn a_server_that_stalls_cannot_hide_it_by_not_being_asked() {
    let server = TestServer::new(Manner::Stalls);
    // Only ten messages are on their way meanwhile, but two hundred should have been.
    let words = "echo --connections 10 --window 1 --rate 1000 --duration 0.5 --warmup 0 --json";
    let report = load(server.address(), "/ws", words).report();
    assert!(number(&report, "/latency_us/p90") > 50_000.0, "{report}");
    assert!(number(&report, "/latency_us/max") >= 190_000.0, "{report}");
}

#[test]
fn wrong_deliveries_are_noticed() {
    for (manner, fault, words) in [
        (Manner::Loses, "missing", "1 are missing"),
        (Manner::Doubles, "duplicate", "1 are there more than once"),
        (Manner::Swaps, "reordered", "1 are out of order"),
        (Manner::Changes, "altered", "1 are changed or for somebody else"),
    ] {
        let server = TestServer::new(manner);
        let options = "echo --connections 1 --window 8 --duration 0.3 --warmup 0 --patience 0.2";
        let run = load(server.address(), "/ws", &format!("{options} --json"));
        run.fails(&[words]);
        assert_eq!(run.json()["faults"][fault], 1, "{run}");
        let run = load(server.address(), "/ws/another", options);
        run.fails(&[words]);
        assert!(run.stdout.contains("latency"), "{run}");
    }
}

#[test]
fn the_last_message_must_not_come_twice_either() {
    struct Twice;
    impl StateroomService for Twice {
        fn message(&mut self, client: ClientId, message: MessagePayload<'_>, ctx: &impl StateroomContext) {
            ctx.send_message(client, message);
            ctx.send_message(client, message);
        }
    }
    #[derive(Clone)]
    struct Factory;
    impl StateroomServiceFactory for Factory {
        type Service = Twice;
        type Error = std::convert::Infallible;

        fn build(&self, _: &str, _: &impl StateroomContext) -> Result<Twice, Self::Error> {
            Ok(Twice)
        }
    }
    let server = TestServer::new(Factory);
    // One message in all, as the second one would be due after the end.
    let words = "echo --connections 1 --rate 1 --duration 0.2 --warmup 0 --json";
    let run = load(server.address(), "/ws", words);
    run.fails(&["1 are there more than once"]);
}

#[test]
fn messages_for_others_are_noticed() {
    let server = TestServer::new(Manner::Broadcasts);
    let run = load(server.address(), "/ws", "echo --connections 2 --duration 0.2 --warmup 0");
    run.fails(&["changed or for somebody else"]);
}

#[test]
fn a_service_that_does_not_broadcast_is_told_apart() {
    let server = TestServer::new(guest("echo"));
    let run = load(server.address(), "/ws", "broadcast --clients 3 --duration 0.2 --patience 0.2");
    run.fails(&["2 of 3 clients do not hear"]);
}

#[test]
fn a_service_that_answers_nothing_is_told_apart() {
    let server = TestServer::new(Manner::Ignores);
    let run = load(server.address(), "/ws", "echo --connections 2 --duration 0.1 --warmup 0 --patience 0.1");
    run.fails(&["does this service send each message back to its sender, as examples/echo does?"]);
}

#[test]
fn what_a_server_says_of_its_own_is_not_looked_at() {
    let server = TestServer::new(Manner::Greets);
    let words = "echo --connections 3 --duration 0.1 --warmup 0 --json";
    let report = load(server.address(), "/ws", words).report();
    assert!(number(&report, "/messages") > 0.0, "{report}");
}

#[test]
fn a_connection_that_the_server_closes_is_an_error() {
    let server = TestServer::new(Manner::Closes);
    let run = load(server.address(), "/ws", "echo --connections 2 --duration 5 --warmup 0");
    run.fails(&["has closed connection", "code 4000, \"that is enough\""]);
}

#[test]
fn handshakes_are_counted() {
    let server = TestServer::new(guest("echo"));
    // The system counts a process's time in hundredths of a second.
    let words = "connect --concurrency 4 --rooms 3 --duration 3 --warmup 0 --json";
    let report = load(server.address(), "/ws/{room}", &format!("{words} --pid {}", process::id())).report();
    assert!(number(&report, "/handshakes") > 0.0, "{report}");
    assert!(number(&report, "/server/cpu_us_per_handshake") > 0.0, "{report}");
    assert_eq!(server.rooms().len(), 3);
}

#[test]
fn idle_connections_have_a_size() {
    let server = TestServer::new(guest("echo"));
    let words = format!("idle --connections 500 --rooms 5 --hold 0.1 --pid {}", process::id());
    let report = load(server.address(), "/ws/{room}", &format!("{words} --json")).report();
    assert!(number(&report, "/server/resident") > 0.0, "{report}");
    assert!(number(&report, "/server/resident_per_connection") < 100_000.0, "{report}");
    let text = load(server.address(), "/ws/{room}", &words);
    assert!(text.status == Some(0) && text.stdout.contains("KiB for each connection"), "{text}");
    server.wait_for_clients(0);
    assert_eq!(server.rooms().len(), 5);
}

#[test]
fn errors_say_what_is_wrong() {
    let server = TestServer::new(guest("echo"));
    let here = server.address();
    load(here, "/nothing", "echo").fails(&["`HTTP/1.1 404 Not Found`", "is the path right?"]);
    load(here, "/ws", "echo --rooms 2").fails(&["2 rooms need {room} in the address"]);
    load(here, "/ws", "broadcast --clients 2 --senders 3").fails(&["2 clients in a room, of which 3"]);
    load(here, "/ws", "broadcast --clients 1 --except-sender").fails(&["alone"]);
    load(here, "/ws", "idle --pid 4294967295")
        .fails(&["there is no process 4294967295 to measure; is the server running?"]);
    let run = load(here, "/ws", "echo --size 15");
    assert!(run.status == Some(2) && run.stderr.contains("16 bytes"), "{run}");

    let listener = TcpListener::bind("127.0.0.1:0").expect("the system has a port");
    let nowhere = listener.local_addr().expect("a bound socket has an address");
    let other = thread::spawn(move || {
        // Says hello in a protocol of its own.
        let (mut client, _) = listener.accept().expect("somebody comes");
        client.write_all(b"220 mail here\r\n").expect("it listens");
        let _ = client.read(&mut [0; 1000]);
    });
    load(nowhere, "/ws", "echo --connections 1").fails(&["does not speak HTTP", "`220 mail here`"]);
    other.join().expect("it has nothing to panic for");
    load(nowhere, "/ws", "echo").fails(&["nothing listens at", "connection refused"]);
}

#[test]
fn a_server_that_lets_in_no_more_is_told() {
    let server = TestServer::with(stateroom_tests::server().with_max_connections(10), guest("echo"));
    let run = load(server.address(), "/ws", "idle --connections 11");
    run.fails(&["10 of 11 connections are open", "`HTTP/1.1 503 Service Unavailable`"]);

    // And one that does not answer at all.
    let listener = TcpListener::bind("127.0.0.1:0").expect("the system has a port");
    let address = listener.local_addr().expect("a bound socket has an address");
    let run = load(address, "/ws", "idle --connections 1 --patience 0.1");
    run.fails(&["has not answered for 0.1 s"]);
}

/// The server that others are compared with, which has no tests of its own.
#[test]
fn bare_sockets_deliver_what_they_are_sent() {
    for (mode, loads) in [
        (
            "echo",
            &[
                "echo --window 20",
                "echo --size 100000 --window 20",
                "connect",
                "idle --connections 300 --hold 0",
            ][..],
        ),
        (
            "broadcast",
            &[
                "broadcast --rooms 3 --clients 9 --senders 5 --window 3",
                "broadcast --clients 9 --size 200000",
            ],
        ),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").expect("the system has a port");
        let address = listener.local_addr().expect("a bound socket has an address");
        drop(listener);
        let mut raw = Command::new(env!("CARGO_BIN_EXE_raw"));
        let _raw = Child::of(raw.arg(address.port().to_string()).arg(mode));
        eventually("it listens", || TcpStream::connect(address).is_ok());
        for words in loads {
            let times = if words.starts_with("idle") { "" } else { "--duration 0.2 --warmup 0" };
            load(address, "/ws/{room}", &format!("{words} {times} --json")).report();
        }
    }
}
