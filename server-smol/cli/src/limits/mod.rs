//! The limits on what clients, rooms and guests may use.
//!
//! [`ALL`] describes each limit once: its key in `[limits]` of `stateroom.toml`, the thing that it bounds,
//! and the reason. The flag is made from the key (`memory` is `--max-memory`, `room_rate` is `--room-rate`).
//! The defaults and ranges come from the libraries.

mod args;
mod chosen;
mod page;
mod unit;

use std::ops::RangeInclusive;

use stateroom_host_min::Limits;
use stateroom_server_smol::{Server, Settings};

#[cfg(target_os = "linux")]
use super::open_files::{self, TooFew};

pub(crate) use self::unit::Unit;
pub(crate) use self::{
    args::LimitArgs,
    chosen::{Chosen, Origin},
    page::{Page, print},
};

/// The values of all limits.
#[derive(Debug, Clone, Default)]
pub(crate) struct Bounds {
    /// The limits of a guest. The server has the same limit for messages.
    pub(crate) guest: Limits,
    /// The limits of the server, among its other settings.
    settings: Settings,
}

impl Bounds {
    /// Returns a server with these limits. Raises the process's limit on open files to what they need.
    pub(crate) fn server(&self) -> Server {
        #[cfg(target_os = "linux")]
        if let Err(TooFew { needed, allowed }) = open_files::allow(self.settings.open_files()) {
            log::warn!(
                "{} connections (`--max-connections`) and {} downloads (`--max-downloads`) take {needed} open files, and this \
                 process may have {allowed}: raise the limit, as root with `ulimit -n {needed}`, or with \
                 `LimitNOFILE={needed}` in a systemd unit",
                self.settings.max_connections,
                self.settings.max_downloads
            );
        }
        #[cfg(target_os = "linux")]
        self.warn_of_memory();
        Server::from(self.settings.clone())
    }

    /// Warns of more memory than the machine has. The default is half of that.
    #[cfg(target_os = "linux")]
    fn warn_of_memory(&self) {
        let (total, half) = (TOTAL_MEMORY.of(self), TOTAL_MEMORY.of(&Self::default()));
        if let (Some(total), Some(half)) = (total, half)
            && total / 2 > half
        {
            log::warn!(
                "`total_memory` is {} (`--max-total-memory`), and this machine or control group has {} MiB: lower it",
                TOTAL_MEMORY.show(total),
                half >> 19
            );
        }
    }
}

/// A limit, with its names and texts for people.
#[derive(Debug)]
pub(crate) struct Limit {
    /// Its name in `stateroom.toml`.
    pub(crate) key: &'static str,
    /// Its earlier name, which is still accepted.
    old_key: Option<&'static str>,
    unit: Unit,
    /// The range of its values.
    range: RangeInclusive<u64>,
    /// Its default as text, if that is not a number.
    default: Option<&'static str>,
    /// The thing that it bounds, in one line.
    what: &'static str,
    /// The consequence of exceeding it, and what it protects.
    why: &'static str,
    value: fn(&mut Bounds) -> Value<'_>,
}

