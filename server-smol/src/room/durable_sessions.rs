//! The resumable sessions of rooms on disk: how they get into the history of a room, and come back from there.

use std::{rc::Rc, time::Instant};

use stateroom_core::{
    ClientId, MessagePayload, MessageRecipient,
    engine::{EngineFactory, Event, Replayed},
};

use crate::{
    journal::Journal,
    reactor::Stream,
    thread::Thread,
    websocket::Opcode,
    wire::{Frame, Outbox},
};

use super::{
    ClientInfo, Registry, Resumable, Room,
    history::RoomHistory,
    session_notes::{self, Note, SessionNote, SessionsWriter},
};

impl<F: EngineFactory> Room<F> {
    /// Notes in the history that a session begins, before the client gets the greeting.
    pub(crate) fn note_session(self: &Rc<Self>, resumable: &Resumable) {
        self.note(|| {
            let mut writer = SessionsWriter::new();
            self.add_session(resumable, &mut writer);
            writer.finish()
        });
    }

    /// Notes in the history that a client has another connection, before it gets the greeting.
    pub(crate) fn note_resumption(self: &Rc<Self>, resumable: &Resumable) {
        self.note(|| {
            session_notes::resumed(resumable.client, resumable.attempt.get(), resumable.begun.get())
        });
    }

    fn note(self: &Rc<Self>, note: impl FnOnce() -> Vec<u8>) {
        if let Some((history, journal)) = self.history_of_sessions() {
            history.add_note(journal, &note());
            // Clients may come back again and again without any event.
            self.shorten_history();
        }
    }

    /// Returns whether the sessions of the room outlive the server.
    pub(crate) fn keeps_sessions(&self) -> bool {
        self.history_of_sessions().is_some()
    }

    fn history_of_sessions(&self) -> Option<(&RoomHistory, &Journal)> {
        let history = self.history.get().filter(|_| !self.ended.get())?;
        let journal = self.thread().journal()?;
        (!self.thread().settings.resume.is_zero()).then_some((history, journal))
    }

    /// Returns a note of the present state of all sessions, for a base. `None` if there are none.
    pub(super) fn note_of_sessions(&self) -> Option<Vec<u8>> {
        if self.sessions.is_empty() || self.history_of_sessions().is_none() {
            return None;
        }
        let mut writer = SessionsWriter::new();
        self.sessions.all().iter().for_each(|resumable| self.add_session(resumable, &mut writer));
        Some(writer.finish())
    }

    /// Adds a session to a note. One that has ended is left out.
    fn add_session(&self, resumable: &Resumable, writer: &mut SessionsWriter) {
        let is_here = self.context.roster.contains(resumable.client);
        resumable.outbox().with_kept(|before, frames| {
            writer.add(&SessionNote {
                client: resumable.client,
                token: resumable.token.clone(),
                attempt: resumable.attempt.get(),
                begun: resumable.begun.get(),
                is_here,
                received: resumable.recorded.get(),
                before,
                frames,
            });
        });
    }
}

impl<F: EngineFactory> Registry<F> {
    /// Returns the time until which sessions wait that were there when the server ended the last time, if that is still to come.
    pub(super) fn sessions_wait_until(&self) -> Option<Instant> {
        let thread = self.thread();
        let until = self.started.get().checked_add(thread.settings.resume)?;
        (thread.clock.now() < until).then_some(until)
    }
}

/// The sessions of a room that is being restored.
#[derive(Debug)]
pub(super) struct RestoredSessions {
    /// In the order of their clients' ids.
    list: Vec<RestoredSession>,
}

#[derive(Debug)]
struct RestoredSession {
    resumable: Rc<Resumable>,
    outbox: Rc<Outbox>,
    /// True if its `connect` has run.
    is_here: bool,
}

