//! The attacks, grouped by their target.

mod connections;
mod log;
mod memory;
mod privacy;
mod rooms;
mod shutdown;
mod time;

use crate::{guest::Guest, log::Reader, scale::Scale, stage::Stage};

/// An attack: something that untrusted clients can do.
#[derive(Debug)]
pub(crate) struct Attack {
    /// Its code, by which the command line selects it. Similar attacks have the same code.
    pub(crate) row: &'static str,
    /// Its title in the table.
    pub(crate) title: &'static str,
    /// Its own promise, in addition to the rules for all attacks.
    pub(crate) promise: &'static str,
    pub(crate) guest: Guest,
    /// The options of `serve`, for a system that allows this number of open files.
    pub(crate) settings: fn(Scale, files: usize) -> Vec<String>,
    /// The maximum number of the server's open files, if not as many as the system allows.
    pub(crate) files: Option<u32>,
    pub(crate) reader: Reader,
    /// Runs the attack. Between its preparation and the attack itself it calls [`Stage::calm`].
    pub(crate) make: fn(&mut Stage) -> Result<(), String>,
}

/// The fields that most attacks share.
const ATTACK: Attack = Attack {
    row: "",
    title: "",
    promise: "memory stays within its limit",
    guest: Guest::Commands,
    settings: |_, _| Vec::new(),
    files: None,
    reader: Reader::Fast,
    make: |_| Ok(()),
};

