//! Resumable sessions: see `docs/reference/sessions.md`.

use std::{
    future::{Future, pending, poll_fn},
    rc::{Rc, Weak},
    time::Instant,
};

use smol::future::{or, zip};
use stateroom_core::{ClientId, engine::EngineFactory};

use crate::{
    admission::Permit,
    close::CloseReason,
    log_line::{About, debug_about},
    memory::{OutOfMemory, Purpose},
    metrics::Count,
    reactor::Timer,
    room::{Event, Outcome, Resumable, Resumption, Room, SessionRequest, Token},
    settings::Settings,
    subnet::Subnet,
    wire::{Outbox, Socket},
};

use super::{
    Arrival, CONNECTION, Session,
    confirmations::Confirmations,
    connection::{Connection, End},
};

/// The time in which clients are to reconnect when the server shuts down: this number of milliseconds for each client.
const MS_FOR_CLIENT: u64 = 1;
/// The shortest and the longest such time.
const LEAST_MS: u64 = 500;
const MOST_MS: u64 = 30_000;

impl<F: EngineFactory> Session<F> {
    /// Begins a session, which is resumable if the client has requested that.
    pub(super) fn begin(
        room: Rc<Room<F>>,
        client: ClientId,
        socket: &Socket,
        request: Option<Box<SessionRequest>>,
    ) -> Self {
        let resumable = request.map(|request| {
            let settings = &room.thread().settings;
            let greeting = greeting(request.own_token(), client, false, 0, settings);
            socket.outbox.begin_session(&greeting, settings.session_buffer);
            let resumable = room.sessions.add(client, &request, &socket.outbox);
            room.note_session(&resumable);
            resumable
        });
        Self { room, client, resumable }
    }

