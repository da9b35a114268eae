use std::{
    cell::{Cell, RefCell},
    fmt,
    future::{pending, poll_fn},
    rc::Rc,
    task::{Context, Poll},
};

use stateroom_core::{ClientId, engine::EngineFactory};

use crate::{
    admission::Permit,
    close::CloseReason,
    log_line::About,
    memory::{Buffer, OutOfMemory},
    room::{Event, EventLock, Outcome, Room},
    websocket::Decoder,
    wire::Socket,
};

use super::{
    confirmations::Confirmations,
    rates::Rates,
    reader::{Backlog, Held},
};

/// A connection of a client in a room: hands the client's messages from its socket to the room.
///
/// If nothing has to wait, a readable socket calls this directly. The session's task wakes only for what has to wait: for the room,
/// for other clients, or for the client.
pub(super) struct Connection<F: EngineFactory> {
    pub(super) socket: Socket,
    pub(super) room: Rc<Room<F>>,
    pub(super) client: ClientId,
    pub(super) decoder: RefCell<Decoder>,
    /// The bytes that have been read and not handled, because the room was busy, the client does not read, or other connections had
    /// their turn.
    pub(super) backlog: RefCell<Option<Backlog>>,
    /// The work that the task has to do next.
    pub(super) next: RefCell<Option<Next<F>>>,
    /// True if there may be unread data, because the client did not read its answers or the room was busy.
    pub(super) is_paused: Cell<bool>,
    /// True if the connection is in the scheduler's queue.
    pub(super) is_scheduled: Cell<bool>,
    /// True if much had come from the client when it was last read.
    pub(super) reads_much: Cell<bool>,
    /// True if anything has come from the client since the heartbeat last looked.
    pub(super) was_heard: Cell<bool>,
    /// Counts the client's messages.
    pub(super) messages: Cell<u32>,
    /// More that is counted, if anything is.
    pub(super) counts: Option<Box<Counts>>,
    /// True if its `connect` or a message is being handled.
    pub(super) is_in_event: Cell<bool>,
    /// True after its end: no further message is handled.
    pub(super) has_ended: Cell<bool>,
    /// The permit of the connection, until that is closed.
    pub(super) permit: Cell<Option<Permit>>,
}

/// The counts of a client's messages beside their number.
#[derive(Debug)]
pub(super) struct Counts {
    /// The confirmations of the messages, if the session is resumable.
    pub(super) confirmations: Option<Confirmations>,
    /// The limits on how fast the client may send, if there are any.
    pub(super) rates: Option<Rates>,
}

/// The way in which a connection ends.
#[derive(Debug)]
pub(super) enum End {
    /// The client has gone.
    Gone,
    Close(CloseReason),
}

impl End {
    /// Returns whether the client may resume its session after this.
    pub(super) fn may_resume(&self) -> bool {
        match self {
            Self::Gone | Self::Close(CloseReason::ClientSilent | CloseReason::Resumed) => true,
            Self::Close(CloseReason::ByClient(code)) => *code == Some(RESUMES_LATER),
            Self::Close(_) => false,
        }
    }

    /// Returns the reason that the client is told.
    pub(super) fn into_reason(self) -> Option<CloseReason> {
        match self {
            Self::Gone => None,
            Self::Close(reason) => Some(reason),
        }
    }
}

/// The code with which a client closes a connection to resume its session on another one.
const RESUMES_LATER: u16 = 4999;

/// The next work of a connection.
pub(super) enum Next<F: EngineFactory> {
    /// Read on.
    Read,
    /// Go on with a message that takes longer than a slice.
    FinishEvent(EventLock<F>),
    /// Give this message to the room when the room is not busy any more. It comes before the backlog.
    WaitForRoom(Held),
    End(End),
    /// Wait: the room has ended, and has set the close reason of the outbox.
    RoomEnded,
}

