use std::{
    fs, thread,
    time::{Duration, Instant},
};

use stateroom_tests::grouped;

use crate::{
    Bench,
    page::{Page, Verdict, size},
    pairs::{Pairs, change},
    server::{Affinity, Server},
};

/// Sockets that a server needs beside those of the crowd.
const OTHERS: usize = 500;
/// The time that rooms have been idle when the rest is measured: a server may do something about them before.
const LATER: Duration = Duration::from_secs(15);
/// The default time between two pings.
const HEARTBEAT: Duration = Duration::from_secs(30);

const FLAGS: [&str; 6] = ["--max-connections", "1M", "--max-rooms", "10M", "--room-rate", "0"];

/// Many idle rooms in a server, and what they cost a busy one.
pub(crate) fn measure(bench: &Bench, page: &mut Page) {
    let quiet = bench.serve(&bench.echo, Affinity::OneCore, &FLAGS);
    let files = open_files() - OTHERS.min(open_files() / 2);
    let some = 10_000.min(bench.options.crowd).min(files);
    {
        let server = bench.serve(&bench.echo, Affinity::OneCore, &FLAGS);
        independence(bench, page, [&quiet, &server], "and nobody else: how exact this is", None);
        let _crowd = bench.crowd(&server, some);
        let what = format!("beside {} idle rooms with a client each", grouped(some as u64));
        independence(bench, page, [&quiet, &server], &what, Some(5.0));
    }

    let (rooms, clients) = (bench.options.crowd, files.min(bench.options.crowd));
    let server = bench.serve(&bench.echo, Affinity::OneCore, &FLAGS);
    let empty = server.resident();
    let crowd = bench.crowd(&server, clients);
    let with_clients = server.resident();
    let begin = Instant::now();
    server.create(0..rooms - clients);
    let created = begin.elapsed();
    let counts = server.counts();
    let result = format!(
        "{} rooms, {} of them with a client; RSS {}",
        grouped(counts[0]),
        grouped(counts[1]),
        size(server.resident())
    );
    let target = format!("{} rooms, with as many clients as there may be", grouped(rooms as u64));
    page.line("one server process", &target, &result, counts == [rooms as u64, clients as u64]);
    let each = (with_clients - empty) / clients as f64;
    let result =
        format!("{} of RSS, {:.0} µs", size(each), crowd.gathered.as_secs_f64() * 1e6 / clients as f64);
    page.line("a room with a client, from the client's connecting", "", &result, Verdict::None);
    if rooms > clients {
        let others = (rooms - clients) as f64;
        let each = (server.resident() - with_clients) / others;
        let result = format!("{} of RSS, {:.0} µs", size(each), created.as_secs_f64() * 1e6 / others);
        page.line(
            "a room without clients, made with `POST`, one after the other",
            "",
            &result,
            Verdict::None,
        );
        page.note(format!(
            "a process may have {} open files here, so {} clients were connected, each to a room of its own; the other rooms were made with `POST /ws/<room>`",
            grouped(open_files() as u64),
            grouped(clients as u64),
        ));
    }
    thread::sleep(LATER);
    let resident = server.resident();
    page.line(
        &format!("all of it, {} s later", LATER.as_secs()),
        "",
        &format!("RSS {}", size(resident)),
        Verdict::None,
    );
    let before: f64 = server.threads_of_rooms().iter().sum();
    thread::sleep(HEARTBEAT);
    let took = server.threads_of_rooms().iter().sum::<f64>() - before;
    let result = format!("{:.2} % of a core", took / HEARTBEAT.as_secs_f64() * 100.0);
    page.line("CPU while nobody says anything, heartbeats included", "", &result, Verdict::None);
    let what =
        format!("beside {} idle rooms, {} of them with a client", grouped(counts[0]), grouped(counts[1]));
    independence(bench, page, [&quiet, &server], &what, Some(10.0));
}

/// Measures a message in a server with a crowd and in one without.
fn independence(bench: &Bench, page: &mut Page, servers: [&Server; 2], beside: &str, most: Option<f64>) {
    for (window, at_a_time) in [(1, "one message"), (32, "32 messages")] {
        let load = format!("echo --connections 50 --window {window}");
        let pairs = Pairs::measure(bench, &load, servers);
        let ([without, with], ratio) = pairs.figure("/server/cpu_us_per_message");
        page.line(
            &format!("echo, 50 clients, {at_a_time} at a time, {beside}"),
            &most.map_or(String::new(), |most| format!("less than {most} % more CPU")),
            &format!("{}: {with:.2} µs in place of {without:.2}", change(ratio)),
            most.map_or(Verdict::None, |most| Verdict::from(ratio < 1.0 + most / 100.0)),
        );
    }
}

/// Returns how many files a process may have open here at most.
fn open_files() -> usize {
    let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"));
    let hard = line.and_then(|line| line.split_whitespace().nth(1));
    hard.map_or(1024, |hard| hard.parse().unwrap_or(usize::MAX))
}