/// A reference to the value of a limit.
enum Value<'a> {
    Size(&'a mut usize),
    /// An optional limit.
    Optional(&'a mut Option<usize>),
    Rate(&'a mut u32),
    Fuel(&'a mut u64),
}

impl Limit {
    pub(crate) fn flag(&self) -> String {
        flag(self.key)
    }

    /// Returns its earlier flag.
    fn old_flag(&self) -> Option<String> {
        self.old_key.map(flag)
    }

    /// Finds the limit with this key or earlier key.
    pub(crate) fn with_key(key: &str) -> Option<&'static Self> {
        ALL.into_iter().find(|limit| limit.key == key || limit.old_key == Some(key))
    }

    /// Finds the limit of a field of [`Limits`] or [`Settings`].
    fn with_field(name: &str) -> Option<&'static Self> {
        let key = name.strip_prefix("max_").unwrap_or(name);
        ALL.into_iter().find(|limit| limit.key == key)
    }

    /// Reads a value from a text.
    pub(crate) fn read(&self, text: &str) -> Option<u64> {
        self.unit.read(text).filter(|value| self.allows(*value))
    }

    pub(crate) fn allows(&self, value: u64) -> bool {
        self.range.contains(&value)
    }

    /// Returns a description of its values.
    pub(crate) fn expected(&self) -> String {
        let thing = match self.unit {
            Unit::Bytes => "a number of bytes",
            Unit::Number => "a whole number",
        };
        let (least, most) = (self.show(*self.range.start()), *self.range.end());
        let range = match most {
            u64::MAX => format!("of at least {least}"),
            most => format!("from {least} to {}", self.show(most)),
        };
        format!("{thing} {range}, such as {}", self.unit.examples())
    }

    /// Returns the placeholder for its values in the help.
    fn value_name(&self) -> &'static str {
        match self.unit {
            Unit::Bytes => "SIZE",
            Unit::Number if self.key.ends_with("fuel") || self.key == "slice" => "FUEL",
            Unit::Number => "NUMBER",
        }
    }

    pub(crate) fn show(&self, value: u64) -> String {
        self.unit.show(value)
    }

    /// Returns its value, or `None` if there is no limit.
    fn of(&self, bounds: &Bounds) -> Option<u64> {
        let mut copy = bounds.clone();
        match (self.value)(&mut copy) {
            Value::Size(size) => Some(*size as u64),
            Value::Optional(size) => size.map(|size| size as u64),
            Value::Rate(rate) => Some(u64::from(*rate)),
            Value::Fuel(fuel) => Some(*fuel),
        }
    }

    fn set(&self, bounds: &mut Bounds, value: u64) {
        // A target with addresses of 32 bits has no larger sizes.
        let size = usize::try_from(value).unwrap_or(usize::MAX);
        match (self.value)(bounds) {
            Value::Size(place) => *place = size,
            Value::Optional(place) => *place = Some(size),
            Value::Rate(rate) => *rate = u32::try_from(value).unwrap_or(u32::MAX),
            Value::Fuel(fuel) => *fuel = value,
        }
    }

    /// Returns its default as text.
    fn shown_default(&self) -> String {
        match (self.default, self.of(&Bounds::default())) {
            (None, Some(value)) => self.show(value),
            (words, _) => words.unwrap_or("none").to_owned(),
        }
    }

    const fn size(
        key: &'static str,
        range: RangeInclusive<u64>,
        value: fn(&mut Bounds) -> Value<'_>,
    ) -> Self {
        Self { key, old_key: None, unit: Unit::Bytes, range, default: None, what: "", why: "", value }
    }

    const fn number(
        key: &'static str,
        range: RangeInclusive<u64>,
        value: fn(&mut Bounds) -> Value<'_>,
    ) -> Self {
        Self { unit: Unit::Number, ..Self::size(key, range, value) }
    }
}

fn flag(key: &str) -> String {
    let name = key.replace('_', "-");
    // The name of a rate says already that it is a limit.
    if name.ends_with("-rate") { name } else { format!("max-{name}") }
}

/// All limits, those of the server first.
pub(crate) static ALL: [&Limit; 23] = [
    &CONNECTIONS,
    &CONNECTIONS_PER_ADDRESS,
    &JOIN_RATE,
    &CLIENTS_PER_ROOM,
    &DOWNLOADS,
    &ROOMS,
    &ROOM_RATE,
    &TOTAL_MEMORY,
    &AWAKE_MEMORY,
    &OUTBOX_SIZE,
    &SESSION_BUFFER,
    &MESSAGE_SIZE,
    &MESSAGE_RATE,
    &BYTE_RATE,
    &MEMORY,
    &FUEL,
    &SLICE,
    &STARTUP_FUEL,
    &EFFECTS,
    &EFFECT_BYTES,
    &CALL_DEPTH,
    &TABLE_ELEMENTS,
    &MODULE_SIZE,
];

static CONNECTIONS: Limit = Limit {
    what: "Maximum number of connections",
    why: "Connections for requests and pages count, too. When the limit is reached, the connection that has
sent no request for longest is closed. If there is none, the new client gets a 503. An idle
client takes 2 KB. A client that does not read takes up to --max-outbox-size.",
    ..Limit::number("connections", Settings::MAX_CONNECTIONS, |bounds| {
        Value::Size(&mut bounds.settings.max_connections)
    })
};

static CONNECTIONS_PER_ADDRESS: Limit = Limit {
    what: "Maximum number of connections from one IPv4 address, or IPv6 network of 64 bits",
    why: "Further clients get a 429. This prevents one client from using all connections. Behind a proxy,
all clients have the proxy's address and share the limit, unless it is a --trusted-proxy.",
    default: Some("none"),
    ..Limit::number("connections_per_address", Settings::MAX_CONNECTIONS_PER_ADDRESS, |bounds| {
        Value::Optional(&mut bounds.settings.max_connections_per_address)
    })
};

