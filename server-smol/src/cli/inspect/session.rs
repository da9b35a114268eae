use stateroom_host_min::{
    ClientId, ClientInfo, Effect, Event, MessagePayload, Program, Room, Step, Trap, TrapReason,
};

/// A room that is run as a server runs it, on a clock of its own.
pub(crate) struct Session {
    room: Room,
    now_ms: u64,
    /// When the timer is due.
    timer: Option<u64>,
    /// Whether it has been due before.
    had_timer: bool,
}

/// How often in a row the timer is waited for.
const TIMES: usize = 100;

/// How much time passes before each event, in milliseconds.
const BETWEEN: u64 = 10;

/// What ended a room.
pub(crate) struct Failure {
    pub(crate) event: Kind,
    pub(crate) trap: Trap,
}

/// What kind of event ended a room.
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
    /// Whether the event has used up its fuel, which takes seconds.
    pub(crate) fn takes_long(&self) -> bool {
        matches!(self.trap.reason(), TrapReason::OutOfFuel { .. })
    }
}

impl Session {
    /// A room that has begun.
    pub(crate) fn begin(program: &Program, room_id: &str) -> Result<Self, Failure> {
        let failure = |trap| Failure { event: Kind::Init, trap };
        let room = program.room(room_id, [7; 32]).map_err(failure)?;
        // Some time in 2023.
        let mut session = Self { room, now_ms: 1_700_000_000_000, timer: None, had_timer: false };
        session.run(Event::Init).map(|_| session)
    }

    /// The same, with a client in it.
    pub(crate) fn with_client(program: &Program) -> Result<Self, Failure> {
        let mut session = Self::begin(program, "room")?;
        session.connect(1)?;
        Ok(session)
    }

    pub(crate) fn connect(&mut self, client: u32) -> Result<(), Failure> {
        self.handle(Event::Connect(ClientId(client), ClientInfo::NONE)).map(|_| ())
    }

    pub(crate) fn disconnect(&mut self, client: u32) -> Result<(), Failure> {
        self.handle(Event::Disconnect(ClientId(client))).map(|_| ())
    }

    pub(crate) fn message(&mut self, client: u32, message: MessagePayload<'_>) -> Result<Step, Failure> {
        self.handle(Event::Message(ClientId(client), message))
    }

    /// Waits for the timer, and again where it is set then, but not for ever.
    pub(crate) fn wait(&mut self) -> Result<(), Failure> {
        for _ in 0..TIMES {
            let Some(due) = self.timer else { break };
            self.now_ms = self.now_ms.max(due);
            self.time_is_up()?;
        }
        Ok(())
    }

    /// Whether the timer has been due.
    pub(crate) fn had_timer(&self) -> bool {
        self.had_timer
    }

    pub(crate) fn memory_size(&self) -> usize {
        self.room.memory_size()
    }

    /// Hands in an event some time after the last, and the timer before it, if it is due by then.
    fn handle(&mut self, event: Event<'_>) -> Result<Step, Failure> {
        self.now_ms += BETWEEN;
        if self.timer.is_some_and(|due| due <= self.now_ms) {
            self.time_is_up()?;
        }
        self.run(event)
    }

    fn time_is_up(&mut self) -> Result<(), Failure> {
        (self.timer, self.had_timer) = (None, true);
        // It is never refused: see `Step::Refused`.
        self.run(Event::Timer).map(|_| ())
    }

    fn run(&mut self, event: Event<'_>) -> Result<Step, Failure> {
        let failure = |trap| Failure { event: Kind::of(event), trap };
        let mut step = self.room.handle(event, self.now_ms).map_err(failure)?;
        while step == Step::Suspended {
            step = self.room.resume().map_err(failure)?;
        }
        for effect in self.room.effects() {
            match effect {
                Effect::SetTimer { ms } => self.timer = Some(self.now_ms + u64::from(ms)),
                Effect::CancelTimer => self.timer = None,
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
