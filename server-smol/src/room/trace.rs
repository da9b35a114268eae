//! Records what happens in a room, for those who listen: a playground.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    mem,
    rc::Rc,
    time::Duration,
};

use log::Level;
use serde_json::{Map, Value};
use stateroom_core::{ClientId, MessagePayload, MessageRecipient};

use crate::requests::{EventSender, MOST_EVENT, encode_event, object};

use super::{
    event::{Event, Outcome},
    id::RoomId,
};

/// The number of bytes of a text, or of a message, that a record has. In JSON, it has twice as many at most: few texts are cut
/// because of that.
const PREVIEW: usize = 1 << 10;

/// The number of effects of an event that a record has. Others are only counted.
const EFFECTS: usize = 16;

/// The listeners of a room.
type Listeners = Rc<RefCell<Vec<EventSender>>>;

/// The listeners of all rooms of a thread, of those included that do not exist yet.
#[derive(Debug, Default)]
pub(super) struct Subscriptions(RefCell<BTreeMap<RoomId, Listeners>>);

/// The recorder of a room. Nearly always nobody listens, and then it costs a look at one flag.
#[derive(Debug, Default)]
pub(super) struct Trace {
    is_on: Cell<bool>,
    recorder: RefCell<Option<Box<Recorder>>>,
}

