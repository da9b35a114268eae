//! A client in a room, from the upgrade of its connection to the end. A resumable session may have several connections, one after
//! the other.

mod confirmations;
mod connection;
mod keep_alive;
mod rates;
mod reader;
mod resume;

use std::{
    fmt,
    future::{Future, poll_fn},
    pin::{Pin, pin},
    rc::{Rc, Weak},
    task::Poll,
};

use smol::future::{or, zip};
use stateroom_core::{ClientId, engine::EngineFactory};

use crate::{
    admission::Permit,
    close::CloseReason,
    memory::{Charge, Ledger, OutOfMemory, Purpose},
    room::{ClientInfo, Event, Outcome, Resumable, Resumption, Room, SessionRequest},
    wire::Socket,
};

use self::{
    connection::{Connection, End},
    keep_alive::keep_alive,
};

pub(crate) use resume::continue_session;

/// A client in a room.
struct Session<F: EngineFactory> {
    room: Rc<Room<F>>,
    client: ClientId,
    /// Receives the connection on which the session is resumed. `None` if the session is not resumable.
    resumable: Option<Rc<Resumable>>,
}

/// The state of a session after its `connect`.
enum Arrival {
    Here,
    /// The connection of a resumable session was lost. This is the next one; `None` if the session has ended.
    Lost(Option<Box<Resumption>>),
    /// The connection has been closed, and the client is not in the room.
    Over,
}

/// The memory of a connection in bytes, without what is read of it and waits for it: its structures and its task.
const CONNECTION: usize = 2 << 10;

/// Charges a connection for its memory, and for the data of its request until its `connect` is over.
pub(crate) fn charge(
    ledger: &Rc<Ledger>,
    info: &ClientInfo,
    read_ahead: &[u8],
) -> Result<Charge, OutOfMemory> {
    ledger.charge(CONNECTION + info.size() + read_ahead.len(), Purpose::New)
}

/// Serves a WebSocket until its session ends. `read_ahead` is what has been read of it beyond the HTTP request; `place` is its
/// room, which it has [entered](Room::enter), and its client, or the reason why it gets none. If there is a request, the
/// session is resumable.
pub(crate) async fn serve<F: EngineFactory>(
    socket: Socket,
    read_ahead: Vec<u8>,
    info: Box<ClientInfo>,
    place: Result<(Rc<Room<F>>, ClientId), CloseReason>,
    charge: Option<Charge>,
    permit: Permit,
    request: Option<Box<SessionRequest>>,
) {
    match place {
        Err(reason) => {
            // There may be no memory for what the client has brought, and it may take its time.
            drop((read_ahead, info));
            Box::pin(socket.close(Some(reason))).await;
        }
        Ok((room, client)) => {
            let session = Session::begin(room, client, &socket, request);
            match session.connection(socket, &read_ahead) {
                Ok(connection) => {
                    drop(read_ahead);
                    connection.permit.set(Some(permit));
                    session.attend(connection, info, charge).await;
                }
                Err(socket) => {
                    drop((read_ahead, info));
                    Box::pin(socket.close(Some(CloseReason::OutOfMemory))).await;
                }
            }
            if session.resumable.is_some() {
                Box::pin(session.end_resumption()).await;
            }
            session.room.leave();
        }
    }
}

