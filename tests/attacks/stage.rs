use std::{
    fmt,
    net::SocketAddr,
    thread,
    time::{Duration, Instant},
};

use crate::{
    address::NEWCOMER,
    http::{self, ask},
    innocent::{Innocent, Story},
    latency::Latency,
    scale::Scale,
    server::Server,
    swarm::{Plan, Swarm, Tally},
    verdict::milliseconds,
    watch::Taken,
};

/// The time that the operator waits for an answer.
const OPERATORS_PATIENCE: Duration = Duration::from_secs(5);

/// The stage of an attack: a server, with an innocent client in it.
#[derive(Debug)]
pub(crate) struct Stage {
    pub(crate) server: Server,
    pub(crate) scale: Scale,
    /// The maximum number of open files and sockets of the attackers, and of the server.
    pub(crate) files: usize,
    innocent: Option<Innocent>,
    pub(crate) seen: Seen,
    begun: Option<(Instant, Taken)>,
}

/// The observations of an attack.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// Before the attack, and during it.
    pub(crate) innocent: [Latency; 2],
    /// Why the innocent client's connection ended, each time.
    pub(crate) innocent_ends: Vec<String>,
    /// The lengths of the event loop's passes, unless the server is gone.
    pub(crate) passes: Option<Passes>,
    /// The duration of the attack.
    pub(crate) time: Duration,
    /// The processor time that the server took meanwhile.
    pub(crate) cpu: Duration,
    /// The most memory that the server has had, in bytes.
    pub(crate) memory: u64,
    pub(crate) log_bytes: u64,
    pub(crate) log_lines: u64,
    /// The way in which the server ended, if nobody asked it to.
    pub(crate) end: Option<String>,
    /// The results of the attackers.
    pub(crate) notes: Vec<String>,
    /// The promises of the attack itself that were broken.
    pub(crate) broken: Vec<String>,
}

/// The lengths of passes of the event loop.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Passes {
    pub(crate) p99: Duration,
    pub(crate) longest: Duration,
}

impl Passes {
    /// Returns true if one of the two is longer than in `most`.
    pub(crate) fn exceed(self, most: Self) -> bool {
        self.p99 > most.p99 || self.longest > most.longest
    }
}

impl fmt::Display for Passes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} / {}", milliseconds(self.p99), milliseconds(self.longest))
    }
}

impl Stage {
    /// Puts the innocent client into a room of its own.
    pub(crate) fn new(
        server: Server,
        scale: Scale,
        files: usize,
        has_generated_ids: bool,
    ) -> Result<Self, String> {
        let room = match has_generated_ids {
            true => open_room(server.address)?,
            false => "innocent".to_owned(),
        };
        let innocent = Some(Innocent::begin(server.address, room)?);
        Ok(Self { server, scale, files, innocent, seen: Seen::default(), begun: None })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.server.address
    }

    /// Makes a swarm of so many connections that do the same. They begin with the first step.
    pub(crate) fn swarm(&self, count: usize, plan: Plan) -> Result<Swarm, String> {
        Swarm::new(self.server.address, count, plan)
    }

    /// Leaves the innocent client alone with the server for a while. What follows is the attack.
    pub(crate) fn calm(&mut self) {
        thread::sleep(self.scale.calm());
        self.begin();
    }

    /// Does the same as [`calm`](Self::calm), with attackers that have come already and are quiet.
    pub(crate) fn calm_with(&mut self, swarm: &mut Swarm) -> Result<(), String> {
        swarm.run(self.scale.calm())?;
        self.begin();
        Ok(())
    }

    fn begin(&mut self) {
        if let Some(innocent) = &mut self.innocent {
            innocent.attacked();
        }
        self.begun = Some((Instant::now(), self.server.watch.taken()));
    }

    pub(crate) fn note(&mut self, what: impl Into<String>) {
        self.seen.notes.push(what.into());
    }

    /// Notes what has come of a swarm.
    pub(crate) fn note_tally(&mut self, tally: Tally) {
        let Tally { up, refused, ended, .. } = tally;
        let counts = [(up, "in"), (refused, "refused"), (ended, "ended")];
        let counts = counts.into_iter().filter(|(count, _)| *count > 0);
        let counts: Vec<_> = counts.map(|(count, what)| format!("{count} {what}")).collect();
        self.note(if counts.is_empty() { "nobody got in".to_owned() } else { counts.join(", ") });
    }

    /// Notes that a promise of the attack itself is broken.
    pub(crate) fn broke(&mut self, what: impl Into<String>) {
        self.seen.broken.push(what.into());
    }

    /// Asks for something from an address that nobody else has.
    pub(crate) fn ask(&self, method: &str, path: &str, patience: Duration) -> Result<http::Answer, String> {
        ask(self.server.address, NEWCOMER, method, path, patience).map_err(|error| error.to_string())
    }

    /// Looks at what the attack has done. After this, nothing that happens to the server is the attack's doing.
    pub(crate) fn look(&mut self) -> Result<(), String> {
        let Some(innocent) = self.innocent.take() else { return Ok(()) };
        let (begun, before) = self.begun.ok_or("the attack has not begun")?;
        self.seen.time = begun.elapsed();
        self.seen.cpu = self.server.watch.taken().cpu.saturating_sub(before.cpu);
        // The last answers may take a while.
        let (latencies, Story { ends, .. }) = innocent.end();
        self.seen.innocent = latencies;
        self.seen.innocent_ends = ends;
        self.seen.end = self.server.end();
        self.seen.memory = self.server.watch.taken().memory;
        self.seen.passes = self.passes();
        self.seen.log_bytes = self.server.log.bytes();
        self.seen.log_lines = self.server.log.lines();
        Ok(())
    }

    /// Asks, as the operator, for JSON.
    pub(crate) fn ask_as_operator(&self, path: &str) -> Result<serde_json::Value, String> {
        let answer = ask(self.server.operator, NEWCOMER, "GET", path, OPERATORS_PATIENCE);
        let answer = answer.map_err(|error| format!("the operator gets no `{path}`: {error}"))?;
        match answer.status {
            200 => serde_json::from_str(&answer.body).map_err(|error| error.to_string()),
            status => Err(format!("the operator gets no `{path}`, but {status}: {}", answer.body.trim())),
        }
    }

    /// Returns the passes of the event loop since the server's start.
    fn passes(&self) -> Option<Passes> {
        let status = self.ask_as_operator("/status").ok()?;
        let time = |name| status[name].as_u64().map(Duration::from_micros);
        let longest = time("longest_pass_us")?;
        // It is rounded up, and no pass is longer than the longest.
        Some(Passes { p99: time("p99_pass_us")?.min(longest), longest })
    }
}

/// Opens a room whose id the server chooses.
pub(crate) fn open_room(address: SocketAddr) -> Result<String, String> {
    let answer = ask(address, NEWCOMER, "POST", "/new_room", Duration::from_secs(5));
    let answer = answer.map_err(|error| format!("no room is opened: {error}"))?;
    match answer.status {
        201 => Ok(answer.body.trim().to_owned()),
        status => Err(format!("no room is opened, but {status}: {}", answer.body.trim())),
    }
}