static JOIN_RATE: Limit = Limit {
    what: "Maximum number of WebSockets that one address asks for in a second",
    why: "Ten times as many may be asked for at once. Further requests get a 429. An address is an IPv4
address, or an IPv6 network of 64 bits. 0 is no limit.",
    ..Limit::number("join_rate", Settings::JOIN_RATE, |bounds| Value::Rate(&mut bounds.settings.join_rate))
};

static CLIENTS_PER_ROOM: Limit = Limit {
    what: "Maximum number of clients in a room",
    why: "One more is closed with 1013. Clients whose resumable session waits are among them.",
    default: Some("none"),
    ..Limit::number("clients_per_room", Settings::MAX_CLIENTS_PER_ROOM, |bounds| {
        Value::Optional(&mut bounds.settings.max_clients_per_room)
    })
};

static DOWNLOADS: Limit = Limit {
    what: "Maximum number of static files that are being sent to clients",
    why: "A request for one more gets a 503. Each takes an open file, and the memory for a piece of it.",
    ..Limit::number("downloads", Settings::MAX_DOWNLOADS, |bounds| {
        Value::Size(&mut bounds.settings.max_downloads)
    })
};

static ROOMS: Limit = Limit {
    what: "Maximum number of rooms",
    why: "Anybody may open rooms, and each takes memory. When the limit is reached, the room that has been
empty for longest is ended. If no room is empty, the new room is refused.",
    ..Limit::number("rooms", Settings::MAX_ROOMS, |bounds| Value::Size(&mut bounds.settings.max_rooms))
};

static ROOM_RATE: Limit = Limit {
    what: "Maximum number of rooms created in a second from one IPv4 address, or IPv6 network of 64 bits",
    why: "Ten times as many may be created at once. Beyond this, a client is closed with 1013 or gets a 429.
Empty rooms are ended if new ones need space. This limit bounds how fast one client can cause
that. Behind a proxy all clients have the proxy's address, and share the limit, unless it is a
--trusted-proxy. 0 is no limit.",
    ..Limit::number("room_rate", Settings::ROOM_RATE, |bounds| Value::Rate(&mut bounds.settings.room_rate))
};

static TOTAL_MEMORY: Limit = Limit {
    what: "Maximum memory of guests, clients and requests together",
    why: "When memory is full, the server takes these steps in this order, until there is enough:
1. Idle rooms hibernate, and messages that are kept for resumable sessions are forgotten.
2. The client with the largest outbox is closed.
3. A new message from a client, a new room or a new connection is refused.
4. If a running room wants memory, the rooms that have been empty for longest are ended.
5. The running room that wants the memory fails.
Each of --threads has an equal share. The program itself takes a few MB in addition. On a small
machine, set this limit first: the limits below that you do not set are adjusted to it.",
    default: Some("half of the memory of the machine, or of its control group"),
    ..Limit::size("total_memory", Settings::TOTAL_MEMORY, |bounds| {
        Value::Size(&mut bounds.settings.total_memory)
    })
};

static AWAKE_MEMORY: Limit = Limit {
    what: "Memory of all rooms together beyond which idle ones hibernate at once",
    why: "The rooms that have been idle for longest hibernate first, without waiting for --hibernate-after.
This is not a hard limit: rooms that have changed most of their memory stay awake. If the rooms in
use need more than this, they hibernate and wake again and again, which takes processor time.
With --hibernate-after 0, no room hibernates.",
    old_key: Some("unfolded_memory"),
    ..Limit::size("awake_memory", Settings::AWAKE_MEMORY, |bounds| {
        Value::Size(&mut bounds.settings.awake_memory)
    })
};

static OUTBOX_SIZE: Limit = Limit {
    what: "Maximum amount of data that waits for one slow client",
    why: "A client for which more data would wait is disconnected. This has no effect on other clients. The
value is at least twice --max-effect-bytes. If you do not set it, it is adjusted to that.",
    ..Limit::size("outbox_size", Settings::OUTBOX_SIZE, |bounds| {
        Value::Size(&mut bounds.settings.outbox_size)
    })
};

static SESSION_BUFFER: Limit = Limit {
    what: "Maximum size of the messages that are kept for a resumable session until the client confirms them",
    why: "If there are more, the oldest ones are forgotten, and a client that has not received them gets a
new session. Each message counts 64 bytes more. Messages are kept only while less than half of
--max-total-memory is used. The value is at most --max-outbox-size. If you do not set it, it is
adjusted to that. Only clients that ask for it, as the client library does, have such sessions.",
    ..Limit::size("session_buffer", Settings::SESSION_BUFFER, |bounds| {
        Value::Size(&mut bounds.settings.session_buffer)
    })
};

