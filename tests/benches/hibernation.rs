//! Measures the idle rooms of a published guest, and the cost of coming back to one.
//!
//! `cargo bench -p stateroom-tests --bench hibernation` opens 10,000 rooms with a client each; `-- 1000 --hibernate-after 2` opens
//! 1,000, and passes the rest on to the server. It takes as many open files as there are rooms, and some more.

use std::{
    env, fs,
    net::SocketAddr,
    thread,
    time::{Duration, Instant},
};

use stateroom_tests::{Child, Client, Directory, Foreign, Output, Profile, example, status};

/// The number of rooms that clients come back to: so few that no other room hibernates for them.
const ASKED: usize = 100;

fn main() {
    let mut arguments: Vec<_> = env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let rooms = match arguments.first().map(|first| first.parse()) {
        Some(Ok(rooms)) => {
            arguments.remove(0);
            rooms
        }
        _ => 10_000,
    };
    let flags: Vec<_> = arguments.iter().map(String::as_str).collect();
    println!("{rooms} rooms with a client each; memory in MB, times in µs (median, 99th of 100)\n");
    println!("| guest | opened in | server before | peak | hibernating | first answer | the next |");
    println!("| --- | ---: | ---: | ---: | ---: | ---: | ---: |");
    measure("published, 1.06 MiB", Foreign::Rust("stateroom-0.2", Profile::Release).module(), rooms, &flags);
    let echo = fs::read(example("echo").join("server.wasm")).expect("it has been built");
    measure("example `echo`, 4 KiB", echo, rooms, &flags);
}

fn measure(name: &str, module: Vec<u8>, rooms: usize, flags: &[&str]) {
    let directory = Directory::new().with("server.wasm", module);
    let path = directory.path().join("server.wasm").display().to_string();
    let connections = (rooms + 100).to_string();
    let mut arguments = vec!["serve", &path, "--ip", "127.0.0.1", "--port", "0"];
    arguments.extend(["--max-connections", &connections, "--heartbeat-interval", "0"]);
    arguments.extend(["--heartbeat-timeout", "0", "--room-rate", "0"]);
    arguments.extend(flags);
    let server = Child::start("stateroom", &arguments);
    let address: SocketAddr = server.line(Output::Stderr, "serving on ").parse().expect("an address");
    let before = server.resident();

    let begin = Instant::now();
    let mut clients: Vec<_> = (0..rooms)
        .map(|room| {
            let mut client = Client::connect(address, &format!("/ws/{room}")).expect("an upgrade");
            ask(&mut client);
            client
        })
        .collect();
    let opened = begin.elapsed();
    let deadline = begin + Duration::from_secs(120);
    while hibernating(address) < rooms && Instant::now() < deadline {
        thread::sleep(Duration::from_millis(100));
    }
    assert!(hibernating(address) == rooms, "only {} rooms hibernate", hibernating(address));
    let (peak, after) = (server.most_resident(), server.resident());

    // From all over, and one after the other, so that nobody waits for anything else.
    let step = (rooms / ASKED).max(1);
    let [first, next] = [(); 2].map(|()| {
        let answers = clients.iter_mut().step_by(step).map(|client| {
            let begin = Instant::now();
            ask(client);
            begin.elapsed()
        });
        let mut answers: Vec<_> = answers.collect();
        answers.sort_unstable();
        let at = |part: usize| answers[answers.len() * part / 100].as_micros();
        format!("{}, {}", at(50), at(99))
    });
    let [before, peak, after] = [before, peak, after].map(|bytes| bytes as f64 / 1e6);
    let opened = opened.as_secs_f64();
    println!("| {name} | {opened:.1} s | {before:.0} | {peak:.0} | {after:.0} | {first} | {next} |");
}

/// Sends a client's message, and waits until it comes back.
fn ask(client: &mut Client) {
    client.text("hello");
    while client.next_text() != "hello" {}
}

/// Returns how many rooms hibernate.
fn hibernating(address: SocketAddr) -> usize {
    let count = status(address)["hibernating_room_count"].as_u64().expect("a number");
    usize::try_from(count).expect("there are fewer rooms than bytes")
}
