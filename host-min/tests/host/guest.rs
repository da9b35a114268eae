//! Guests for tests: a complete one that does nothing, of which a test replaces what it is about.

use stateroom_core::{ClientId, MessagePayload, MessageRecipient};
use stateroom_host_min::{ClientInfo, Effect, Event, Limits, LoadError, Program, Room, Step, Trap};

pub(crate) const IMPORTS: &str = r#"
    (import "env" "send_message" (func $send (param i32 i32 i32)))
    (import "env" "send_binary" (func $send_binary (param i32 i32 i32)))
    (import "env" "set_timer" (func $set_timer (param i32)))
    (import "stateroom" "log" (func $log (param i32 i32 i32)))
    (import "stateroom" "now_ms" (func $now_ms (result i64)))
    (import "stateroom" "random" (func $random (param i32 i32)))
    (import "stateroom" "close" (func $close (param i32 i32 i32 i32)))
    (import "stateroom" "client_info" (func $client_info (param i32 i32 i32 i32 i32) (result i32)))"#;

const DEFAULTS: [(&str, &str); 9] = [
    ("memory", r#"(memory (export "memory") 1)"#),
    ("jam_malloc", r#"(func (export "jam_malloc") (param i32) (result i32) i32.const 1024)"#),
    ("jam_free", r#"(func (export "jam_free") (param i32 i32))"#),
    ("initialize", r#"(func (export "initialize") (param i32 i32))"#),
    ("connect", r#"(func (export "connect") (param i32))"#),
    ("disconnect", r#"(func (export "disconnect") (param i32))"#),
    ("timer", r#"(func (export "timer"))"#),
    ("message", r#"(func (export "message") (param i32 i32 i32))"#),
    ("binary", r#"(func (export "binary") (param i32 i32 i32))"#),
];

/// Returns a module with `fields`, and a default for each export that they lack.
pub(crate) fn wat(fields: &str) -> Vec<u8> {
    let missing = DEFAULTS.iter().filter(|(name, _)| !fields.contains(&format!("(export \"{name}\"")));
    let defaults: String = missing.map(|(_, default)| *default).collect();
    let text = format!("(module {fields} {defaults})");
    wat::parse_str(&text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

/// Returns the same, with everything that can be imported.
pub(crate) fn program(fields: &str) -> Program {
    program_with(fields, Limits::default())
}

pub(crate) fn program_with(fields: &str, limits: Limits) -> Program {
    load_with(&format!("{IMPORTS}{fields}"), limits).unwrap()
}

pub(crate) fn load(fields: &str) -> Result<Program, LoadError> {
    load_with(fields, Limits::default())
}

pub(crate) fn load_with(fields: &str, limits: Limits) -> Result<Program, LoadError> {
    Program::load(&wat(fields), limits)
}

/// Returns a room that has had its first event.
pub(crate) fn room(fields: &str) -> Room {
    room_with(fields, Limits::default())
}

pub(crate) fn room_with(fields: &str, limits: Limits) -> Room {
    let mut room = program_with(fields, limits).room("lobby", [1; 32]).unwrap();
    assert_eq!(finish(&mut room, Event::Init), Ok(Step::Done));
    room
}

/// Loads a module, makes a room and runs its first event: the first thing that fails, wherever it does.
pub(crate) fn begin(module: &[u8], limits: Limits) -> Result<Room, LoadError> {
    let mut room = Program::load(module, limits)?.room("lobby", [1; 32]).map_err(LoadError::Trapped)?;
    finish(&mut room, Event::Init).map(|_| room).map_err(LoadError::Trapped)
}

/// Runs an event to its end.
pub(crate) fn finish(room: &mut Room, event: Event<'_>) -> Result<Step, Trap> {
    let mut step = room.handle(event, 0)?;
    while step == Step::Suspended {
        step = room.resume()?;
    }
    Ok(step)
}

pub(crate) fn text(text: &str) -> Event<'_> {
    Event::Message(ClientId(1), MessagePayload::Text(text))
}

pub(crate) fn bytes(bytes: &[u8]) -> Event<'_> {
    Event::Message(ClientId(1), MessagePayload::Bytes(bytes))
}

/// Returns the event of a client that has come and has brought nothing with it.
pub(crate) const fn connect(client: u32) -> Event<'static> {
    Event::Connect(ClientId(client), ClientInfo::NONE)
}

/// Returns the effect of sending text to everyone.
pub(crate) fn broadcast(text: &str) -> Effect<'_> {
    Effect::Send { recipient: MessageRecipient::Broadcast, payload: MessagePayload::Text(text) }
}

/// Returns the texts that the room has sent, for all recipients.
pub(crate) fn said(room: &Room) -> Vec<&str> {
    let text = |effect| match effect {
        Effect::Send { payload, .. } => payload.text(),
        _ => None,
    };
    room.effects().filter_map(text).collect()
}