/// An action of the operator in a room.
#[cfg(feature = "rooms")]
pub(super) enum Operator<'a> {
    Message(MessagePayload<'a>),
    /// Closes one client, or all of them.
    Close(Option<ClientId>, &'a crate::close::CloseReason),
}

#[derive(Debug)]
struct Recorder {
    listeners: Listeners,
    /// The record of the event that is being handled.
    event: Record,
    /// The records that come behind that.
    after: Vec<Map<String, Value>>,
}

/// The record of an event.
#[derive(Debug, Default)]
struct Record {
    fields: Map<String, Value>,
    effects: Vec<Value>,
    /// The number of further effects.
    more: usize,
    spent: Duration,
}

impl Subscriptions {
    /// Adds a listener of a room.
    pub(super) fn add(&self, room: &RoomId, listener: EventSender) {
        let mut rooms = self.0.borrow_mut();
        // Those that are gone are found here, as there may be no record for days.
        rooms.retain(|_, listeners| {
            let mut listeners = listeners.borrow_mut();
            listeners.retain(|listener| !listener.is_closed());
            !listeners.is_empty()
        });
        rooms.entry(room.clone()).or_default().borrow_mut().push(listener);
    }

    /// Makes a room record, if it has listeners.
    pub(super) fn attach(&self, room: &RoomId, trace: &Trace) {
        if let Some(listeners) = self.0.borrow().get(room) {
            let listeners = Rc::clone(listeners);
            // There is one already if somebody else listens, perhaps in the middle of an event.
            match &mut *trace.recorder.borrow_mut() {
                Some(recorder) => recorder.listeners = listeners,
                slot => {
                    let recorder = Recorder { listeners, event: Record::default(), after: Vec::new() };
                    *slot = Some(Box::new(recorder));
                }
            }
            trace.is_on.set(true);
        }
    }
}

impl Trace {
    /// Returns whether somebody listens.
    #[inline]
    pub(super) fn is_on(&self) -> bool {
        self.is_on.get()
    }

    /// Begins the record of an event. If nobody has space for it, it is only counted.
    #[cold]
    pub(super) fn begin(&self, event: &Event<'_>, now_ms: u64) {
        self.with(|recorder| {
            let mut listeners = recorder.listeners.borrow_mut();
            // Those that were full when they left are told nothing that would show it.
            listeners.retain(|listener| !listener.is_closed());
            if listeners.iter().all(EventSender::is_full) {
                listeners.iter().for_each(EventSender::note_dropped);
            } else {
                recorder.event = Record::of(event, now_ms);
            }
        });
    }

    #[inline]
    pub(super) fn send(&self, recipient: MessageRecipient, payload: MessagePayload<'_>) {
        if self.is_on() {
            self.effect(|| vec![("send", clients(recipient)), ("message", message(payload))]);
        }
    }

    pub(super) fn close(&self, recipient: MessageRecipient, code: u16, reason: &str) {
        if self.is_on() {
            self.effect(|| {
                let reason = preview(reason).into();
                vec![("close", clients(recipient)), ("code", code.into()), ("reason", reason)]
            });
        }
    }

    #[inline]
    pub(super) fn timer(&self, ms: u32) {
        if self.is_on() {
            self.effect(|| vec![("timer", ms.into())]);
        }
    }

    pub(super) fn log(&self, level: Level, text: &str) {
        if self.is_on() {
            let name = || level.as_str().to_ascii_lowercase();
            self.effect(|| vec![("log", name().into()), ("text", preview(text).into())]);
        }
    }

    #[cold]
    fn effect(&self, fields: impl FnOnce() -> Vec<(&'static str, Value)>) {
        self.with(|recorder| recorder.event.add(fields));
    }

    /// Notes why the room fails.
    pub(super) fn fail(&self, reason: &str) {
        self.with(|recorder| {
            if recorder.event.is_begun() {
                recorder.event.set("reason", preview(reason));
            }
        });
    }

    /// Notes a slice of an event, which took this time. If the event is over, its record is sent.
    #[cold]
    pub(super) fn note_slice(
        &self,
        spent: Duration,
        over: Option<Outcome>,
        fuel: Option<u64>,
        memory: usize,
    ) {
        self.with(|recorder| {
            recorder.event.spent += spent;
            // Some have begun to listen in the middle of it.
            if let Some(outcome) = over.filter(|_| recorder.event.is_begun()) {
                recorder.end(outcome, fuel, memory);
            }
        });
    }

    /// Records a change of the room's state.
    #[cold]
    pub(super) fn state(&self, now_ms: u64, state: &str, reason: Option<&str>) {
        let mut record = Record::default();
        record.set("time", now_ms);
        record.set("state", state);
        if let Some(reason) = reason {
            record.set("reason", preview(reason));
        }
        self.with(|recorder| {
            // The event that fails is told before the room's end.
            if recorder.event.fields.contains_key("reason") {
                recorder.after.push(record.fields);
            } else {
                recorder.event = Record::default();
                recorder.tell(&record.fields);
            }
        });
    }

    /// Records what the operator does.
    #[cfg(feature = "rooms")]
    #[cold]
    pub(super) fn operator(&self, now_ms: u64, does: Operator<'_>, clients: usize) {
        let mut record = Record::default();
        record.set("time", now_ms);
        match does {
            Operator::Message(payload) => {
                record.set("operator", "message");
                record.set("message", message(payload));
            }
            Operator::Close(client, reason) => {
                record.set("operator", "close");
                if let Some(client) = client {
                    record.set("client", client.0);
                }
                record.set("code", reason.code());
                record.set("reason", preview(reason.words()));
            }
        }
        record.set("clients", clients);
        self.with(|recorder| recorder.tell(&record.fields));
    }

    /// Records, if somebody listens. If nobody does any more, that was the last.
    fn with(&self, record: impl FnOnce(&mut Recorder)) {
        let mut slot = self.recorder.borrow_mut();
        let Some(recorder) = &mut *slot else { return };
        record(recorder);
        if recorder.listeners.borrow().is_empty() {
            *slot = None;
            self.is_on.set(false);
        }
    }
}

impl Recorder {
    /// Sends the record of an event, and what has come behind it.
    fn end(&mut self, outcome: Outcome, fuel: Option<u64>, memory: usize) {
        let mut record = mem::take(&mut self.event);
        let outcome = match outcome {
            Outcome::Done => "done",
            Outcome::Refused => "refused",
            Outcome::Ended => "failed",
        };
        record.set("outcome", outcome);
        if let Some(fuel) = fuel {
            record.set("fuel", fuel);
        }
        record.set("memory", memory);
        record.set("micros", u64::try_from(record.spent.as_micros()).unwrap_or(u64::MAX));
        record.set("more", record.more);
        let effects = mem::take(&mut record.effects);
        record.set("effects", effects);
        self.tell(&record.fields);
        mem::take(&mut self.after).iter().for_each(|record| self.tell(record));
    }

    fn tell(&mut self, record: &Map<String, Value>) {
        let event = encode_event("room", &serde_json::to_string(record).unwrap_or_default());
        debug_assert!(event.len() <= MOST_EVENT, "{} bytes", event.len());
        self.listeners.borrow_mut().retain(|listener| {
            listener.send_encoded(event.clone());
            !listener.is_closed()
        });
    }
}

impl Record {
    fn of(event: &Event<'_>, now_ms: u64) -> Self {
        let (name, client) = match event {
            Event::Init => ("init", None),
            Event::Connect(client, ..) | Event::Reconnect(client, _) => ("connect", Some(client)),
            Event::Disconnect(client) => ("disconnect", Some(client)),
            Event::Message(client, ..) => ("message", Some(client)),
            Event::Timer(_) => ("timer", None),
        };
        let mut record = Self::default();
        record.set("time", now_ms);
        record.set("event", name);
        if let Some(client) = client {
            record.set("client", client.0);
        }
        if let Event::Message(_, _, payload) = event {
            record.set("message", message(*payload));
        }
        record
    }

    /// Returns whether it is that of an event.
    fn is_begun(&self) -> bool {
        !self.fields.is_empty()
    }

    fn set(&mut self, name: &str, value: impl Into<Value>) {
        self.fields.insert(name.to_owned(), value.into());
    }

    fn add(&mut self, effect: impl FnOnce() -> Vec<(&'static str, Value)>) {
        if !self.is_begun() {
            return;
        }
        if self.effects.len() < EFFECTS {
            self.effects.push(object(effect()));
        } else {
            self.more += 1;
        }
    }
}

fn clients(recipient: MessageRecipient) -> Value {
    let one = |name, ClientId(client)| object(vec![(name, client.into())]);
    match recipient {
        MessageRecipient::Broadcast => "everyone".into(),
        MessageRecipient::Client(client) => one("client", client),
        MessageRecipient::EveryoneExcept(client) => one("except", client),
    }
}

fn message(payload: MessagePayload<'_>) -> Value {
    match payload {
        MessagePayload::Text(text) => {
            object(vec![("text", preview(text).into()), ("size", text.len().into())])
        }
        MessagePayload::Bytes(bytes) => {
            const DIGITS: &[u8; 16] = b"0123456789abcdef";
            let digit = |value: u8| char::from(DIGITS[usize::from(value & 0xf)]);
            let hex: String =
                bytes.iter().take(PREVIEW).flat_map(|byte| [digit(byte >> 4), digit(*byte)]).collect();
            object(vec![("hex", hex.into()), ("size", bytes.len().into())])
        }
    }
}

fn preview(text: &str) -> &str {
    let text = &text[..text.floor_char_boundary(PREVIEW)];
    let mut size = 0;
    let end = text.char_indices().find(|(_, character)| {
        size += json_size(*character);
        size > 2 * PREVIEW
    });
    &text[..end.map_or(text.len(), |(index, _)| index)]
}

/// Returns the bytes that a character takes in a string of JSON.
fn json_size(character: char) -> usize {
    match character {
        '"' | '\\' | '\n' | '\r' | '\t' | '\x08' | '\x0c' => 2,
        '\0'..='\x1f' => 6,
        _ => character.len_utf8(),
    }
}

#[cfg(test)]
mod tests {
    use hyper::Response;

    use super::*;
    use crate::{
        reactor::block_on,
        requests::{Body, event_stream},
    };

    /// Returns a room's recorder with a listener, and what the listener receives.
    fn traced() -> (Trace, EventSender, Response<Body>) {
        let (trace, subscriptions, room) =
            (Trace::default(), Subscriptions::default(), RoomId::new("lobby").unwrap());
        let (sender, response) = event_stream();
        subscriptions.add(&room, sender.clone());
        subscriptions.attach(&room, &trace);
        (trace, sender, response)
    }

    /// Records an event with as many effects as a record has, each with this text.
    fn record(trace: &Trace, text: &str) {
        trace.begin(&Event::Disconnect(ClientId(1)), 0);
        for _ in 0..EFFECTS {
            trace.send(MessageRecipient::Broadcast, MessagePayload::Text(text));
        }
        trace.note_slice(Duration::ZERO, Some(Outcome::Done), None, 0);
    }

    #[test]
    fn a_room_stops_recording_when_a_listener_that_was_full_has_left() {
        block_on(async {
            let (trace, sender, response) = traced();
            while !sender.is_full() {
                record(&trace, &"a".repeat(PREVIEW));
            }
            assert!(trace.is_on());
            drop(response);
            record(&trace, "a");
            assert!(!trace.is_on());
        });
    }

    #[test]
    fn a_record_has_a_limit_in_json_too() {
        for (text, kept) in
            [("a", PREVIEW), ("\n", PREVIEW), ("é", PREVIEW / 2), ("\x01", PREVIEW / 3), ("\x7f", PREVIEW)]
        {
            let text = text.repeat(2 * PREVIEW);
            assert_eq!(preview(&text).chars().count(), kept, "{:?}", &text[..1]);
            block_on(async {
                let (trace, sender, _response) = traced();
                while !sender.is_full() {
                    // It checks the size of each.
                    record(&trace, &text);
                }
            });
        }
    }
}
