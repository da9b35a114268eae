//! Records what happens in a room, for those who listen: a playground.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    fmt::Write as _,
    mem,
    rc::Rc,
    time::{Duration, Instant},
};

use serde_json::{Map, Value};
use stateroom_core::{ClientId, LogLevel, MessagePayload, MessageRecipient};

use crate::requests::{EventSender, object};

use super::{
    event::{Event, Outcome},
    id::RoomId,
};

/// The number of bytes of a text, or of a message, that a record has.
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
    listeners: RefCell<Listeners>,
    /// The record of the event that is being handled.
    event: RefCell<Record>,
    /// The records that come behind that.
    after: RefCell<Vec<Map<String, Value>>>,
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
            trace.listeners.replace(Rc::clone(listeners));
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

    /// Begins the record of an event.
    pub(super) fn begin(&self, event: &Event<'_>, now_ms: u64) {
        let (name, client) = match event {
            Event::Init => ("init", None),
            Event::Connect(client, ..) => ("connect", Some(client)),
            Event::Disconnect(client) => ("disconnect", Some(client)),
            Event::Message(client, ..) => ("message", Some(client)),
            Event::Timer(_) => ("timer", None),
        };
        let mut record = Record::default();
        record.set("time", now_ms);
        record.set("event", name);
        if let Some(client) = client {
            record.set("client", client.0);
        }
        if let Event::Message(_, _, payload) = event {
            record.set("message", message(*payload));
        }
        self.event.replace(record);
    }

    pub(super) fn send(&self, recipient: MessageRecipient, payload: MessagePayload<'_>) {
        self.effect(|| vec![("send", clients(recipient)), ("message", message(payload))]);
    }

    pub(super) fn close(&self, recipient: MessageRecipient, code: u16, reason: &str) {
        self.effect(|| {
            vec![("close", clients(recipient)), ("code", code.into()), ("reason", preview(reason).into())]
        });
    }

    pub(super) fn timer(&self, ms: u32) {
        self.effect(|| vec![("timer", ms.into())]);
    }

    pub(super) fn log(&self, level: LogLevel, text: &str) {
        let level = match level {
            LogLevel::Error => "error",
            LogLevel::Warn => "warn",
            LogLevel::Info => "info",
            LogLevel::Debug => "debug",
            LogLevel::Trace => "trace",
        };
        self.effect(|| vec![("log", level.into()), ("text", preview(text).into())]);
    }

    #[inline]
    fn effect(&self, fields: impl FnOnce() -> Vec<(&'static str, Value)>) {
        if self.is_on() {
            self.event.borrow_mut().add(fields());
        }
    }

    /// Notes why the room fails.
    pub(super) fn fail(&self, reason: &str) {
        if self.is_on() {
            self.event.borrow_mut().set("reason", preview(reason));
        }
    }

    /// Returns the time, if it is recorded how long events take.
    #[inline]
    pub(super) fn now(&self) -> Option<Instant> {
        self.is_on().then(Instant::now)
    }

    /// Notes a slice of an event, which has begun at this time. If the event is over, its record is sent.
    #[cold]
    pub(super) fn note_slice(&self, begun: Instant, over: Option<Outcome>, fuel: Option<u64>, memory: usize) {
        self.event.borrow_mut().spent += begun.elapsed();
        let Some(outcome) = over else { return };
        let mut record = self.event.take();
        // Somebody has begun to listen in the middle of it.
        if !record.fields.contains_key("event") {
            return;
        }
        record.set(
            "outcome",
            match outcome {
                Outcome::Done => "done",
                Outcome::Refused => "refused",
                Outcome::Ended => "failed",
            },
        );
        if let Some(fuel) = fuel {
            record.set("fuel", fuel);
        }
        record.set("memory", memory);
        record.set("micros", u64::try_from(record.spent.as_micros()).unwrap_or(u64::MAX));
        record.set("more", record.more);
        let effects = mem::take(&mut record.effects);
        record.set("effects", effects);
        self.tell(&record.fields);
        self.after.take().iter().for_each(|record| self.tell(record));
    }

    /// Records a change of the room's state.
    pub(super) fn state(&self, now_ms: u64, state: &str, reason: Option<&str>) {
        let mut record = Record::default();
        record.set("time", now_ms);
        record.set("state", state);
        if let Some(reason) = reason {
            record.set("reason", preview(reason));
        }
        if self.event.borrow().fields.is_empty() {
            self.tell(&record.fields);
        } else {
            self.after.borrow_mut().push(record.fields);
        }
    }

    fn tell(&self, record: &Map<String, Value>) {
        let record = serde_json::to_string(record).unwrap_or_default();
        let listeners = self.listeners.borrow();
        let mut listeners = listeners.borrow_mut();
        listeners.retain_mut(|listener| {
            listener.send("room", &record);
            !listener.is_closed()
        });
        self.is_on.set(!listeners.is_empty());
    }
}

impl Record {
    fn set(&mut self, name: &str, value: impl Into<Value>) {
        self.fields.insert(name.to_owned(), value.into());
    }

    fn add(&mut self, effect: Vec<(&str, Value)>) {
        if self.effects.len() < EFFECTS {
            self.effects.push(object(effect));
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
            let mut hex = String::new();
            bytes.iter().take(PREVIEW).for_each(|byte| _ = write!(hex, "{byte:02x}"));
            object(vec![("hex", hex.into()), ("size", bytes.len().into())])
        }
    }
}

fn preview(text: &str) -> &str {
    &text[..text.floor_char_boundary(PREVIEW)]
}