impl<F: EngineFactory> Connection<F> {
    /// Makes a connection. Returns the socket again if there is no memory for what was read ahead.
    pub(super) fn new(
        socket: Socket,
        room: Rc<Room<F>>,
        client: ClientId,
        read_ahead: &[u8],
        confirmations: Option<Confirmations>,
    ) -> Result<Rc<Self>, Socket> {
        let ledger = socket.buffers.ledger();
        let mut backlog = Buffer::new(ledger);
        if let Err(OutOfMemory) = backlog.extend(read_ahead) {
            return Err(socket);
        }
        let backlog = (!read_ahead.is_empty()).then(|| Backlog::new(backlog));
        let decoder = Decoder::new(room.thread().settings.message_size, ledger);
        #[cfg(feature = "compression")]
        let decoder = match socket.buffers.compression.get() {
            Some(compression) if socket.outbox.compresses() => {
                decoder.with_inflaters(Rc::clone(&compression.inflaters))
            }
            _ => decoder,
        };
        let rates = Rates::new(&room.thread().settings, room.thread().clock.now());
        let is_counted = confirmations.is_some() || rates.is_some();
        let counts = is_counted.then(|| Box::new(Counts { confirmations, rates }));
        Ok(Rc::new(Self {
            socket,
            room,
            client,
            decoder: RefCell::new(decoder),
            backlog: RefCell::new(backlog),
            next: RefCell::default(),
            is_paused: Cell::new(false),
            is_scheduled: Cell::new(false),
            reads_much: Cell::new(false),
            was_heard: Cell::new(false),
            messages: Cell::new(0),
            counts,
            is_in_event: Cell::new(true),
            has_ended: Cell::new(false),
            permit: Cell::default(),
        }))
    }

    /// Returns what a line of the log about it is about.
    pub(super) fn about(&self) -> About<'_> {
        About { client: Some(self.client), ..self.room.about() }.of_connection(self.socket.connection)
    }

    /// Returns the confirmations of the client's messages, if the session is resumable.
    pub(super) fn confirmations(&self) -> Option<&Confirmations> {
        self.counts.as_ref()?.confirmations.as_ref()
    }

    /// Returns how fast the client may send, if that is limited.
    pub(super) fn rates(&self) -> Option<&Rates> {
        self.counts.as_ref()?.rates.as_ref()
    }

    /// Closes the connection. It no longer counts as one then, even if the room still has to run `disconnect`.
    pub(super) async fn close(&self, reason: Option<CloseReason>) {
        self.socket.close(reason).await;
        self.permit.take();
    }

    /// Handles the client's messages, in order.
    pub(super) async fn handle_messages(self: &Rc<Self>) -> End {
        self.read_soon();
        loop {
            let outcome = match poll_fn(|cx| self.poll_next(cx)).await {
                Next::Read => continue,
                Next::End(end) => return end,
                Next::RoomEnded => return pending().await,
                Next::FinishEvent(lock) => {
                    self.is_in_event.set(true);
                    Box::pin(lock.finish()).await
                }
                Next::WaitForRoom(held) => {
                    self.is_in_event.set(true);
                    let event = Event::Message(self.client, &self.socket.outbox, held.payload());
                    Box::pin(self.room.handle(event)).await
                }
            };
            self.is_in_event.set(false);
            match outcome {
                Outcome::Refused => return End::Close(CloseReason::MessageRefused),
                // The end was decided elsewhere, and only the running event had to finish.
                _ if self.has_ended.get() => return End::Gone,
                Outcome::Done => {
                    self.confirm();
                    self.read_soon();
                }
                Outcome::Ended => return pending().await,
            }
        }
    }

    /// Waits for something that the task has to handle.
    fn poll_next(self: &Rc<Self>, cx: &Context<'_>) -> Poll<Next<F>> {
        if let Some(next) = self.next.take() {
            return Poll::Ready(next);
        }
        // Nothing is read from a client that does not read its answers, and from one that the room has closed.
        if self.socket.outbox.poll_may_be_read(cx).is_ready() && self.is_paused.take() {
            self.rates().into_iter().for_each(|rates| rates.resume(self.room.thread().clock.now()));
            self.read_soon();
        }
        Poll::Pending
    }
}

impl<F: EngineFactory> fmt::Debug for Connection<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("room", &self.room)
            .field("client", &self.client)
            .finish_non_exhaustive()
    }
}
