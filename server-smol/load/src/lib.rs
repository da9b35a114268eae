//! Measures WebSocket servers: `stateroom load`. It runs thousands of clients on one thread, for this server
//! or any other one. It sends messages and checks that each is delivered once and in order. It reports the
//! rates, the latencies, and the resources that the server used.
//!
//! It shares no code with the server. It needs epoll, so it runs only on Linux.
#![cfg(target_os = "linux")]
#![forbid(unsafe_code)]
// The documentation of the options is what `--help` prints.
#![allow(rustdoc::invalid_html_tags)]

mod args;
mod connect;
mod connection;
mod crowd;
mod error;
mod frame;
mod histogram;
mod ledger;
mod mark;
mod meter;
mod opening;
mod poller;
mod process;
mod quantity;
mod report;
mod schedule;
mod target;
mod traffic;

use std::{
    io::{self, Write as _},
    time::Instant,
};

use anyhow::{Result, bail, ensure};

pub use self::{args::LoadArgs, error::Error};
use self::{
    args::{BroadcastArgs, CommonArgs, ConnectArgs, EchoArgs, IdleArgs, MessageArgs, Mode},
    crowd::Crowd,
    ledger::Shape,
    meter::Meter,
    process::Process,
    report::{Count, Report},
    traffic::{Plan, Traffic, described},
};

/// Runs `stateroom load`, and prints a report to stdout. The process needs as many open files as there are
/// [connections](LoadArgs::connections).
///
/// # Errors
/// The server cannot be reached, ends connections, or does not deliver all messages; or the options
/// contradict each other.
pub fn run(args: LoadArgs) -> Result<(), Error> {
    let outcome = match args.mode {
        Mode::Echo(args) => echo(&args),
        Mode::Broadcast(args) => broadcast(&args),
        Mode::Connect(args) => connect(&args),
        Mode::Idle(args) => idle(&args),
    };
    outcome.map_err(Error::from)
}

fn echo(args: &EchoArgs) -> Result<()> {
    let &EchoArgs { connections, rooms, .. } = args;
    let shape = Shape { groups: connections, clients: 1, senders: 1, except_sender: false };
    let asked = vec![("connections", connections as u64), ("rooms", rooms as u64)];
    converse(ECHO, &args.common, &args.messages, shape, asked, rooms, |connection| connection % rooms)
}

fn broadcast(args: &BroadcastArgs) -> Result<()> {
    let &BroadcastArgs { rooms, clients, senders, except_sender, .. } = args;
    ensure!(senders <= clients, "there are {clients} clients in a room, of which {senders} cannot send");
    ensure!(clients > 1 || !except_sender, "a client that is alone hears nobody with --except-sender");
    let shape = Shape { groups: rooms, clients, senders, except_sender };
    let asked = vec![("rooms", rooms as u64), ("clients", clients as u64), ("senders", senders as u64)];
    converse("broadcast", &args.common, &args.messages, shape, asked, rooms, |connection| {
        connection / clients
    })
}

/// The name of the mode in which each client waits for its own messages.
const ECHO: &str = "echo";

/// The maximum number of pairs of a client and a sender. Each takes four bytes.
const MOST_PAIRS: usize = 100_000_000;

