//! Resumable sessions: see `docs/reference/sessions.md`.

use std::{
    future::poll_fn,
    rc::{Rc, Weak},
};

use smol::future::or;
use stateroom_core::{ClientId, engine::EngineFactory};

use crate::{
    close::CloseReason,
    reactor::Timer,
    room::{Event, Resumption, Room, SessionRequest, Token},
    settings::Settings,
    wire::Socket,
};

use super::{
    Session,
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
            let greeting = greeting(&request.token, client, false, 0, settings);
            socket.outbox.begin_session(&greeting, settings.session_buffer);
            room.sessions.add(&request, &socket.outbox)
        });
        Self { room, client, resumable }
    }

    /// Makes a connection of this session. Returns the socket again if there is no memory for what was read ahead.
    pub(super) fn connection(&self, socket: Socket, read_ahead: &[u8]) -> Result<Rc<Connection<F>>, Socket> {
        let confirmations =
            self.resumable.as_ref().map(|resumable| Box::new(Confirmations::after(resumable.handled.get())));
        Connection::new(socket, Rc::clone(&self.room), self.client, read_ahead, confirmations)
    }

    /// Waits for another connection of the client. If none comes in time, or if the session cannot be resumed after this end, runs
    /// `disconnect`.
    pub(super) async fn wait_for_client(
        &self,
        connection: Rc<Connection<F>>,
        end: End,
    ) -> Option<Box<Resumption>> {
        let Self { room, client, .. } = self;
        let (thread, resumable) = (room.thread(), self.resumable.as_ref()?);
        let confirmations = connection.confirmations.as_ref();
        resumable.handled.set(confirmations.map_or(0, |confirmations| confirmations.received()));
        let may_resume = end.may_resume();
        let outbox = Rc::clone(&connection.socket.outbox);
        outbox.detach();
        let reason = end.into_reason();
        let told = reason.clone();
        thread.spawn_rare(async move { connection.close(told).await });
        if may_resume {
            let _absence = thread.waiting_sessions.add(&outbox);
            let resumption = poll_fn(|cx| resumable.poll_resumption(cx));
            let timeout = async {
                Timer::after(thread.settings.resume).await;
                None
            };
            if let Some(resumption) = or(resumption, timeout).await {
                return Some(resumption);
            }
        }
        log::debug!("room {}: client {client} has not resumed its session", room.id());
        // A connection that has come too late gets the reason for which the session has ended.
        let reason = outbox.closing().or(reason).unwrap_or(CloseReason::ClientSilent);
        self.leave(resumable.take_resumption().map(|resumption| (resumption.socket, reason))).await;
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
                self.leave(Some((socket, CloseReason::OutOfMemory))).await;
                return None;
            }
        };
        drop(read_ahead);
        connection.permit.set(Some(permit));
        connection.is_in_event.set(false);
        let outbox = &connection.socket.outbox;
        let (received, settings) = (resumable.handled.get(), &room.thread().settings);
        let greeting = |is_resumed| greeting(&request.token, *client, is_resumed, received, settings);
        if !resumable.replace_outbox(outbox, &request, greeting) {
            outbox.close(CloseReason::ClientTooSlow);
        }
        room.reconnect(*client, outbox);
        let listener: Weak<Connection<F>> = Rc::downgrade(&connection);
        connection.socket.stream().set_listener(listener);
        log::debug!("room {}: client {client} has resumed its session", room.id());
        self.stay(connection).await
    }

    /// Runs `disconnect`, and closes the socket of a resumption that is not possible.
    async fn leave(&self, refused: Option<(Socket, CloseReason)>) {
        if let Some((socket, reason)) = refused {
            self.room.thread().spawn_rare(async move { socket.close(Some(reason)).await });
        }
        self.room.handle(Event::Disconnect(self.client)).await;
    }

    /// Returns the close reason that the client gets. If the server shuts down and the session is resumable, also tells the client when
    /// to reconnect.
    pub(super) fn reason_to_tell(&self, connection: &Connection<F>, end: End) -> Option<CloseReason> {
        let reason = end.into_reason()?;
        let is_end = matches!(reason, CloseReason::ServerShutdown | CloseReason::ServiceRestart);
        if self.resumable.is_none() || !is_end {
            return Some(reason);
        }
        let thread = self.room.thread();
        let clients = (thread.stats.clients.get() * thread.settings.threads) as u64;
        connection.socket.outbox.push_return_time((clients * MS_FOR_CLIENT).clamp(LEAST_MS, MOST_MS));
        Some(CloseReason::ServiceRestart)
    }

    /// Ends the session, and frees its place in the room.
    pub(super) fn end(&self) {
        if let Some(resumable) = &self.resumable {
            self.room.sessions.remove(resumable);
        }
        self.room.leave();
    }
}

/// Returns the first control message of a connection. `received` is the number of messages that the room has received.
fn greeting(token: &Token, client: ClientId, is_resumed: bool, received: u64, settings: &Settings) -> String {
    format!(
        r#"{{"session":"{}","client":{client},"resumed":{is_resumed},"received":{received},"window":{},"buffer":{}}}"#,
        token.as_str(),
        settings.resume.as_millis(),
        settings.session_buffer,
    )
}
