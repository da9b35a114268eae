//! The answers that every guest in `tests/guests` must give, whatever it is made of.

use stateroom_host_min::{ClientInfo, Effect, Event, Limits, Program, Room, Step, Trap};
use stateroom_sdk_core::{ClientId, MessagePayload, MessageRecipient};

/// An event, and the effects that the room then asks for.
pub(crate) type Exchange = (Event<'static>, Vec<Effect<'static>>);

/// Returns the conversation. Everyone hears of the value when it changes, and who comes is told it; messages that
/// mean nothing go back to their sender.
pub(crate) fn conversation() -> Vec<Exchange> {
    let mut conversation =
        vec![(Event::Init, vec![]), (connect(1), vec![to(1, "0")]), (connect(2), vec![to(2, "0")])];
    let values = ["1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11"];
    conversation.extend(values.map(|value| (text(1, "increment"), vec![everyone(value)])));
    conversation.extend([
        (connect(3), vec![to(3, "11")]),
        (text(2, "Grüße ☃"), vec![to(2, "Grüße ☃")]),
        (text(2, "incremen"), vec![to(2, "incremen")]),
        (text(2, "increment!"), vec![to(2, "increment!")]),
        (bytes(2, &[0, 128, 255]), vec![bytes_to(2, &[0, 128, 255])]),
        (text(1, "later"), vec![Effect::SetTimer { ms: 1000 }]),
        (Event::Timer, vec![everyone("time")]),
        (text(1, "never"), vec![Effect::CancelTimer]),
        (Event::Disconnect(ClientId(1)), vec![everyone("bye")]),
        (text(2, "increment"), vec![everyone("12")]),
    ]);
    conversation
}

/// Returns what the interface has had since the published version 0.2.4, and clients can ask for.
pub(crate) fn whisper() -> Exchange {
    (text(2, "others"), vec![others(2, "psst")])
}

/// A room, and how one drives it: events in, effects out.
pub(crate) struct Host {
    room: Room,
}

impl Host {
    /// Returns a room that has not begun yet.
    #[track_caller]
    pub(crate) fn load(module: &[u8]) -> Self {
        Self::seeded(module, 1)
    }

    /// Returns the same, with random numbers of its own.
    #[track_caller]
    pub(crate) fn seeded(module: &[u8], seed: u8) -> Self {
        let program = Program::load(module, Limits::default()).unwrap_or_else(|error| panic!("{error}"));
        let room = program.room("lobby", [seed; 32]).unwrap_or_else(|trap| panic!("{trap}"));
        Self { room }
    }

    /// Runs an event to its end.
    pub(crate) fn run(&mut self, event: Event<'_>) -> Result<Step, Trap> {
        let mut step = self.room.handle(event, 1_700_000_000_000)?;
        while step == Step::Suspended {
            step = self.room.resume()?;
        }
        Ok(step)
    }

    /// Hands in an event that has to end well, and returns what it asks for, except for log lines.
    #[track_caller]
    pub(crate) fn ask(&mut self, event: Event<'_>) -> Vec<Effect<'_>> {
        match self.run(event) {
            Ok(Step::Done) => {}
            other => panic!("{event:?}: {other:?}, {:?}", self.log()),
        }
        self.room.effects().filter(|effect| !matches!(effect, Effect::Log { .. })).collect()
    }

    /// Holds a conversation.
    #[track_caller]
    pub(crate) fn converse(&mut self, conversation: impl IntoIterator<Item = Exchange>) {
        for (event, effects) in conversation {
            assert_eq!(self.ask(event), effects, "{event:?}");
        }
    }

    /// Returns what the last event has written to the log.
    pub(crate) fn log(&self) -> Vec<String> {
        let line = |effect| match effect {
            Effect::Log { level, text } => Some(format!("{level:?} {text}")),
            _ => None,
        };
        self.room.effects().filter_map(line).collect()
    }
}

pub(crate) fn connect(client: u32) -> Event<'static> {
    Event::Connect(ClientId(client), ClientInfo::NONE)
}

pub(crate) fn text(client: u32, text: &str) -> Event<'_> {
    Event::Message(ClientId(client), MessagePayload::Text(text))
}

pub(crate) fn bytes(client: u32, bytes: &[u8]) -> Event<'_> {
    Event::Message(ClientId(client), MessagePayload::Bytes(bytes))
}

pub(crate) fn everyone(text: &str) -> Effect<'_> {
    send(MessageRecipient::Broadcast, MessagePayload::Text(text))
}

pub(crate) fn others(client: u32, text: &str) -> Effect<'_> {
    send(MessageRecipient::EveryoneExcept(ClientId(client)), MessagePayload::Text(text))
}

pub(crate) fn to(client: u32, text: &str) -> Effect<'_> {
    send(MessageRecipient::Client(ClientId(client)), MessagePayload::Text(text))
}

pub(crate) fn bytes_to(client: u32, bytes: &[u8]) -> Effect<'_> {
    send(MessageRecipient::Client(ClientId(client)), MessagePayload::Bytes(bytes))
}

fn send<'a>(recipient: MessageRecipient, payload: MessagePayload<'a>) -> Effect<'a> {
    Effect::Send { recipient, payload }
}
