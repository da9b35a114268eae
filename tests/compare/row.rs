/// The reaction of a room to a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Room {
    Echo,
    Broadcast,
}

impl Room {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Echo => "echo",
            Self::Broadcast => "broadcast",
        }
    }
}

/// A kind of load, and what is read from its reports.
#[derive(Debug)]
pub(crate) struct Row {
    /// Its name on the command line.
    pub(crate) name: &'static str,
    pub(crate) room: Room,
    pub(crate) rooms: usize,
    /// The mode and its options.
    pub(crate) load: &'static str,
    /// True if there is something to warm up and to continue for a time.
    pub(crate) has_duration: bool,
    pub(crate) figures: &'static [Figure],
}

/// One number in a report.
#[derive(Debug)]
pub(crate) struct Figure {
    pub(crate) title: &'static str,
    /// Its path in the JSON.
    pub(crate) pointer: &'static str,
    pub(crate) unit: Unit,
}

/// The unit of a number, computed from the report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    /// Processor time.
    Microseconds,
    /// The time that something took.
    Latency,
    /// Things a second, from microseconds for each.
    PerSecond,
    /// Kibibytes, from bytes.
    Kibibytes,
}

impl Unit {
    /// Returns the number in this unit.
    pub(crate) fn of(self, value: f64) -> f64 {
        match self {
            Self::Microseconds | Self::Latency => value,
            Self::PerSecond => 1e6 / value,
            Self::Kibibytes => value / 1024.0,
        }
    }
}

const PER_MESSAGE: &str = "/server/cpu_us_per_message";
const PER_DELIVERY: &str = "/server/cpu_us_per_delivery";
const PER_CONNECTION: &str = "/server/resident_per_connection";

const fn figure(title: &'static str, pointer: &'static str, unit: Unit) -> Figure {
    Figure { title, pointer, unit }
}

pub(crate) const ROWS: &[Row] = &[
    Row {
        name: "echo-1",
        room: Room::Echo,
        rooms: 1,
        load: "echo --connections 50 --window 1",
        has_duration: true,
        figures: &[figure("echo, 50 clients, one message at a time", PER_MESSAGE, Unit::Microseconds)],
    },
    Row {
        name: "echo-32",
        room: Room::Echo,
        rooms: 1,
        load: "echo --connections 50 --window 32",
        has_duration: true,
        figures: &[figure("echo, 50 clients, 32 messages at a time", PER_MESSAGE, Unit::Microseconds)],
    },
    Row {
        name: "echo-4k",
        room: Room::Echo,
        rooms: 1,
        load: "echo --connections 50 --window 8 --size 4KiB",
        has_duration: true,
        figures: &[figure(
            "echo of 4 KiB, 50 clients, 8 messages at a time",
            PER_MESSAGE,
            Unit::Microseconds,
        )],
    },
    Row {
        name: "echo-rate",
        room: Room::Echo,
        rooms: 1,
        load: "echo --connections 50 --rate 5000",
        has_duration: true,
        figures: &[
            figure("echo at 5,000 messages a second", PER_MESSAGE, Unit::Microseconds),
            figure("echo at 5,000 messages a second: latency, 99 in 100", "/latency_us/p99", Unit::Latency),
        ],
    },
    Row {
        name: "broadcast-100",
        room: Room::Broadcast,
        rooms: 1,
        load: "broadcast --rooms 1 --clients 100 --senders 1",
        has_duration: true,
        figures: &[figure("broadcast to 100 clients, 1 sends", PER_DELIVERY, Unit::Microseconds)],
    },
    Row {
        name: "broadcast-all",
        room: Room::Broadcast,
        rooms: 1,
        load: "broadcast --rooms 1 --clients 20 --senders 20",
        has_duration: true,
        figures: &[figure("broadcast among 20 clients, all send", PER_DELIVERY, Unit::Microseconds)],
    },
    Row {
        name: "broadcast-rooms",
        room: Room::Broadcast,
        rooms: 50,
        load: "broadcast --rooms 50 --clients 20 --senders 1",
        has_duration: true,
        figures: &[figure(
            "broadcast in 50 rooms of 20 clients, 1 sends in each",
            PER_DELIVERY,
            Unit::Microseconds,
        )],
    },
    Row {
        name: "connect",
        room: Room::Echo,
        rooms: 1,
        load: "connect --concurrency 16",
        has_duration: true,
        figures: &[figure("connections opened and closed", "/server/cpu_us_per_handshake", Unit::PerSecond)],
    },
    Row {
        name: "idle",
        room: Room::Echo,
        rooms: 1,
        load: "idle --connections 10000 --hold 2",
        has_duration: false,
        figures: &[figure(
            "memory for an idle connection, of 10,000 in a room",
            PER_CONNECTION,
            Unit::Kibibytes,
        )],
    },
    Row {
        name: "rooms",
        room: Room::Echo,
        rooms: 10_000,
        load: "idle --connections 10000 --rooms 10000 --hold 2",
        has_duration: false,
        figures: &[figure(
            "memory for a room with a client, of 10,000 rooms",
            PER_CONNECTION,
            Unit::Kibibytes,
        )],
    },
];