/// Sends messages to `rooms` rooms and reports the results. `room` returns the room of a connection.
fn converse(
    mode: &'static str,
    common: &CommonArgs,
    messages: &MessageArgs,
    shape: Shape,
    mut asked: Vec<(&'static str, u64)>,
    rooms: usize,
    room: impl Fn(usize) -> usize,
) -> Result<()> {
    let pairs = shape.groups.saturating_mul(shape.clients).saturating_mul(shape.senders);
    ensure!(pairs <= MOST_PAIRS, "these are too many clients who hear each other");
    let process = begin(common, rooms)?;
    let plan = Plan {
        shape,
        window: messages.window(),
        size: messages.size,
        opcode: if messages.binary { frame::BINARY } else { frame::TEXT },
        rate: messages.rate,
        warmup: messages.times.warmup,
        duration: messages.times.duration,
        patience: common.patience,
        process,
    };
    asked.extend([("window", plan.window as u64), ("size", plan.size as u64)]);
    asked.extend(plan.rate.map(|rate| ("rate", rate)));
    let crowd = Crowd::open(&common.target, shape.connections(), common.patience, room)?;
    let outcome = Traffic::new(&plan, crowd).run()?;
    let reading = outcome.meter.reading();
    report(
        common,
        &Report {
            mode,
            url: common.target.url(),
            asked,
            time: reading.time,
            counts: vec![
                Count { one: "message", many: "messages", number: outcome.messages },
                Count { one: "delivery", many: "deliveries", number: outcome.deliveries },
            ],
            latency: Some(outcome.latency),
            server: reading.server,
            own_cpu: reading.own_cpu,
            faults: Some(outcome.faults),
            others: outcome.others,
            unsent: outcome.unsent,
        },
    );
    ensure!(
        !(mode == ECHO && outcome.is_silent),
        "no message has come back: does this service send each message back to its sender, as examples/echo does?"
    );
    if outcome.faults.count() > 0 {
        bail!("{}", described(&outcome.faults));
    }
    Ok(())
}

fn connect(args: &ConnectArgs) -> Result<()> {
    let &ConnectArgs { ref common, concurrency, rooms, .. } = args;
    let process = begin(common, rooms)?;
    let plan = connect::Plan {
        target: &common.target,
        rooms,
        concurrency,
        warmup: args.times.warmup,
        duration: args.times.duration,
        patience: common.patience,
        process,
    };
    let outcome = plan.run()?;
    let reading = outcome.meter.reading();
    report(
        common,
        &Report {
            mode: "connect",
            url: common.target.url(),
            asked: vec![("concurrency", concurrency as u64), ("rooms", rooms as u64)],
            time: reading.time,
            counts: vec![Count { one: "handshake", many: "handshakes", number: outcome.handshakes }],
            latency: Some(outcome.latency),
            server: reading.server,
            own_cpu: reading.own_cpu,
            faults: None,
            others: 0,
            unsent: 0,
        },
    );
    Ok(())
}

fn idle(args: &IdleArgs) -> Result<()> {
    let &IdleArgs { ref common, connections, rooms, hold } = args;
    let process = begin(common, rooms)?;
    // The server's memory is measured from before the first connection, its processor time from after the
    // last.
    let mut memory = Meter::start(process)?;
    let mut crowd =
        Crowd::open(&common.target, connections, common.patience, |connection| connection % rooms)?;
    let mut meter = Meter::start(process)?;
    crowd.hold(Instant::now() + hold)?;
    meter.stop()?;
    memory.stop()?;
    let (reading, memory) = (meter.reading(), memory.reading());
    let server = reading.server.zip(memory.server).map(|(now, all)| report::Usage {
        resident: all.resident,
        connections: connections as u64,
        ..now
    });
    report(
        common,
        &Report {
            mode: "idle",
            url: common.target.url(),
            asked: vec![("connections", connections as u64), ("rooms", rooms as u64)],
            time: reading.time,
            counts: Vec::new(),
            latency: None,
            server,
            own_cpu: reading.own_cpu,
            faults: None,
            others: 0,
            unsent: 0,
        },
    );
    crowd.leave(Instant::now() + common.patience, |_, _| {})
}

/// Makes sure that a run is possible, and finds the server's process.
fn begin(common: &CommonArgs, rooms: usize) -> Result<Option<Process>> {
    common.target.expect_rooms(rooms)?;
    common.pid.map(Process::find).transpose()
}

/// Prints it. The reader of the output may be gone. That must not cause a panic.
fn report(common: &CommonArgs, report: &Report) {
    let mut out = io::stdout();
    let _ = match common.json {
        true => writeln!(out, "{}", report.to_json()),
        false => write!(out, "{report}"),
    };
}