static MESSAGE_SIZE: Limit = Limit {
    what: "Maximum size of a message from a client",
    why: "A client that sends a larger message is disconnected. This bounds the memory that one client can
take. The value is at most --max-memory and at most --max-effect-bytes.",
    ..Limit::size("message_size", Limits::MESSAGE_SIZE, |bounds| Value::Size(&mut bounds.guest.message_size))
};

static MESSAGE_RATE: Limit = Limit {
    what: "Maximum number of messages and pings that a client sends in a second on one connection",
    why: "Ten times as many may be sent at once. Beyond this, a client is closed with 1008. 0 is no limit.",
    ..Limit::number("message_rate", Settings::MESSAGE_RATE, |bounds| {
        Value::Rate(&mut bounds.settings.message_rate)
    })
};

static BYTE_RATE: Limit = Limit {
    what: "Maximum number of bytes that a client sends in a second on one connection",
    why: "Ten times as many may be sent at once, and at least two messages of --max-message-size. Beyond
this, a client is closed with 1008. 0 is no limit.",
    ..Limit::size("byte_rate", Settings::BYTE_RATE, |bounds| Value::Rate(&mut bounds.settings.byte_rate))
};

static MEMORY: Limit = Limit {
    what: "Maximum memory of a room",
    why: "At the limit, allocations in the guest fail. A module that needs more from the start is not
served. The engine doubles a memory that grows, so a room may be charged with twice this limit.",
    ..Limit::size("memory", Limits::MEMORY, |bounds| Value::Size(&mut bounds.guest.memory))
};

static FUEL: Limit = Limit {
    what: "Maximum fuel for one event",
    why: "A unit of fuel is about one instruction. A guest runs about 1G of them in a second. A guest that
needs more for one event fails, so an endless loop ends.",
    ..Limit::number("fuel", Limits::FUEL, |bounds| Value::Fuel(&mut bounds.guest.fuel))
};

static SLICE: Limit = Limit {
    what: "Maximum fuel for one slice of an event",
    why: "An event that needs more than one slice waits for a time slice of 0.25 ms. In its time slice it
runs one slice after another. 20k units of fuel are about 0.02 ms.",
    ..Limit::number("slice", Limits::SLICE, |bounds| Value::Fuel(&mut bounds.guest.slice))
};

static STARTUP_FUEL: Limit = Limit {
    what: "Maximum fuel for loading the module",
    why: "When the module is loaded, its start function runs once. In each new room it runs as a part of the
first event.",
    ..Limit::number("startup_fuel", Limits::STARTUP_FUEL, |bounds| {
        Value::Fuel(&mut bounds.guest.startup_fuel)
    })
};

static EFFECTS: Limit = Limit {
    what: "Maximum number of messages, log lines, timers and closes from one event",
    why: "A guest that asks for more fails. This bounds the memory that a room can take before its messages
are sent.",
    ..Limit::number("effects", Limits::EFFECTS, |bounds| Value::Size(&mut bounds.guest.effects))
};

static EFFECT_BYTES: Limit = Limit {
    what: "Maximum total size of the messages, close reasons and log lines from one event",
    why: "A guest that asks for more fails. If you do not set it, it is 4 MiB, or twice --max-message-size
if that is more. It is never less than --max-message-size.",
    ..Limit::size("effect_bytes", Limits::EFFECT_BYTES, |bounds| Value::Size(&mut bounds.guest.effect_bytes))
};

static CALL_DEPTH: Limit = Limit {
    what: "Maximum depth of nested calls in a guest",
    why: "A guest whose recursion is deeper fails.",
    ..Limit::number("call_depth", Limits::CALL_DEPTH, |bounds| Value::Size(&mut bounds.guest.call_depth))
};

static TABLE_ELEMENTS: Limit = Limit {
    what: "Maximum number of elements in each of a guest's tables",
    why: "Tables hold function pointers. They take memory in each room in addition to --max-memory.",
    ..Limit::number("table_elements", Limits::TABLE_ELEMENTS, |bounds| {
        Value::Size(&mut bounds.guest.table_elements)
    })
};

