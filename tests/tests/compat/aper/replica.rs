use std::process::Command;

use stateroom_sdk_core::MessagePayload;
use stateroom_tests::{Child, Output};

use super::Aper;

/// A program that runs Aper's own client. It has no socket: what happens to it is a line of its input, and
/// what it does because of that are lines of its output, which its source explains.
pub(crate) struct Replica {
    program: Child,
    shows: String,
    clock_ms: Option<u64>,
}

/// A message between a room and a client.
#[derive(Debug, Clone)]
pub(crate) enum Message {
    Text(String),
    Binary(Vec<u8>),
}

impl Replica {
    /// Returns a client that has connected, and the messages that it begins with.
    #[track_caller]
    pub(crate) fn start(guest: Aper) -> (Self, Vec<Message>) {
        let program = Child::of(&mut Command::new(guest.client()));
        let mut replica = Self { program, shows: String::new(), clock_ms: None };
        let messages = replica.read();
        (replica, messages)
    }

    /// Lets its user do something. Returns the messages that it sends.
    #[track_caller]
    pub(crate) fn user(&mut self, what: &str) -> Vec<Message> {
        self.program.say(what);
        self.read()
    }

    /// Hands it a message. Returns the messages that it sends.
    #[track_caller]
    pub(crate) fn hears(&mut self, message: &Message) -> Vec<Message> {
        self.program.say(&match message {
            Message::Text(text) => format!("text {text}"),
            Message::Binary(bytes) => format!("binary {}", to_hex(bytes)),
        });
        self.read()
    }

    /// Returns what it shows its user.
    pub(crate) fn shows(&self) -> &str {
        &self.shows
    }

    /// Returns what time it is in the room, as far as it has been told.
    pub(crate) fn clock_ms(&self) -> Option<u64> {
        self.clock_ms
    }

    #[track_caller]
    fn read(&mut self) -> Vec<Message> {
        let mut messages = Vec::new();
        loop {
            let line = self.program.line(Output::Stdout, "");
            match line.split_once(' ') {
                Some(("text", text)) => messages.push(Message::Text(text.to_owned())),
                Some(("binary", digits)) => messages.push(Message::Binary(from_hex(digits))),
                Some(("clock", ms)) => self.clock_ms = Some(ms.parse().expect("a time")),
                Some(("shows", notes)) => {
                    notes.clone_into(&mut self.shows);
                    return messages;
                }
                _ => panic!("{line}: not known"),
            }
        }
    }
}

impl Message {
    pub(crate) fn payload(&self) -> MessagePayload<'_> {
        match self {
            Self::Text(text) => MessagePayload::Text(text),
            Self::Binary(bytes) => MessagePayload::Bytes(bytes),
        }
    }
}

impl From<MessagePayload<'_>> for Message {
    fn from(payload: MessagePayload<'_>) -> Self {
        match payload {
            MessagePayload::Text(text) => Self::Text(text.to_owned()),
            MessagePayload::Bytes(bytes) => Self::Binary(bytes.to_owned()),
        }
    }
}

fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn from_hex(digits: &str) -> Vec<u8> {
    let byte = |at| u8::from_str_radix(&digits[at..at + 2], 16).expect("hexadecimal digits");
    (0..digits.len()).step_by(2).map(byte).collect()
}