pub(crate) const ATTACKS: &[Attack] = &[
    Attack {
        row: "M1",
        title: "600 clients each send 1 MiB to a room of their own and disconnect",
        guest: Guest::Small,
        make: memory::large_messages,
        ..ATTACK
    },
    Attack {
        row: "M2",
        title: "2 rooms each send 8 MB to each of 64 clients that do not read",
        guest: Guest::Small,
        make: memory::deaf_rooms,
        ..ATTACK
    },
    Attack {
        row: "M2",
        title: "300 clients of a room do not read, and one broadcasts tiny messages without end",
        guest: Guest::Small,
        make: memory::tiny_broadcasts,
        ..ATTACK
    },
    Attack {
        row: "M2",
        title: "9,000 clients of a room do not read, and one broadcasts messages of 3,000 bytes without end",
        promise: "memory is bounded, and other rooms go on",
        guest: Guest::Small,
        make: memory::many_deaf_clients,
        ..ATTACK
    },
    Attack {
        row: "M3",
        title: "600 clients each send 1 MiB of a message without its end; one of them continues slowly",
        make: memory::unfinished_messages,
        ..ATTACK
    },
    Attack {
        row: "M3",
        title: "5,000 clients each send 64 KiB of a message without its end",
        promise: "memory is bounded, and rooms answer",
        make: memory::small_unfinished_messages,
        ..ATTACK
    },
    Attack {
        row: "M3",
        title: "6,000 clients request a large file and do not read it",
        make: memory::stalled_downloads,
        ..ATTACK
    },
    Attack {
        row: "M4",
        title: "2,000 clients join 2,000 rooms of 1.1 MB at the same time",
        guest: Guest::Wide,
        make: memory::wide_rooms,
        ..ATTACK
    },
    Attack {
        row: "M4",
        title: "100 clients join 100 rooms of 32 MiB at the same time",
        guest: Guest::Vast,
        make: memory::vast_rooms,
        ..ATTACK
    },
    Attack {
        row: "M5",
        title: "2,000 clients of a room have resumable sessions, and confirm nothing of what they receive",
        promise: "memory is bounded, and another client can send a large message",
        guest: Guest::Small,
        make: memory::unconfirmed_messages,
        ..ATTACK
    },
    Attack {
        row: "M5",
        title: "200 clients of a room begin resumable sessions, and lose their connections, again and again",
        promise: "memory is bounded, and other clients are served during the attack",
        guest: Guest::Small,
        make: memory::lost_sessions,
        ..ATTACK
    },
    Attack {
        row: "R1",
        title: "8 connections send `POST /new_room` again and again, pipelined",
        promise: "another client can open a room afterwards",
        guest: Guest::Small,
        settings: rooms::settings,
        make: rooms::open_many,
        ..ATTACK
    },
    Attack {
        row: "T1",
        title: "100 guests grow their memory by 32 MiB at the same time",
        promise: "memory stays within its limit, and no other client waits for it",
        make: time::growth,
        ..ATTACK
    },
    Attack {
        row: "T2",
        title: "20 rooms run `memory.fill` or `memory.copy` of 30 MB without end",
        promise: "other clients are served during the attack",
        make: |stage| time::bulk_memory(stage, 20),
        ..ATTACK
    },
    Attack {
        row: "T2",
        title: "4 rooms run `memory.fill` or `memory.copy` of 30 MB without end, with enough memory for all of them",
        promise: "other clients are served during the attack",
        make: |stage| time::bulk_memory(stage, 4),
        ..ATTACK
    },
    Attack {
        row: "T3",
        title: "100 clients send empty messages without a pause",
        promise: "other clients are served during the attack",
        make: |stage| time::flood(stage, 100, time::Flood::Empty),
        ..ATTACK
    },
    Attack {
        row: "T3",
        title: "1,000 clients send empty messages without a pause",
        promise: "other clients are served during the attack",
        make: |stage| time::flood(stage, 1000, time::Flood::Empty),
        ..ATTACK
    },
    Attack {
        row: "T3",
        title: "100 clients send pings without a pause",
        promise: "other clients are served during the attack",
        make: |stage| time::flood(stage, 100, time::Flood::Ping),
        ..ATTACK
    },
    Attack {
        row: "T3",
        title: "1,000 clients send pings without a pause",
        promise: "other clients are served during the attack",
        make: |stage| time::flood(stage, 1000, time::Flood::Ping),
        ..ATTACK
    },
    Attack {
        row: "T3",
        title: "100 clients send messages without a pause and get them back",
        promise: "other clients are served during the attack",
        make: |stage| time::flood(stage, 100, time::Flood::Echo),
        ..ATTACK
    },
    Attack {
        row: "T3",
        title: "1,000 clients send messages without a pause and get them back",
        promise: "other clients are served during the attack",
        make: |stage| time::flood(stage, 1000, time::Flood::Echo),
        ..ATTACK
    },
    Attack {
        row: "T4",
        title: "a room sends 4 broadcasts a second to 5,000 clients",
        promise: "other clients are served during the attack",
        guest: Guest::Small,
        make: |stage| time::broadcasts(stage, 5000),
        ..ATTACK
    },
    Attack {
        row: "T4",
        title: "a room sends 4 broadcasts a second to 9,900 clients",
        promise: "other clients are served during the attack",
        guest: Guest::Small,
        make: |stage| time::broadcasts(stage, 9900),
        ..ATTACK
    },
    Attack {
        row: "T4",
        title: "a room sends 9,999 broadcasts to 2,000 clients in one event",
        promise: "other clients are served during the attack",
        make: time::many_broadcasts,
        ..ATTACK
    },
    Attack {
        row: "T5",
        title: "500 connections each send 20,000 requests and read no answer",
        promise: "other clients are served during the attack",
        make: time::pipelines,
        ..ATTACK
    },
    Attack {
        row: "T5",
        title: "100,000 rooms exist, and the operator lists them again and again",
        promise: "other clients are served during the attack",
        guest: Guest::Small,
        settings: time::settings_for_lists,
        make: time::room_lists,
        ..ATTACK
    },
    Attack {
        row: "L1",
        title: "10 rooms log lines of 1 MB of control characters without end",
        promise: "the log stays within its limit",
        make: |stage| log::chatter(stage, 10, "V"),
        ..ATTACK
    },
    Attack {
        row: "L1",
        title: "100 rooms log lines without end; only 100 KB a second of the log are read",
        promise: "no room waits for the log",
        reader: Reader::Slow,
        make: |stage| log::chatter(stage, 100, "v"),
        ..ATTACK
    },
    Attack {
        row: "L2",
        title: "200 clients make their rooms fail and reconnect at once",
        promise: "the log stays within its limit",
        make: log::failures,
        ..ATTACK
    },
    Attack {
        row: "L2",
        title: "20 clients request a file again and again; 256 files are open, which is the maximum",
        promise: "the log stays within its limit",
        files: Some(256),
        make: log::refusals,
        ..ATTACK
    },
    Attack {
        row: "S1",
        title: "SIGTERM while 100 rooms log and nobody reads the log",
        promise: "the server ends within 2 s",
        reader: Reader::Stopped,
        make: |stage| shutdown::while_logging(stage, 100, "v"),
        ..ATTACK
    },
    Attack {
        row: "S1",
        title: "SIGTERM while 10 rooms log lines of 1 MB",
        promise: "the server ends within 2 s",
        make: |stage| shutdown::while_logging(stage, 10, "V"),
        ..ATTACK
    },
    Attack {
        row: "S1",
        title: "SIGTERM while clients join rooms of 32 MiB",
        promise: "the server ends within 2 s",
        guest: Guest::Vast,
        make: shutdown::while_joining,
        ..ATTACK
    },
    Attack {
        row: "P1",
        title: "requests for `/status?verbose` and `/rooms` from this machine, as a badly configured proxy forwards them",
        promise: "no public answer contains a room's id; the operator's answer does",
        make: privacy::room_ids,
        ..ATTACK
    },
    Attack {
        row: "C1",
        title: "200 more silent connections than the server accepts, all from one address",
        promise: "a new client can connect within 2 s",
        settings: connections::settings,
        make: connections::silence,
        ..ATTACK
    },
];
