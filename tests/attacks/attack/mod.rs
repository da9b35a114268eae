//! The attacks, by what they are after.

mod connections;
mod log;
mod memory;
mod privacy;
mod rooms;
mod shutdown;
mod time;

use crate::{guest::Guest, log::Reader, scale::Scale, stage::Stage};

/// An attack: something that strangers can do.
#[derive(Debug)]
pub(crate) struct Attack {
    /// Its name on the command line, which others of its kind share.
    pub(crate) row: &'static str,
    /// Its title in the table.
    pub(crate) title: &'static str,
    /// Its promise beside those of all attacks.
    pub(crate) promise: &'static str,
    pub(crate) guest: Guest,
    /// Options of `serve`, where there may be so many open files.
    pub(crate) settings: fn(Scale, files: usize) -> Vec<String>,
    /// The maximum number of the server's open files, if not as many as the system allows.
    pub(crate) files: Option<u32>,
    pub(crate) reader: Reader,
    /// Runs the attack. Between its preparation and the attack itself it lets the stage [be calm](Stage::calm).
    pub(crate) make: fn(&mut Stage) -> Result<(), String>,
}

/// The fields that most attacks share.
const ATTACK: Attack = Attack {
    row: "",
    title: "",
    promise: "memory is bounded",
    guest: Guest::Commands,
    settings: |_, _| Vec::new(),
    files: None,
    reader: Reader::Fast,
    make: |_| Ok(()),
};