impl<F: EngineFactory> Session<F> {
    /// Runs the whole session: `connect`, the messages, and `disconnect` exactly once, however it ends.
    async fn attend(&self, connection: Rc<Connection<F>>, info: Box<ClientInfo>, mut charge: Option<Charge>) {
        let Self { room, client, .. } = self;
        let listener: Weak<Connection<F>> = Rc::downgrade(&connection);
        connection.socket.stream().set_listener(listener);
        // Boxed futures are freed when they end. So an idle connection takes little memory.
        // If the room may start afresh, it keeps what the client has brought.
        let kept = if room.thread().settings.may_reset_rooms() { info.size() } else { 0 };
        let arrival = Box::pin(self.arrive(&connection, info)).await;
        connection.is_in_event.set(false);
        // It is less than before.
        charge.iter_mut().for_each(|charge| _ = charge.set(CONNECTION + kept, Purpose::New));
        let mut resumption = match arrival {
            Arrival::Over => return,
            Arrival::Lost(resumption) => resumption,
            Arrival::Here => {
                log::debug!("room {}: client {client} has come", room.id());
                self.stay(connection).await
            }
        };
        while let Some(next) = resumption {
            resumption = Box::pin(self.resume(next)).await;
        }
    }

    /// Runs `connect`.
    async fn arrive(&self, connection: &Rc<Connection<F>>, info: Box<ClientInfo>) -> Arrival {
        let Self { room, client, .. } = self;
        let outbox = &connection.socket.outbox;
        room.expect(outbox);
        let reason = {
            let mut connecting = pin!(room.handle(Event::Connect(*client, Rc::clone(outbox), info)));
            let connected = async { Ok(connecting.as_mut().await) };
            let closing = async {
                // The client may have disconnected already.
                outbox.probe();
                Err(poll_fn(|cx| outbox.poll_closing(cx)).await)
            };
            match or(connected, closing).await {
                Ok(Outcome::Done | Outcome::Refused) => return Arrival::Here,
                Ok(Outcome::Ended) => poll_fn(|cx| outbox.poll_closing(cx)).await,
                // `connect` has not begun, so the room does not learn of this client.
                Err(reason) if room.forget(outbox) => reason,
                // An event that has begun is finished.
                Err(None) if let Some(resumable) = &self.resumable => {
                    return Box::pin(self.lose_early(resumable, connection, connecting)).await;
                }
                Err(reason) => {
                    let stay = async {
                        if connecting.await != Outcome::Ended {
                            room.handle(Event::Disconnect(*client)).await;
                        }
                    };
                    Box::pin(zip(connection.close(reason), stay)).await;
                    return Arrival::Over;
                }
            }
        };
        Box::pin(connection.close(reason)).await;
        Arrival::Over
    }

    /// Handles the client's messages until its connection ends. Returns the connection on which the session is resumed. `None` if the
    /// session has ended.
    async fn stay(&self, connection: Rc<Connection<F>>) -> Option<Box<Resumption>> {
        let Self { room, client, resumable, .. } = self;
        let socket = &connection.socket;
        let mut handling = pin!(connection.handle_messages());
        let end = {
            let mut keeping_alive = pin!(keep_alive(&connection));
            let mut closing = pin!(poll_fn(|cx| {
                if resumable.as_ref().is_some_and(|resumable| resumable.has_resumption()) {
                    return Poll::Ready(End::Close(CloseReason::Resumed));
                }
                socket.outbox.poll_closing(cx).map(|reason| reason.map_or(End::Gone, End::Close))
            }));
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
        connection.has_ended.set(true);
        socket.stream().remove_listener();
        match &end {
            End::Gone => log::debug!("room {}: client {client} has gone", room.id()),
            End::Close(reason) => {
                room.thread().count_refused(reason);
                // The guest may have written the words, so they are quoted.
                let (code, words) = (reason.code(), reason.words());
                log::debug!("room {}: client {client} is closed: {words:?} ({code:?})", room.id());
            }
        }
        // An event that has begun is finished.
        let finish_event = async { if connection.is_in_event.get() { handling.await } else { End::Gone } };
        if let Some(resumable) = resumable {
            return Box::pin(self.end_or_wait(resumable, Rc::clone(&connection), end, finish_event)).await;
        }
        // Closing the connection and running `disconnect` do not wait for each other.
        let departure = async {
            finish_event.await;
            room.handle(Event::Disconnect(*client)).await;
        };
        Box::pin(zip(connection.close(end.into_reason()), departure)).await;
        None
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