    /// Returns what a line of the log about a session without a connection is about.
    fn about(&self) -> About<'_> {
        About { client: Some(self.client), ..self.room.about() }
    }

    /// Makes a connection of this session. Returns the socket again if there is no memory for what was read ahead.
    pub(super) fn connection(&self, socket: Socket, read_ahead: &[u8]) -> Result<Rc<Connection<F>>, Socket> {
        let confirmations =
            self.resumable.as_ref().map(|resumable| Confirmations::after(resumable.handled.get()));
        Connection::new(socket, Rc::clone(&self.room), self.client, read_ahead, confirmations)
    }

    /// Closes the connection, and lets the session go on without one. Returns the network that the client comes from.
    pub(super) fn detach(
        &self,
        connection: &Rc<Connection<F>>,
        reason: Option<CloseReason>,
    ) -> Option<Subnet> {
        connection.has_ended.set(true);
        connection.socket.stream().remove_listener();
        connection.socket.outbox.detach();
        let permit = connection.permit.take();
        let subnet = permit.as_ref().map(Permit::subnet);
        connection.permit.set(permit);
        let connection = Rc::clone(connection);
        self.room.thread().spawn_rare(async move { connection.close(reason).await });
        subnet
    }

    /// Finishes an event of a session without a connection.
    pub(super) async fn finish<T>(&self, resumable: &Resumable, event: impl Future<Output = T>) -> T {
        let watch = async {
            // A client that waits to resume the session may go meanwhile, or the room or the server may end.
            poll_fn(|cx| resumable.poll_waiting(cx)).await;
            if let Some((waiting, reason)) = self.take_resumption(resumable) {
                self.room.thread().spawn_rare(async move { waiting.refuse(reason).await });
            }
            pending().await
        };
        or(event, watch).await
    }

    /// Finishes the `connect` of a client whose connection is lost, and waits for another connection.
    pub(super) async fn lose_early(
        &self,
        resumable: &Resumable,
        connection: &Rc<Connection<F>>,
        connect: impl Future<Output = Outcome>,
    ) -> Arrival {
        let subnet = self.detach(connection, None);
        match self.finish(resumable, connect).await {
            Outcome::Ended => Arrival::Over,
            _ => Arrival::Lost(self.wait_for_client(resumable, Rc::clone(connection), subnet).await),
        }
    }

    /// Ends a resumable session whose connection has ended, or waits for another connection. `event` is the end of an event that may
    /// be running.
    pub(super) async fn end_or_wait(
        &self,
        resumable: &Resumable,
        connection: Rc<Connection<F>>,
        end: End,
        event: impl Future<Output = End>,
    ) -> Option<Box<Resumption>> {
        let outbox = Rc::clone(&connection.socket.outbox);
        if end.may_resume() {
            let subnet = self.detach(&connection, end.into_reason());
            // The room may refuse the message, which ends the session.
            if self.finish(resumable, event).await.may_resume() {
                return self.wait_for_client(resumable, connection, subnet).await;
            }
            self.leave().await;
            return None;
        }
        self.room.sessions.remove(resumable);
        let reason = end.into_reason().map(|reason| self.reason_to_tell(&outbox, reason));
        let departure = async {
            event.await;
            self.leave().await;
        };
        zip(connection.close(reason), departure).await;
        None
    }

    /// Waits for another connection of the client, and runs `disconnect` if none comes in time.
    pub(super) async fn wait_for_client(
        &self,
        resumable: &Resumable,
        connection: Rc<Connection<F>>,
        subnet: Option<Subnet>,
    ) -> Option<Box<Resumption>> {
        let room = &self.room;
        let confirmations = connection.confirmations();
        resumable.handled.set(confirmations.map_or(0, |confirmations| confirmations.received()));
        let outbox = Rc::clone(&connection.socket.outbox);
        drop(connection);
        let _waiting = subnet.and_then(|subnet| room.wait_for_client(subnet, &outbox));
        self.wait_until(resumable, Timer::after(room.thread().settings.resume)).await
    }

    /// Waits for another connection of the client until a time, and runs `disconnect` if none comes.
    async fn wait_until(&self, resumable: &Resumable, time: Timer) -> Option<Box<Resumption>> {
        let Self { room, client, .. } = self;
        let resumption = poll_fn(|cx| resumable.poll_resumption(cx));
        let timeout = async {
            time.await;
            None
        };
        if let Some(resumption) = or(resumption, timeout).await {
            return Some(resumption);
        }
        debug_about!(self.about(), "room {}: the session of client {client} ends", room.id());
        self.leave().await;
        None
    }

    /// Resumes the session on another connection, until that ends, too.
    pub(super) async fn resume(&self, resumption: Box<Resumption>) -> Option<Box<Resumption>> {
        let Self { room, client, .. } = self;
        let resumable = self.resumable.as_ref()?;
        let Resumption { socket, read_ahead, request, permit } = *resumption;
        let connection = match self.connection(socket, &read_ahead) {
            Ok(connection) => connection,
            Err(socket) => {
                let refusal = Resumption { socket, read_ahead: Vec::new(), request, permit };
                zip(refusal.refuse(CloseReason::OutOfMemory), self.leave()).await;
                return None;
            }
        };
        drop(read_ahead);
        connection.permit.set(Some(permit));
        connection.is_in_event.set(false);
        let outbox = &connection.socket.outbox;
        let (received, settings) = (resumable.handled.get(), &room.thread().settings);
        let greeting = |is_resumed| greeting(request.own_token(), *client, is_resumed, received, settings);
        if !resumable.replace_outbox(outbox, &request, greeting) {
            // The old connection has confirmed more than the new one says.
            outbox.close(CloseReason::SessionEnded);
        }
        room.note_resumption(resumable);
        room.reconnect(*client, outbox);
        room.thread().metrics.add(Count::Resumptions, 1);
        let listener: Weak<Connection<F>> = Rc::downgrade(&connection);
        connection.socket.stream().set_listener(listener);
        debug_about!(connection.about(), "room {}: client {client} has resumed its session", room.id());
        self.stay(connection).await
    }

    /// Ends the session: nothing resumes it from now on. Runs `disconnect`, unless the session outlives the server.
    pub(super) async fn leave(&self) {
        let departure = async {
            if !self.outlives_server() {
                self.room.handle(Event::Disconnect(self.client)).await;
            }
        };
        zip(self.end_resumption(), departure).await;
    }

    /// Returns whether the server shuts down, and the client can resume the session when the server is there again.
    fn outlives_server(&self) -> bool {
        let reason = self.resumable.as_ref().and_then(|resumable| resumable.outbox().closing());
        reason.is_some_and(|reason| is_shutdown(&reason)) && self.room.keeps_sessions()
    }

    /// Ends the possibility to resume the session, and refuses a connection that waits for it.
    pub(super) async fn end_resumption(&self) {
        if let Some(resumable) = &self.resumable
            && let Some((waiting, reason)) = self.take_resumption(resumable)
        {
            waiting.refuse(reason).await;
        }
    }

    /// Ends the possibility to resume the session. Returns the connection that waits for it, and the reason for which it is closed.
    fn take_resumption(&self, resumable: &Resumable) -> Option<(Box<Resumption>, CloseReason)> {
        self.room.sessions.remove(resumable);
        let waiting = resumable.take_resumption()?;
        let reason = resumable.outbox().closing().unwrap_or(CloseReason::SessionEnded);
        let reason = self.reason_to_tell(&waiting.socket.outbox, reason);
        Some((waiting, reason))
    }

    /// Returns the close reason that the client gets. If the server shuts down and the session is resumable, also tells the client when
    /// to reconnect.
    pub(super) fn reason_to_tell(&self, outbox: &Rc<Outbox>, reason: CloseReason) -> CloseReason {
        if self.resumable.is_none() || !is_shutdown(&reason) {
            return reason;
        }
        let thread = self.room.thread();
        let clients = (thread.stats.leaving.get() * thread.settings.threads) as u64;
        outbox.push_return_time((clients * MS_FOR_CLIENT).clamp(LEAST_MS, MOST_MS));
        CloseReason::ServiceRestart
    }
}

/// Lets a session go on that was there when the server ended the last time: waits for its client until a time.
pub(crate) async fn continue_session<F: EngineFactory>(
    room: Rc<Room<F>>,
    resumable: Rc<Resumable>,
    until: Instant,
) {
    // If there is no memory for a connection, its client finds out.
    let charge = room.thread().memory.charge(CONNECTION, Purpose::New);
    let until = charge.as_ref().map_or_else(|OutOfMemory| room.thread().clock.now(), |_| until);
    let session = Session { client: resumable.client, room, resumable: Some(Rc::clone(&resumable)) };
    let mut resumption = Box::pin(session.wait_until(&resumable, Timer::at(until))).await;
    while let Some(next) = resumption {
        resumption = Box::pin(session.resume(next)).await;
    }
    Box::pin(session.end_resumption()).await;
    session.room.leave();
}

fn is_shutdown(reason: &CloseReason) -> bool {
    matches!(reason, CloseReason::ServerShutdown | CloseReason::ServiceRestart)
}

/// Returns the first control message of a connection. `received` is the number of messages that the room has received.
fn greeting(token: &Token, client: ClientId, is_resumed: bool, received: u64, settings: &Settings) -> String {
    format!(
        r#"{{"session":"{}","client":{client},"resumed":{is_resumed},"received":{received},"window":{},"buffer":{}}}"#,
        token.as_str(),
        // It is at most a year.
        settings.resume.as_millis() as u64,
        settings.session_buffer,
    )
}
