//! A client in a room, from the upgrade of its connection to the end.

mod keep_alive;
mod reader;

use std::{
    cell::{Cell, RefCell},
    fmt,
    future::{Future, poll_fn},
    pin::{Pin, pin},
    rc::{Rc, Weak},
    task::{Context, Poll},
};

use smol::future::{or, pending, zip};
use stateroom_core::{ClientId, engine::EngineFactory};

use crate::{
    admission::Permit,
    close::CloseReason,
    memory::{Buffer, Charge, Ledger, OutOfMemory, Purpose},
    room::{ClientInfo, Event, EventLock, Outcome, Room},
    websocket::Decoder,
    wire::Socket,
};

use self::{
    keep_alive::keep_alive,
    reader::{Backlog, Held},
};

/// A client in a room: hands its messages from its socket to the room.
///
/// If nothing has to wait, a readable socket leads there directly. The session's task wakes only for what has to wait: for
/// the room, for other sessions, or for the client.
pub(crate) struct Session<F: EngineFactory> {
    socket: Socket,
    room: Rc<Room<F>>,
    client: ClientId,
    decoder: RefCell<Decoder>,
    /// The bytes that have been read and not handled, because the room was busy, the client does not read, or others
    /// went first.
    backlog: RefCell<Option<Backlog>>,
    /// The work that the task has to do next.
    next: RefCell<Option<Next<F>>>,
    /// True if something may have come that was not read, because the client did not read its answers or the room was
    /// busy.
    is_paused: Cell<bool>,
    /// True if the session waits among the thread's readers.
    is_scheduled: Cell<bool>,
    /// True if much had come from the client when it was last read.
    reads_much: Cell<bool>,
    /// True if anything has come from the client since the heartbeat last looked.
    was_heard: Cell<bool>,
    /// Counts the client's messages.
    messages: Cell<u32>,
    /// True if its `connect` or one of them is being handled.
    is_in_event: Cell<bool>,
    /// True if no further message is to be handled.
    has_ended: Cell<bool>,
    /// The permit of the connection, until that is closed.
    permit: Cell<Option<Permit>>,
}

/// The way in which a session ends.
#[derive(Debug)]
pub(crate) enum End {
    /// The client has gone.
    Gone,
    Close(CloseReason),
}

/// The next work of a session.
enum Next<F: EngineFactory> {
    /// Read on.
    Read,
    /// Go on with a message that takes longer than a slice.
    FinishEvent(EventLock<F>),
    /// Hand this message in when the room is not busy any more. It comes before the backlog.
    WaitForRoom(Held),
    End(End),
    /// Wait: the room has ended, and has told the outbox how to close the connection.
    RoomEnded,
}

/// The memory of a connection in bytes, without what is read of it and waits for it: its structures and its task.
const CONNECTION: usize = 2 << 10;

/// Charges a connection for its memory, and for what its client has brought with it until its `connect` is over.
pub(crate) fn charge(
    ledger: &Rc<Ledger>,
    info: &ClientInfo,
    read_ahead: &[u8],
) -> Result<Charge, OutOfMemory> {
    ledger.charge(CONNECTION + info.size() + read_ahead.len(), Purpose::New)
}

/// Serves a WebSocket until it ends. `read_ahead` is what has been read of it beyond the HTTP request; `place` is its room, which
/// it has [entered](Room::enter), and its client, who has brought `info` with it.
pub(crate) async fn serve<F: EngineFactory>(
    socket: Socket,
    read_ahead: Vec<u8>,
    info: Box<ClientInfo>,
    place: Result<(Rc<Room<F>>, ClientId), CloseReason>,
    charge: Option<Charge>,
    permit: Permit,
) {
    match place {
        Err(reason) => {
            // There may be no memory for what the client has brought, and it may take its time.
            drop((read_ahead, info));
            Box::pin(socket.close(Some(reason))).await;
        }
        Ok((room, client)) => {
            match Session::new(socket, Rc::clone(&room), client, &read_ahead) {
                Ok(session) => {
                    drop(read_ahead);
                    session.permit.set(Some(permit));
                    session.attend(info, charge).await;
                }
                Err(socket) => {
                    drop((read_ahead, info));
                    Box::pin(socket.close(Some(CloseReason::OutOfMemory))).await;
                }
            }
            room.leave();
        }
    }
}

impl<F: EngineFactory> Session<F> {
    /// Creates a session. Returns the socket again if there is no memory for what was read ahead.
    fn new(
        socket: Socket,
        room: Rc<Room<F>>,
        client: ClientId,
        read_ahead: &[u8],
    ) -> Result<Rc<Self>, Socket> {
        let ledger = socket.buffers.ledger();
        let mut backlog = Buffer::new(ledger);
        if let Err(OutOfMemory) = backlog.extend(read_ahead) {
            return Err(socket);
        }
        let backlog = (!read_ahead.is_empty()).then(|| Backlog::new(backlog));
        let decoder = RefCell::new(Decoder::new(room.thread().settings.message_size, ledger));
        Ok(Rc::new(Self {
            socket,
            room,
            client,
            decoder,
            backlog: RefCell::new(backlog),
            next: RefCell::default(),
            is_paused: Cell::new(false),
            is_scheduled: Cell::new(false),
            reads_much: Cell::new(false),
            was_heard: Cell::new(false),
            messages: Cell::new(0),
            is_in_event: Cell::new(true),
            has_ended: Cell::new(false),
            permit: Cell::default(),
        }))
    }