pub(crate) const ATTACKS: &[Attack] = &[
    Attack {
        row: "M1",
        title: "a message of 1 MiB into each of 600 rooms, and away",
        guest: Guest::Small,
        make: memory::large_messages,
        ..ATTACK
    },
    Attack {
        row: "M2",
        title: "2 rooms of 64 clients that do not read: 8 MB for each of them",
        guest: Guest::Small,
        make: memory::deaf_rooms,
        ..ATTACK
    },
    Attack {
        row: "M2",
        title: "300 clients of a room that do not read: tiny messages for all of them without end",
        guest: Guest::Small,
        make: memory::tiny_broadcasts,
        ..ATTACK
    },
    Attack {
        row: "M3",
        title: "600 messages of 1 MiB that do not end, one of which goes on",
        make: memory::unfinished_messages,
        ..ATTACK
    },
    Attack {
        row: "M3",
        title: "5,000 messages of 64 KiB that do not end",
        promise: "memory is bounded, and rooms answer",
        make: memory::small_unfinished_messages,
        ..ATTACK
    },
    Attack {
        row: "M3",
        title: "6,000 downloads of a large file that stall",
        make: memory::stalled_downloads,
        ..ATTACK
    },
    Attack {
        row: "M4",
        title: "2,000 clients join 2,000 rooms of 1.1 MB at once",
        guest: Guest::Wide,
        make: memory::wide_rooms,
        ..ATTACK
    },
    Attack {
        row: "M4",
        title: "100 clients join 100 rooms of 32 MiB at once",
        guest: Guest::Vast,
        make: memory::vast_rooms,
        ..ATTACK
    },
    Attack {
        row: "R1",
        title: "`POST /new_room`, pipelined",
        promise: "a stranger can open a room afterwards",
        guest: Guest::Small,
        settings: rooms::settings,
        make: rooms::open_many,
        ..ATTACK
    },
    Attack {
        row: "T1",
        title: "100 guests grow by 32 MiB at once",
        promise: "memory is bounded, and nobody waits for it",
        make: time::growth,
        ..ATTACK
    },
    Attack {
        row: "T2",
        title: "`memory.fill` and `memory.copy` of 30 MB without end, in 20 rooms",
        promise: "others are served meanwhile",
        make: |stage| time::bulk_memory(stage, 20),
        ..ATTACK
    },
    Attack {
        row: "T2",
        title: "the same in 4 rooms, for which there is memory",
        promise: "others are served meanwhile",
        make: |stage| time::bulk_memory(stage, 4),
        ..ATTACK
    },
    Attack {
        row: "T3",
        title: "empty messages from 100 clients",
        promise: "others are served meanwhile",
        make: |stage| time::flood(stage, 100, time::Flood::Empty),
        ..ATTACK
    },
    Attack {
        row: "T3",
        title: "empty messages from 1,000 clients",
        promise: "others are served meanwhile",
        make: |stage| time::flood(stage, 1000, time::Flood::Empty),
        ..ATTACK
    },
    Attack {
        row: "T3",
        title: "pings from 100 clients",
        promise: "others are served meanwhile",
        make: |stage| time::flood(stage, 100, time::Flood::Ping),
        ..ATTACK
    },
    Attack {
        row: "T3",
        title: "pings from 1,000 clients",
        promise: "others are served meanwhile",
        make: |stage| time::flood(stage, 1000, time::Flood::Ping),
        ..ATTACK
    },
    Attack {
        row: "T3",
        title: "echoes for 100 clients",
        promise: "others are served meanwhile",
        make: |stage| time::flood(stage, 100, time::Flood::Echo),
        ..ATTACK
    },
    Attack {
        row: "T3",
        title: "echoes for 1,000 clients",
        promise: "others are served meanwhile",
        make: |stage| time::flood(stage, 1000, time::Flood::Echo),
        ..ATTACK
    },
    Attack {
        row: "T4",
        title: "broadcasts to 5,000 clients, four a second",
        promise: "others are served meanwhile",
        guest: Guest::Small,
        make: |stage| time::broadcasts(stage, 5000),
        ..ATTACK
    },
    Attack {
        row: "T4",
        title: "broadcasts to 9,900 clients, four a second",
        promise: "others are served meanwhile",
        guest: Guest::Small,
        make: |stage| time::broadcasts(stage, 9900),
        ..ATTACK
    },
    Attack {
        row: "T4",
        title: "9,999 broadcasts to 2,000 clients in one event",
        promise: "others are served meanwhile",
        make: time::many_broadcasts,
        ..ATTACK
    },
    Attack {
        row: "T5",
        title: "500 connections that ask 20,000 times each and read nothing",
        promise: "others are served meanwhile",
        make: time::pipelines,
        ..ATTACK
    },
    Attack {
        row: "T5",
        title: "100,000 rooms, which the operator lists again and again",
        promise: "others are served meanwhile",
        guest: Guest::Small,
        settings: time::settings_for_lists,
        make: time::room_lists,
        ..ATTACK
    },
    Attack {
        row: "L1",
        title: "lines of 1 MB of control characters without end, from 10 rooms",
        promise: "the log is bounded",
        make: |stage| log::chatter(stage, 10, "V"),
        ..ATTACK
    },
    Attack {
        row: "L1",
        title: "lines without end, from 100 rooms, of which 100 KB a second are read",
        promise: "nobody waits for the log",
        reader: Reader::Slow,
        make: |stage| log::chatter(stage, 100, "v"),
        ..ATTACK
    },
    Attack {
        row: "L2",
        title: "200 clients that have their rooms fail, and come back at once",
        promise: "the log is bounded",
        make: log::failures,
        ..ATTACK
    },
    Attack {
        row: "L2",
        title: "20 clients ask for a file, again and again, when 256 files are open and no more may be",
        promise: "the log is bounded",
        files: Some(256),
        make: log::refusals,
        ..ATTACK
    },
    Attack {
        row: "S1",
        title: "SIGTERM while 100 rooms log, and nobody reads it",
        promise: "it is gone within 2 s",
        reader: Reader::Stopped,
        make: |stage| shutdown::while_logging(stage, 100, "v"),
        ..ATTACK
    },
    Attack {
        row: "S1",
        title: "SIGTERM while 10 rooms log lines of 1 MB",
        promise: "it is gone within 2 s",
        make: |stage| shutdown::while_logging(stage, 10, "V"),
        ..ATTACK
    },
    Attack {
        row: "S1",
        title: "SIGTERM while rooms of 32 MiB are joined",
        promise: "it is gone within 2 s",
        guest: Guest::Vast,
        make: shutdown::while_joining,
        ..ATTACK
    },
    Attack {
        row: "P1",
        title: "`/status?verbose` and `/rooms` from this machine, as a careless proxy would ask for them",
        promise: "no answer has a room's id, and the operator sees it",
        make: privacy::room_ids,
        ..ATTACK
    },
    Attack {
        row: "C1",
        title: "200 silent connections more than the server takes, all from one address",
        promise: "a newcomer gets in within 2 s",
        settings: connections::settings,
        make: connections::silence,
        ..ATTACK
    },
];