impl RestoredSessions {
    /// Makes the sessions from the notes of a room's history.
    pub(super) fn new(notes: &[Vec<u8>], thread: &Thread) -> Self {
        let mut restored = Self { list: Vec::new() };
        for note in notes.iter().filter_map(|note| Note::read(note)) {
            match note {
                Note::Sessions(sessions) => sessions.iter().for_each(|session| restored.add(session, thread)),
                Note::Next(_) => {}
                Note::Resumed { client, attempt, begun } => {
                    if let Ok(index) = restored.position(client) {
                        let resumable = &restored.list[index].resumable;
                        resumable.attempt.set(attempt);
                        resumable.begun.set(begun);
                    }
                }
            }
        }
        restored
    }

    fn add(&mut self, session: &SessionNote<'_>, thread: &Thread) {
        let client = session.client;
        let stream = match Stream::closed() {
            Ok(stream) => stream,
            Err(error) => {
                let line = || {
                    format!(
                        "the session of client {client} is lost: the system has no socket for it ({error}; see `ulimit -n`)"
                    )
                };
                return thread.log.event(log::Level::Error, line);
            }
        };
        let outbox = Outbox::new(stream, Rc::clone(&thread.buffers), thread.settings.outbox_size);
        outbox.restore_session(thread.settings.session_buffer, session.before, &session.frames);
        let token = session.token.clone();
        let resumable = Resumable::new(client, token, session.attempt, session.begun, &outbox);
        resumable.recorded.set(session.received);
        if let Err(index) = self.position(client) {
            self.list.insert(index, RestoredSession { resumable, outbox, is_here: session.is_here });
        }
    }

    fn position(&self, client: ClientId) -> Result<usize, usize> {
        self.list.binary_search_by_key(&client, |session| session.resumable.client)
    }

    /// Learns what has happened in the room.
    pub(super) fn watch(&mut self, replayed: Replayed<'_>) {
        match replayed {
            Replayed::Event(Event::Connect(client)) => {
                if let Ok(index) = self.position(client) {
                    self.list[index].is_here = true;
                }
            }
            Replayed::Event(Event::Message(client, _)) => {
                if let Ok(index) = self.position(client) {
                    let recorded = &self.list[index].resumable.recorded;
                    recorded.set(recorded.get() + 1);
                }
            }
            // A client whose message is refused is closed.
            Replayed::Event(Event::Disconnect(client)) | Replayed::Refused(client) => {
                self.list.retain(|session| session.resumable.client != client);
            }
            Replayed::Event(Event::Init | Event::Timer) => {}
            Replayed::Send(recipient, payload) => self.send(recipient, payload),
            Replayed::Close(recipient) => {
                self.list.retain(|session| !session.is_meant(recipient));
            }
        }
    }

    fn send(&self, recipient: MessageRecipient, payload: MessagePayload<'_>) {
        let (opcode, payload) = match payload {
            MessagePayload::Text(text) => (Opcode::Text, text.as_bytes()),
            MessagePayload::Bytes(bytes) => (Opcode::Binary, bytes),
        };
        let frame = Frame::new(opcode, payload);
        for session in self.list.iter().filter(|session| session.is_meant(recipient)) {
            // It only keeps the message.
            session.outbox.push(&frame);
        }
    }

    /// Adds the sessions that wait for their clients to those of a room, and returns them.
    pub(super) fn finish<F: EngineFactory>(self, room: &Room<F>) -> Vec<Rc<Resumable>> {
        for RestoredSession { resumable, outbox, is_here } in self.list {
            resumable.handled.set(resumable.recorded.get());
            resumable.most_received.set(outbox.sent());
            if is_here {
                // If two have the same token, the older one has ended.
                room.sessions.insert(&resumable);
            }
        }
        let waiting = room.sessions.all();
        for resumable in &waiting {
            room.context.roster.add(resumable.client, resumable.outbox());
            // Nobody knows what it has brought.
            room.context.kept_info.add(resumable.client, Box::new(ClientInfo::unknown()));
            room.occupy();
        }
        waiting
    }
}

impl RestoredSession {
    /// Returns whether this client is one of the recipients.
    fn is_meant(&self, recipient: MessageRecipient) -> bool {
        self.is_here
            && match recipient {
                MessageRecipient::Client(client) => self.resumable.client == client,
                MessageRecipient::Broadcast => true,
                MessageRecipient::EveryoneExcept(client) => self.resumable.client != client,
            }
    }
}
