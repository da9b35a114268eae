//! Closes clients of a room, and sends messages to them, for the operator. Guests do not see the operator, and recordings
//! do not have what it does: a guest sees the `disconnect` of a client that is closed, and nothing of a message.

use std::rc::Rc;

use stateroom_core::{ClientId, MessagePayload, MessageRecipient, engine::EngineFactory};

use crate::{close::CloseReason, thread::Kind, websocket::Opcode};

use super::{CreateRoomError, EventLock, Registry, Room, RoomId, roster::among, trace::Operator};

/// An action that the operator wants in a room.
#[derive(Debug)]
pub(crate) enum Action {
    /// Close one client.
    Kick(ClientId, CloseReason),
    /// Close all clients, and end the room unless it is kept on disk.
    Close(CloseReason),
    /// Send this to all clients.
    Send(Announcement),
}

/// A message of the operator.
#[derive(Debug)]
pub(crate) enum Announcement {
    Text(String),
    Bytes(Vec<u8>),
}

/// The reason why nothing was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NotDone {
    NoRoom,
    NoClient,
    /// The room is on disk, and cannot be restored.
    NotRestored,
    /// The message and its frame are larger than what may wait for a client.
    TooLarge,
    OutOfMemory,
    Ending,
}

impl Announcement {
    fn payload(&self) -> MessagePayload<'_> {
        match self {
            Self::Text(text) => MessagePayload::Text(text),
            Self::Bytes(bytes) => MessagePayload::Bytes(bytes),
        }
    }
}

impl<F: EngineFactory> Registry<F> {
    /// Does in a room what the operator wants. Returns the number of clients that it concerns.
    ///
    /// A room that is on disk only comes into memory for it, as sessions may wait there for their clients.
    pub(crate) async fn act(self: &Rc<Self>, id: &RoomId, action: Action) -> Result<usize, NotDone> {
        let room = match self.find(id) {
            Some(room) => Some(room),
            None if self.is_durable() => {
                let opened = self.open(id, || Ok::<_, CreateRoomError>(None)).await;
                opened.map_err(|_| NotDone::NotRestored)?
            }
            None => None,
        };
        let room = room.ok_or(NotDone::NoRoom)?;
        match action {
            Action::Kick(client, reason) => room.kick(client, &reason).map(|()| 1),
            Action::Close(reason) => Ok(room.close_for_operator(&reason)),
            Action::Send(message) => room.announce(&message).await,
        }
    }
}

impl<F: EngineFactory> Room<F> {
    /// Closes a client in the way in which its room would close it: nothing more is heard from it, and `disconnect` follows.
    fn kick(self: &Rc<Self>, client: ClientId, reason: &CloseReason) -> Result<(), NotDone> {
        let outbox = {
            let list = self.context.roster.borrow();
            among(&list, MessageRecipient::Client(client)).next().map(|(_, outbox)| Rc::clone(outbox))
        };
        let outbox = outbox.ok_or(NotDone::NoClient)?;
        self.note_operator(Some(client), Operator::Close(Some(client), reason), 1, || {
            format!("room {}: the operator closes client {client}: {:?}", self.id(), reason.words())
        });
        outbox.close_by_room(reason.clone());
        Ok(())
    }

    /// Closes all clients, and ends the room unless it is kept on disk. Returns the number of the clients.
    fn close_for_operator(self: &Rc<Self>, reason: &CloseReason) -> usize {
        let everybody = self.context.roster.everybody();
        self.note_operator(None, Operator::Close(None, reason), everybody.len(), || {
            format!("room {}: the operator closes it: {:?}", self.id(), reason.words())
        });
        if self.history.get().is_some() {
            everybody.iter().for_each(|outbox| outbox.close_by_room(reason.clone()));
        } else {
            self.end(reason);
        }
        everybody.len()
    }

    /// Sends a message to all clients, between two events. Returns their number.
    async fn announce(self: &Rc<Self>, message: &Announcement) -> Result<usize, NotDone> {
        /// The most bytes of a frame beside the message.
        const HEAD: usize = 10;

        let _lock = EventLock::acquire(self).await;
        if self.is_shutting_down() {
            return Err(NotDone::Ending);
        }
        if self.ended.get() {
            return Err(NotDone::NoRoom);
        }
        let (opcode, payload) = match message {
            Announcement::Text(text) => (Opcode::Text, text.as_bytes()),
            Announcement::Bytes(bytes) => (Opcode::Binary, &**bytes),
        };
        let (thread, roster, deliveries) = (self.thread(), &self.context.roster, &self.context.deliveries);
        // They would be closed, as if they did not read.
        if payload.len() + HEAD > thread.settings.outbox_size {
            return Err(NotDone::TooLarge);
        }
        let clients = roster.borrow().len();
        self.note_operator(None, Operator::Message(message.payload()), clients, || {
            let size = payload.len();
            format!("room {}: the operator sends {size} bytes to {clients} clients", self.id())
        });
        deliveries.reset();
        deliveries.send(roster, MessageRecipient::Broadcast, opcode, payload);
        while deliveries.is_pending() {
            let _granted = thread.scheduler.acquire(Kind::Delivery).await;
            deliveries.reset();
            deliveries.go_on(roster);
        }
        deliveries.settle();
        if deliveries.take_failed() {
            return Err(NotDone::OutOfMemory);
        }
        // The message is no effect of an event. So a history has to begin with it, or sessions would miss it after a restart.
        self.keep_sessions_again();
        Ok(clients)
    }

    /// Tells the log and those who watch the room what the operator does.
    fn note_operator(
        &self,
        client: Option<ClientId>,
        does: Operator<'_>,
        clients: usize,
        line: impl FnOnce() -> String,
    ) {
        let context = &self.context;
        let about = crate::log_line::About { client, ..self.about() };
        context.thread.log.event(log::Level::Info, about, line);
        if context.trace.is_on() {
            context.trace.operator(context.thread.clock.unix_ms(), does, clients);
        }
    }
}