static MODULE_SIZE: Limit = Limit {
    what: "Maximum size of the module",
    why: "This bounds the time and memory that loading takes. Most guests have a few KB. Some contain
megabytes of debug information.",
    ..Limit::size("module_size", Limits::MODULE_SIZE, |bounds| Value::Size(&mut bounds.guest.module_size))
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_of_limits_has_a_key_and_a_flag() {
        // The struct may grow without notice, so what it is made of is read from what it prints.
        let fields = |limits: &Limits| -> Vec<(String, String)> {
            let text = format!("{limits:?}");
            let inside = text.strip_prefix("Limits { ").and_then(|text| text.strip_suffix(" }")).unwrap();
            let pairs = inside.split(", ").map(|pair| pair.split_once(": ").unwrap());
            pairs.map(|(field, value)| (field.to_owned(), value.to_owned())).collect()
        };
        let mut bounds = Bounds::default();
        for (number, limit) in (1_000_001..).zip(ALL) {
            limit.set(&mut bounds, number);
            assert_eq!(limit.of(&bounds), Some(number));
        }
        for (field, value) in fields(&bounds.guest) {
            let position = ALL.iter().position(|limit| limit.key == field);
            let position = position.unwrap_or_else(|| panic!("`{field}` of `Limits` is missing in `ALL`"));
            assert_eq!(value, (1_000_001 + position).to_string(), "`{field}` sets another field");
        }
    }

    #[test]
    fn the_documentation_has_all_limits_with_their_defaults() {
        let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/reference/configuration.md");
        let page = std::fs::read_to_string(page).unwrap();
        let defaults = ALL.map(|limit| match limit.default {
            None => format!("# {}.\n{} = \"{}\"\n", limit.what, limit.key, limit.shown_default()),
            Some(words) => {
                let example = if limit.unit == Unit::Bytes { "256MiB" } else { "100" };
                format!("# {}.\n# Default: {words}.\n{} = \"{example}\"\n", limit.what, limit.key)
            }
        });
        let table = format!("[limits]\n{}```\n", defaults.concat());
        assert!(page.contains(&table), "this is what docs/reference/configuration.md should say:\n{table}");
    }

    #[test]
    fn the_page_for_operators_says_what_each_limit_is_against() {
        let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/operations.md");
        let page = std::fs::read_to_string(page).unwrap();
        for limit in ALL {
            assert!(
                page.contains(&format!("`--{}`", limit.flag())),
                "docs/operations.md lacks --{}",
                limit.flag()
            );
        }
    }

    #[test]
    fn flags_follow_from_keys() {
        assert_eq!(MESSAGE_SIZE.flag(), "max-message-size");
        assert_eq!(ROOM_RATE.flag(), "room-rate");
        let mut keys: Vec<_> =
            ALL.iter().flat_map(|limit| [Some(limit.key), limit.old_key]).flatten().collect();
        let count = keys.len();
        keys.sort_unstable();
        keys.dedup();
        assert_eq!(keys.len(), count);
    }

    #[test]
    fn a_limit_has_its_old_name_still() {
        for key in ["awake_memory", "unfolded_memory"] {
            assert_eq!(Limit::with_key(key).map(|limit| limit.key), Some("awake_memory"));
        }
        assert_eq!(AWAKE_MEMORY.old_flag().as_deref(), Some("max-unfolded-memory"));
    }

    #[test]
    fn defaults_are_allowed() {
        for limit in ALL {
            let Some(default) = limit.of(&Bounds::default()) else { continue };
            assert_eq!(limit.read(&limit.show(default)), Some(default), "{}", limit.key);
        }
    }

    #[test]
    fn values_are_bounded() {
        assert_eq!((MEMORY.read("0"), MEMORY.read("1"), MEMORY.read("4GiB")), (None, Some(1), Some(4 << 30)));
        assert_eq!(MEMORY.read("4294967297"), None);
        assert_eq!((SLICE.read("0"), TABLE_ELEMENTS.read("0")), (None, Some(0)));
        assert_eq!((TOTAL_MEMORY.read("8MiB"), TOTAL_MEMORY.read("7MiB")), (Some(8 << 20), None));
        assert_eq!(FUEL.read("18446744073709551615"), Some(u64::MAX));
        assert_eq!(
            MEMORY.expected(),
            "a number of bytes from 1 to 4GiB, such as 65536, 64KiB, 32MiB or 1GiB"
        );
        assert!(TOTAL_MEMORY.expected().starts_with("a number of bytes of at least 8MiB, such as"));
        assert_eq!(FUEL.expected(), "a whole number of at least 1, such as 20000, 20_000, 20k or 5M");
    }
}
