use alloc::vec::Vec;
use core::fmt;

use embedded_io::Write;
use stateroom_host_min::{
    ClientId, ClientInfo, Effect, Event, MessagePayload, MessageRecipient, Room, Step,
};

use crate::clock;

/// A room with the data that a host keeps for it: who is connected, and when the timer is due.
pub struct ServedRoom {
    name: &'static str,
    room: Room,
    clients: Vec<ClientId>,
    due: Option<u64>,
}

impl ServedRoom {
    /// Takes a room that has had no event.
    pub fn new(name: &'static str, room: Room) -> Self {
        Self {
            name,
            room,
            clients: Vec::new(),
            due: None,
        }
    }

    pub fn name(&self) -> &'static str {
        self.name
    }

    pub fn connect(&mut self, client: ClientId, out: &mut impl Write) -> Result<(), Unserved> {
        if self.clients.contains(&client) {
            return Err(Unserved::Connected);
        }
        self.clients.push(client);
        self.run(Event::Connect(client, ClientInfo::NONE), out);
        Ok(())
    }

    pub fn message(
        &mut self,
        client: ClientId,
        message: MessagePayload<'_>,
        out: &mut impl Write,
    ) -> Result<(), Unserved> {
        if !self.clients.contains(&client) {
            return Err(Unserved::NotConnected);
        }
        self.run(Event::Message(client, message), out);
        Ok(())
    }

    pub fn disconnect(&mut self, client: ClientId, out: &mut impl Write) -> Result<(), Unserved> {
        let place = self.clients.iter().position(|other| *other == client);
        self.clients.remove(place.ok_or(Unserved::NotConnected)?);
        self.run(Event::Disconnect(client), out);
        Ok(())
    }

    /// Runs the event of the timer if it is due.
    pub fn run_timer(&mut self, out: &mut impl Write) {
        if self.due.is_some_and(|due| due <= clock::now_ms()) {
            self.due = None;
            self.run(Event::Timer, out);
        }
    }

    /// Runs an event, and those of the clients whose connections it closes.
    pub fn run(&mut self, event: Event<'_>, out: &mut impl Write) {
        let mut closed = self.run_one(event, out);
        while let Some(client) = closed.pop() {
            closed.append(&mut self.run_one(Event::Disconnect(client), out));
        }
    }

    /// Runs an event to its end and carries out its effects. Returns the clients that it disconnects.
    fn run_one(&mut self, event: Event<'_>, out: &mut impl Write) -> Vec<ClientId> {
        let Self {
            name,
            room,
            clients,
            due,
        } = self;
        let now_ms = clock::now_ms();
        let mut step = room.handle(event, now_ms);
        while let Ok(Step::Suspended) = step {
            // The guest has used up its slice. A product does other work here.
            step = room.resume();
        }
        let mut closed = Vec::new();
        for effect in room.effects() {
            // The UART does not fail.
            let _ = match effect {
                Effect::Send {
                    recipient,
                    payload: MessagePayload::Text(text),
                } => {
                    writeln!(out, "send {name} {} {text}", To(recipient))
                }
                Effect::Send {
                    recipient,
                    payload: MessagePayload::Bytes(bytes),
                } => {
                    writeln!(out, "send {name} {} {bytes:?}", To(recipient))
                }
                Effect::SetTimer { ms } => {
                    *due = Some(now_ms + u64::from(ms));
                    Ok(())
                }
                Effect::CancelTimer => {
                    *due = None;
                    Ok(())
                }
                Effect::Close {
                    recipient,
                    code,
                    reason,
                } => {
                    closed.extend(clients.extract_if(.., |client| recipient.includes(*client)));
                    writeln!(out, "close {name} {} {code} {reason}", To(recipient))
                }
                Effect::Log { level, text } => writeln!(out, "log {name} {level:?} {text}"),
                _ => Ok(()),
            };
        }
        let _ = match step {
            Ok(Step::Refused) => writeln!(out, "refused {name}"),
            Ok(_) => Ok(()),
            // The room is broken. A server ends it and makes a new one.
            Err(trap) => writeln!(out, "trap {name} {trap}"),
        };
        closed
    }
}

/// A recipient as one word.
struct To(MessageRecipient);

impl fmt::Display for To {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            MessageRecipient::Broadcast => f.write_str("all"),
            MessageRecipient::Client(client) => write!(f, "{}", client.0),
            MessageRecipient::EveryoneExcept(client) => write!(f, "-{}", client.0),
        }
    }
}

/// The reason why a line of the input has no effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unserved {
    NoText,
    NoCommand,
    NoRoom,
    Connected,
    NotConnected,
}

impl fmt::Display for Unserved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoText => "the line is too long, or not UTF-8",
            Self::NoCommand => "the line is no command",
            Self::NoRoom => "there is no such room",
            Self::Connected => "the client is connected already",
            Self::NotConnected => "the client is not connected",
        })
    }
}
