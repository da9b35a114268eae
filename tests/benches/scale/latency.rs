use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    process::Command,
    time::{Duration, Instant},
};

use stateroom_tests::{Child, Frame, Output};

use crate::{
    Bench,
    page::{Page, Verdict},
    pairs::{median, quantile},
    server::Affinity,
};

/// The number of rooms of each kind that are asked.
const ROOMS: usize = 500;
/// The number of starts.
const STARTS: usize = 20;
const PATIENCE: Duration = Duration::from_secs(10);

/// The times that a client has waited for its first reply.
#[derive(Debug, Clone, Copy)]
struct Waits {
    /// The time since it has asked to become a WebSocket.
    upgrade: Duration,
    /// The time since it has sent its message.
    message: Duration,
}

/// A choice of one of these times.
type Wait = fn(&Waits) -> Duration;

/// Measures the first reply of a new room, and of one that exists.
pub(crate) fn replies(bench: &Bench, page: &mut Page) {
    let server = bench.serve(&bench.echo, Affinity::OneCore, &[]);
    first_reply(server.address(), "old");
    let mut waits = [Vec::new(), Vec::new()];
    for number in 0..ROOMS {
        let new = format!("new-{number}");
        // Neither kind always comes after the other.
        for which in if number % 2 == 0 { [0, 1] } else { [1, 0] } {
            waits[which].push(first_reply(server.address(), ["old", &new][which]));
        }
    }
    let kinds: [(&str, Wait); 2] = [
        ("from the request for a WebSocket to the first reply", |waits| waits.upgrade),
        ("from the first message to its reply", |waits| waits.message),
    ];
    for (what, wait) in kinds {
        let us = |which: usize| waits[which].iter().map(move |waits| wait(waits).as_secs_f64() * 1e6);
        let quantiles = |which: usize| {
            let [p50, p90, p99] = [500, 900, 990].map(|thousandths| quantile(us(which), thousandths));
            format!("{p50:.0} / {p90:.0} / {p99:.0} µs")
        };
        let later = median(us(1)) - median(us(0));
        page.line(
            &format!("a new room's first reply, {what}"),
            "at most 100 µs later than an old one's",
            &format!("{later:+.0} µs in the median"),
            later <= 100.0,
        );
        let result = format!("{} in new rooms, {} in an old one", quantiles(1), quantiles(0));
        page.line("50, 90 and 99 in 100 of these wait at most", "", &result, Verdict::None);
    }
}

/// Measures the time from the start of the process to its first answer.
pub(crate) fn start(bench: &Bench, page: &mut Page) {
    let waits = (0..STARTS).map(|_| {
        let begin = Instant::now();
        let mut command = Command::new(&bench.server);
        command.args(["serve", "--ip", "127.0.0.1", "--port", "0"]).arg(&bench.echo);
        let child = Child::of(&mut command);
        let address = child.line(Output::Stderr, "serving on ");
        first_reply(&address, "lobby");
        begin.elapsed().as_secs_f64() * 1e3
    });
    let waits: Vec<_> = waits.collect();
    let all = || waits.iter().copied();
    let result = format!(
        "{:.1} ms; {:.1} at least, {:.1} at most",
        median(all()),
        quantile(all(), 0),
        quantile(all(), 1000)
    );
    page.line(
        "from the start of the process to the first reply",
        "at most 15 ms",
        &result,
        median(all()) <= 15.0,
    );
}

/// Connects to a room, says something, and goes when it has the answer.
fn first_reply(address: &str, room: &str) -> Waits {
    let mut stream = TcpStream::connect(address).expect("it listens");
    stream.set_nodelay(true).expect("an option of every socket");
    stream.set_read_timeout(Some(PATIENCE)).expect("not zero");
    // The key is that of RFC 6455, section 1.3.
    let request = format!(
        "GET /ws/{room} HTTP/1.1\r\nHost: {address}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    let begin = Instant::now();
    stream.write_all(request.as_bytes()).expect("it reads");
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        read(&mut stream, &mut answer);
    }
    assert!(answer.starts_with(b"HTTP/1.1 101 "), "{}", String::from_utf8_lossy(&answer));
    let frame = Frame::text(&"x".repeat(64));
    let sent = Instant::now();
    stream.write_all(&frame.masked()).expect("it reads");
    let expected = frame.unmasked();
    let mut reply = Vec::new();
    while reply.len() < expected.len() {
        read(&mut stream, &mut reply);
    }
    let waits = Waits { upgrade: begin.elapsed(), message: sent.elapsed() };
    assert_eq!(reply, expected);
    waits
}

fn read(stream: &mut TcpStream, to: &mut Vec<u8>) {
    let mut buffer = [0; 4096];
    let count = stream.read(&mut buffer).expect("it answers");
    assert_ne!(count, 0, "it does not hang up");
    to.extend_from_slice(&buffer[..count]);
}