    /// Runs the client's stay in the room: `connect`, its messages, and `disconnect` exactly once, however it ended.
    async fn attend(self: &Rc<Self>, info: Box<ClientInfo>, mut charge: Option<Charge>) {
        let Self { socket, room, client, .. } = &**self;
        let listener: Weak<Self> = Rc::downgrade(self);
        socket.stream().set_listener(listener);
        // What this takes is free again while the client is in the room, and so is everything below that is boxed: a
        // connection that waits takes no more memory than waiting needs.
        // If the room may start afresh, it keeps what the client has brought.
        let kept = if room.thread().settings.may_reset_rooms() { info.size() } else { 0 };
        if !Box::pin(self.arrive(info)).await {
            return;
        }
        self.is_in_event.set(false);
        // It is less than before.
        charge.iter_mut().for_each(|charge| _ = charge.set(CONNECTION + kept, Purpose::New));
        log::debug!("room {}: client {client} has come", room.id());
        let mut handling = pin!(self.handle_messages());
        let end = {
            let mut keeping_alive = pin!(keep_alive(self));
            let closing = poll_fn(|cx| socket.outbox.poll_closing(cx));
            let mut closing = pin!(async { closing.await.map_or(End::Gone, End::Close) });
            poll_fn(|cx| {
                let parts: [Pin<&mut dyn Future<Output = End>>; 3] =
                    [handling.as_mut(), keeping_alive.as_mut(), closing.as_mut()];
                parts
                    .into_iter()
                    .find_map(|part| match part.poll(cx) {
                        Poll::Ready(end) => Some(end),
                        Poll::Pending => None,
                    })
                    .map_or(Poll::Pending, Poll::Ready)
            })
            .await
        };
        self.has_ended.set(true);
        socket.stream().remove_listener();
        let reason = match end {
            End::Gone => {
                log::debug!("room {}: client {client} has gone", room.id());
                None
            }
            End::Close(reason) => {
                room.thread().count_refused(&reason);
                // The words may be the guest's, and may say anything.
                let (code, words) = (reason.code(), reason.words());
                log::debug!("room {}: client {client} is closed: {words:?} ({code:?})", room.id());
                Some(reason)
            }
        };
        // The room need not wait for the client's last words, nor the client for the room. An event that has
        // begun comes to its end.
        let departure = async {
            if self.is_in_event.get() {
                handling.await;
            }
            room.handle(Event::Disconnect(*client)).await;
        };
        Box::pin(zip(self.close(reason), departure)).await;
    }

    /// Closes the connection. It takes no place from then on, though the room may have to hear of that yet.
    async fn close(&self, reason: Option<CloseReason>) {
        self.socket.close(reason).await;
        self.permit.take();
    }

    /// `connect`. Answers whether the client is in the room then; where it is not, its connection has been closed.
    async fn arrive(&self, info: Box<ClientInfo>) -> bool {
        let Self { socket, room, client, .. } = self;
        room.expect(&socket.outbox);
        let reason = {
            let mut connecting = pin!(room.handle(Event::Connect(*client, Rc::clone(&socket.outbox), info)));
            let connected = async { Ok(connecting.as_mut().await) };
            let closing = async {
                // It may have gone before.
                socket.probe();
                Err(poll_fn(|cx| socket.outbox.poll_closing(cx)).await)
            };
            match or(connected, closing).await {
                Ok(Outcome::Done | Outcome::Refused) => return true,
                Ok(Outcome::Ended) => poll_fn(|cx| socket.outbox.poll_closing(cx)).await,
                // The room has no time for the client before the server ends, or the client goes, and never hears of it.
                Err(reason) if room.forget(&socket.outbox) => reason,
                // An event that has begun comes to its end.
                Err(reason) => {
                    let stay = async {
                        if connecting.await != Outcome::Ended {
                            room.handle(Event::Disconnect(*client)).await;
                        }
                    };
                    zip(self.close(reason), stay).await;
                    return false;
                }
            }
        };
        self.close(reason).await;
        false
    }

    /// Handles what the client says, in order.
    async fn handle_messages(self: &Rc<Self>) -> End {
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
            // How it ends has been decided elsewhere, and this was only to be waited for.
            if self.has_ended.get() {
                return End::Gone;
            }
            match outcome {
                Outcome::Done => self.read_soon(),
                Outcome::Refused => return End::Close(CloseReason::MessageRefused),
                Outcome::Ended => return pending().await,
            }
        }
    }

    /// Waits for something that the task has to see to.
    fn poll_next(self: &Rc<Self>, cx: &Context<'_>) -> Poll<Next<F>> {
        if let Some(next) = self.next.take() {
            return Poll::Ready(next);
        }
        // A client that does not read its answers is not heard until it does, and one that the room has closed
        // is not heard any more.
        if self.socket.outbox.poll_may_be_read(cx).is_ready() && self.is_paused.take() {
            self.read_soon();
        }
        Poll::Pending
    }
}

impl<F: EngineFactory> fmt::Debug for Session<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("room", &self.room)
            .field("client", &self.client)
            .finish_non_exhaustive()
    }
}
