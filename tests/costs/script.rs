use std::net::SocketAddr;

use crate::load;

/// The reaction of a room to a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Guest {
    /// Sends it back. It has no allocator.
    Echo,
    /// Sends it to everyone.
    Broadcast,
}

/// The differences between a script's runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Spread {
    /// No differences, except for what happens a few times in a run.
    None,
    /// The thread of the journal takes part, and how much comes together while it waits for the disk is chance.
    Grouping,
    /// Several threads take part, and which of them waits for which is chance.
    Racing,
    /// There is nothing in them but what its two connections differ in.
    Idle,
}

/// A script: something that is done again and again, with nothing else going on.
#[derive(Debug)]
pub(crate) struct Script {
    /// Its name on the command line.
    pub(crate) name: &'static str,
    /// Its title in the table.
    pub(crate) title: &'static str,
    /// The unit of the table's counts.
    pub(crate) unit: &'static str,
    /// The number of units in a step.
    pub(crate) units: usize,
    pub(crate) guest: Guest,
    /// True if rooms are kept on disk.
    pub(crate) is_durable: bool,
    /// True if its clients speak TLS.
    pub(crate) has_tls: bool,
    /// The number of steps of a short run, and of a long one. The first ones fill caches, in both.
    pub(crate) steps: [usize; 2],
    pub(crate) load: fn(SocketAddr, steps: usize),
    pub(crate) spread: Spread,
}

impl Script {
    /// Returns the number of units by which the two runs differ.
    pub(crate) fn difference(&self) -> f64 {
        ((self.steps[1] - self.steps[0]) * self.units) as f64
    }
}

pub(crate) const SCRIPTS: &[Script] = &[
    Script {
        name: "echo",
        title: "echo of 64 bytes, one at a time",
        unit: "message",
        units: 1,
        guest: Guest::Echo,
        is_durable: false,
        has_tls: false,
        steps: [500, 2500],
        load: |address, steps| load::echo(address, steps, 1, 64),
        spread: Spread::None,
    },
    Script {
        name: "echo-32",
        title: "echo of 64 bytes, 32 at a time",
        unit: "message",
        units: 32,
        guest: Guest::Echo,
        is_durable: false,
        has_tls: false,
        steps: [32, 160],
        load: |address, steps| load::echo(address, steps, 32, 64),
        spread: Spread::None,
    },
    Script {
        name: "echo-4k",
        title: "echo of 4 KiB, one at a time",
        unit: "message",
        units: 1,
        guest: Guest::Echo,
        is_durable: false,
        has_tls: false,
        steps: [300, 1300],
        load: |address, steps| load::echo(address, steps, 1, 4096),
        spread: Spread::None,
    },
    Script {
        name: "broadcast",
        title: "broadcast to 20 clients, one of them sends",
        unit: "delivery",
        units: 20,
        guest: Guest::Broadcast,
        is_durable: false,
        has_tls: false,
        steps: [100, 600],
        load: |address, steps| load::broadcast(address, steps, 20, 1),
        spread: Spread::None,
    },
    Script {
        name: "broadcast-all",
        title: "broadcast among 20 clients, all send",
        unit: "delivery",
        units: 400,
        guest: Guest::Broadcast,
        is_durable: false,
        has_tls: false,
        steps: [10, 60],
        load: |address, steps| load::broadcast(address, steps, 20, 20),
        spread: Spread::None,
    },
    Script {
        name: "session-echo",
        title: "echo of 64 bytes, one at a time, in a resumable session",
        unit: "message",
        units: 1,
        guest: Guest::Echo,
        is_durable: false,
        has_tls: false,
        steps: [512, 2560],
        load: load::echo_in_session,
        spread: Spread::None,
    },
    Script {
        name: "session-broadcast",
        title: "broadcast to 20 clients with resumable sessions, one of them sends",
        unit: "delivery",
        units: 20,
        guest: Guest::Broadcast,
        is_durable: false,
        has_tls: false,
        steps: [100, 612],
        load: |address, steps| load::broadcast_in_sessions(address, steps, 20),
        spread: Spread::None,
    },
    Script {
        name: "durable-echo",
        title: "echo of 64 bytes, one at a time, room on disk",
        unit: "message",
        units: 1,
        guest: Guest::Echo,
        is_durable: true,
        has_tls: false,
        steps: [500, 2500],
        load: |address, steps| load::echo(address, steps, 1, 64),
        spread: Spread::Grouping,
    },
    Script {
        name: "durable-echo-32",
        title: "echo of 64 bytes, 32 at a time, room on disk",
        unit: "message",
        units: 32,
        guest: Guest::Echo,
        is_durable: true,
        has_tls: false,
        steps: [32, 160],
        load: |address, steps| load::echo(address, steps, 32, 64),
        spread: Spread::Grouping,
    },
    Script {
        name: "resumptions",
        title: "connection lost, and its session resumed",
        unit: "connection",
        units: 1,
        guest: Guest::Echo,
        is_durable: false,
        has_tls: false,
        steps: [100, 400],
        load: load::resumptions,
        spread: Spread::Racing,
    },
    Script {
        name: "connections",
        title: "connection opened and closed",
        unit: "connection",
        units: 1,
        guest: Guest::Echo,
        is_durable: false,
        has_tls: false,
        steps: [100, 400],
        load: load::connections,
        spread: Spread::Racing,
    },
    Script {
        name: "rooms",
        title: "room created with `POST`",
        unit: "room",
        units: 1,
        guest: Guest::Echo,
        is_durable: false,
        has_tls: false,
        steps: [100, 400],
        load: load::rooms,
        spread: Spread::Racing,
    },
    Script {
        name: "tls-echo",
        title: "echo of 64 bytes, one at a time, with TLS",
        unit: "message",
        units: 1,
        guest: Guest::Echo,
        is_durable: false,
        has_tls: true,
        steps: [500, 2500],
        load: |address, steps| load::tls_echo(address, steps, 64),
        spread: Spread::None,
    },
    Script {
        name: "tls-echo-4k",
        title: "echo of 4 KiB, one at a time, with TLS",
        unit: "message",
        units: 1,
        guest: Guest::Echo,
        is_durable: false,
        has_tls: true,
        steps: [300, 1300],
        load: |address, steps| load::tls_echo(address, steps, 4096),
        spread: Spread::None,
    },
    Script {
        name: "tls-connections",
        title: "connection opened and closed, with a full TLS handshake",
        unit: "connection",
        units: 1,
        guest: Guest::Echo,
        is_durable: false,
        has_tls: true,
        steps: [50, 150],
        load: |address, steps| load::tls_connections(address, steps, false),
        spread: Spread::Racing,
    },
    Script {
        name: "tls-resumptions",
        title: "connection opened and closed, with a TLS session that is resumed",
        unit: "connection",
        units: 1,
        guest: Guest::Echo,
        is_durable: false,
        has_tls: true,
        steps: [50, 150],
        load: |address, steps| load::tls_connections(address, steps, true),
        spread: Spread::Racing,
    },
    Script {
        name: "idle",
        title: "connection that is idle",
        unit: "second",
        units: 1,
        guest: Guest::Echo,
        is_durable: false,
        has_tls: false,
        steps: [1, 4],
        load: load::idle,
        spread: Spread::Idle,
    },
];
