use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    mem,
    time::{Duration, Instant},
};

use stateroom_host_min::{
    ClientId, ClientInfo, Effect, Event, MessagePayload, Program, Room, Step, Trap, TrapReason,
};

/// The settings of the rooms in the checks.
#[derive(Clone, Copy)]
pub(crate) struct Setting<'a> {
    pub(crate) program: &'a Program,
    /// The information about each client.
    pub(crate) info: ClientInfo<'a>,
    pub(crate) tried: &'a Tried,
}

/// The approximate time that all checks together may take. A service that uses its limits in each event would
/// take hours.
const PATIENCE: Duration = Duration::from_secs(20);

/// The observations in all of the rooms.
pub(crate) struct Tried {
    begun: Instant,
    kinds: RefCell<Vec<Kind>>,
    closed: Cell<bool>,
}

impl Default for Tried {
    fn default() -> Self {
        Self { begun: Instant::now(), kinds: RefCell::default(), closed: Cell::default() }
    }
}

/// A room that runs as in a server, with its own clock.
pub(crate) struct Session<'a> {
    setting: Setting<'a>,
    room: Room,
    now_ms: u64,
    /// The time at which the timer is due.
    timer: Option<u64>,
    /// The clients that can send messages.
    here: Vec<u32>,
    /// The clients that the room has closed, and whose `disconnect` has not run yet.
    leaving: VecDeque<u32>,
}

/// The maximum number of timers to wait for, one after the other.
const TIMES: usize = 100;

/// The time that passes before each event, in milliseconds.
const BETWEEN: u64 = 10;

/// The failure that ended a room.
pub(crate) struct Failure {
    pub(crate) event: Kind,
    pub(crate) trap: Trap,
}

/// The kind of the event that ended a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Init,
    Connect,
    Disconnect,
    Text,
    Binary,
    Timer,
}

impl Failure {
    /// Returns true if the event has used up its fuel, which takes seconds.
    pub(crate) fn takes_long(&self) -> bool {
        matches!(self.trap.reason(), TrapReason::OutOfFuel { .. })
    }
}

impl Tried {
    pub(crate) fn has(&self, kind: Kind) -> bool {
        self.kinds.borrow().contains(&kind)
    }

    /// Returns true if it has taken too long.
    pub(crate) fn is_late(&self) -> bool {
        self.begun.elapsed() > PATIENCE
    }

    /// Returns true if a room has closed a client.
    pub(crate) fn closed(&self) -> bool {
        self.closed.get()
    }

    fn add(&self, kind: Kind) {
        if !self.has(kind) {
            self.kinds.borrow_mut().push(kind);
        }
    }
}

impl<'a> Session<'a> {
    /// Returns a room that has begun.
    pub(crate) fn begin(setting: Setting<'a>, room_id: &str) -> Result<Self, Failure> {
        let failure = |trap| Failure { event: Kind::Init, trap };
        let room = setting.program.room(room_id, [7; 32]).map_err(failure)?;
        let mut session = Self {
            setting,
            room,
            // Some time in 2023.
            now_ms: 1_700_000_000_000,
            timer: None,
            here: Vec::new(),
            leaving: VecDeque::new(),
        };
        session.run(Event::Init).map(|_| session)
    }

    /// Returns the same, with a client in it, unless the room has closed it.
    pub(crate) fn with_client(setting: Setting<'a>) -> Result<Self, Failure> {
        let mut session = Self::begin(setting, "room")?;
        session.connect(1)?;
        Ok(session)
    }

    pub(crate) fn connect(&mut self, client: u32) -> Result<(), Failure> {
        self.pass()?;
        self.here.push(client);
        self.run(Event::Connect(ClientId(client), self.setting.info)).map(|_| ())
    }

    /// Disconnects a client, unless the room has closed it.
    pub(crate) fn disconnect(&mut self, client: u32) -> Result<(), Failure> {
        self.pass()?;
        if !self.here.contains(&client) {
            return Ok(());
        }
        self.here.retain(|other| *other != client);
        self.run(Event::Disconnect(ClientId(client))).map(|_| ())
    }

    /// Sends a message from a client. Returns `None` if the room has closed the client.
    pub(crate) fn message(
        &mut self,
        client: u32,
        message: MessagePayload<'_>,
    ) -> Result<Option<Step>, Failure> {
        self.pass()?;
        if !self.here.contains(&client) {
            return Ok(None);
        }
        self.run(Event::Message(ClientId(client), message)).map(Some)
    }

    /// Waits for the timer. If it is set again, waits again, for a limited number of times.
    pub(crate) fn wait(&mut self) -> Result<(), Failure> {
        for _ in 0..TIMES {
            let Some(due) = self.timer.filter(|_| !self.setting.tried.is_late()) else { break };
            self.now_ms = self.now_ms.max(due);
            self.time_is_up()?;
        }
        Ok(())
    }

    /// Returns the clients that are connected, and that the room has not closed.
    pub(crate) fn here(&self) -> &[u32] {
        &self.here
    }

    pub(crate) fn memory_size(&self) -> usize {
        self.room.memory_size()
    }

    /// Moves the clock, and hands in the timer if it is due by then.
    fn pass(&mut self) -> Result<(), Failure> {
        self.now_ms += BETWEEN;
        match self.timer {
            Some(due) if due <= self.now_ms && !self.setting.tried.is_late() => self.time_is_up(),
            _ => Ok(()),
        }
    }

    fn time_is_up(&mut self) -> Result<(), Failure> {
        self.timer = None;
        // It is never refused: see `Step::Refused`.
        self.run(Event::Timer).map(|_| ())
    }

    /// Runs an event, and the events that follow if it closes clients.
    fn run(&mut self, event: Event<'_>) -> Result<Step, Failure> {
        let step = self.run_alone(event)?;
        while let Some(client) = self.leaving.pop_front() {
            // It is never refused, either.
            let _ = self.run_alone(Event::Disconnect(ClientId(client)))?;
        }
        Ok(step)
    }

    fn run_alone(&mut self, event: Event<'_>) -> Result<Step, Failure> {
        let kind = Kind::of(event);
        self.setting.tried.add(kind);
        let failure = |trap| Failure { event: kind, trap };
        let mut step = self.room.handle(event, self.now_ms).map_err(failure)?;
        while step == Step::Suspended {
            step = self.room.resume().map_err(failure)?;
        }
        for effect in self.room.effects() {
            match effect {
                Effect::SetTimer { ms } => self.timer = Some(self.now_ms + u64::from(ms)),
                Effect::CancelTimer => self.timer = None,
                Effect::Close { recipient, .. } => {
                    let here = mem::take(&mut self.here).into_iter();
                    let (closed, here): (Vec<_>, _) =
                        here.partition(|client| recipient.includes(ClientId(*client)));
                    self.here = here;
                    self.setting.tried.closed.set(self.setting.tried.closed() || !closed.is_empty());
                    self.leaving.extend(closed);
                }
                _ => {}
            }
        }
        Ok(step)
    }
}

impl Kind {
    fn of(event: Event<'_>) -> Self {
        match event {
            Event::Init => Self::Init,
            Event::Connect(..) => Self::Connect,
            Event::Disconnect(_) => Self::Disconnect,
            Event::Message(_, MessagePayload::Text(_)) => Self::Text,
            Event::Message(_, MessagePayload::Bytes(_)) => Self::Binary,
            Event::Timer => Self::Timer,
        }
    }
}
