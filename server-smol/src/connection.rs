//! A client's connection, from the upgrade to the end.

use std::{
    cell::{Cell, RefCell},
    future::poll_fn,
    io,
    pin::{Pin, pin},
    rc::Rc,
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};

use smol::{
    future::{Future, or, pending, zip},
    lock::MutexGuard,
};
use stateroom_sdk_core::{ClientId, MessagePayload, StateroomServiceFactory};

use crate::{
    client_info::ClientInfo,
    io::Io,
    outbox::{Frame, Outbox},
    reactor::{Stream, Timer},
    room::{Begun, Event, Outcome, Room, TURN, Turn},
    settings::Settings,
    turns::Turns,
    websocket::{Close, Decoder, Item, Opcode, Violation},
};

/// How long a client has to take its last messages and to answer the close frame.
const FAREWELL: Duration = Duration::from_secs(1);

/// After how many messages from one read the clock is looked at, again and again: each may be over within a slice, and
/// all together take as long as thousands of slices.
const UNTIMED: usize = 8;

/// Why a connection gets no room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rejection {
    NoSuchRoom,
    RoomFailed,
    NoMoreIds,
    TooManyRooms,
}

impl From<Rejection> for Close {
    fn from(rejection: Rejection) -> Self {
        match rejection {
            Rejection::NoSuchRoom => Self::new(Self::POLICY, "the room does not exist"),
            Rejection::RoomFailed => Self::new(Self::ERROR, "the room failed"),
            Rejection::TooManyRooms => Self::new(Self::AGAIN, "the server has no space for another room"),
            Rejection::NoMoreIds => Self::new(Self::AGAIN, "the room has run out of client ids"),
        }
    }
}

/// What a connection shares with the others of its thread.
#[derive(Debug, Clone)]
pub(crate) struct Surroundings {
    pub(crate) io: Rc<Io>,
    pub(crate) turns: Rc<Turns>,
}

/// Serves a connection until it ends. `read_ahead` is what has been read of it beyond the HTTP request;
/// `place` is its room, which it has [entered](Room::enter), and its client, who has brought `info` with it.
pub(crate) async fn serve<F: StateroomServiceFactory>(
    stream: Stream,
    surroundings: Surroundings,
    read_ahead: Vec<u8>,
    info: Box<ClientInfo>,
    place: Result<(Rc<Room<F>>, ClientId), Rejection>,
    settings: &Settings,
) {
    let stream = Rc::new(stream);
    let Surroundings { io, turns } = surroundings;
    let link = Link {
        outbox: Outbox::new(Rc::clone(&stream), Rc::clone(&io), settings.outbox_size),
        decoder: RefCell::new(Decoder::new(settings.message_size)),
        backlog: RefCell::new(read_ahead),
        stream,
        io,
        turns,
        heard: Cell::new(false),
        greedy: Cell::new(false),
        in_event: Cell::new(false),
        ended: Cell::new(false),
    };
    match place {
        Err(rejection) => Box::pin(link.part(Close::from(rejection).into())).await,
        Ok((room, client)) => {
            link.attend(&room, client, info, settings).await;
            room.leave();
        }
    }
}

/// How a conversation ended.
enum End {
    /// The client has gone.
    Gone,
    /// The client has said that it goes.
    Answered(Option<Close>),
    /// The server ends it.
    Close(Close),
}

/// What a client is told at the end.
enum Farewell {
    /// Nothing: there is nobody who would hear it.
    None,
    /// A close frame, perhaps with a code.
    Close(Option<Close>),
}

impl From<Close> for Farewell {
    fn from(close: Close) -> Self {
        Self::Close(Some(close))
    }
}

/// What has come of the bytes that were read.
enum Digested<'r, F: StateroomServiceFactory> {
    /// All of them have been handled, or wait until the client may be heard again.
    Done,
    /// A message takes longer than a slice, and has the room's turn.
    Unfinished(MutexGuard<'r, Turn<F::Service>>),
    /// The room is busy with somebody else. This message is next, before the backlog.
    Busy(Held),
    End(End),
    /// The room has ended, and has told the outbox how the connection does.
    RoomEnded,
}

/// A message that waits for the room.
enum Held {
    Text(String),
    Bytes(Vec<u8>),
}

struct Link {
    stream: Rc<Stream>,
    io: Rc<Io>,
    turns: Rc<Turns>,
    outbox: Rc<Outbox>,
    decoder: RefCell<Decoder>,
    /// What has been read and not handled, because the room was busy or the client does not read.
    backlog: RefCell<Vec<u8>>,
    /// Whether anything has come from the client since the heartbeat last looked.
    heard: Cell<bool>,
    /// Whether others go first: the last read brought as much as it could, or what it brought takes longer than a turn.
    greedy: Cell<bool>,
    /// Whether one of the client's messages is being handled.
    in_event: Cell<bool>,
    /// Whether the conversation is over, so that no further message is to be handled.
    ended: Cell<bool>,
}

impl Link {
    /// A client's stay in a room: `connect`, its messages, and `disconnect` exactly once, however it ended.
    async fn attend<F: StateroomServiceFactory>(
        &self,
        room: &Rc<Room<F>>,
        client: ClientId,
        info: Box<ClientInfo>,
        settings: &Settings,
    ) {
        // What this takes is free again while the client is in the room, and so is everything below that is boxed: a
        // connection that waits takes no more memory than waiting needs.
        if !Box::pin(self.arrive(room, client, info)).await {
            return;
        }
        log::debug!("room {}: client {client} has come", room.id());
        let mut reading = pin!(self.read(room, client));
        let end = {
            let mut keeping_time = pin!(self.keep_time(settings));
            let ending = poll_fn(|cx| self.outbox.poll_end(cx));
            let mut ending = pin!(async {
                match ending.await {
                    Some(close) => End::Close(close),
                    None => End::Gone,
                }
            });
            poll_fn(|cx| {
                let parts: [Pin<&mut dyn Future<Output = End>>; 3] =
                    [reading.as_mut(), keeping_time.as_mut(), ending.as_mut()];
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
        self.ended.set(true);
        let farewell = match end {
            End::Gone => {
                log::debug!("room {}: client {client} has gone", room.id());
                Farewell::None
            }
            End::Answered(close) => {
                log::debug!("room {}: client {client} has said goodbye", room.id());
                Farewell::Close(close)
            }
            End::Close(close) => {
                // The reason may be the guest's, and may say anything.
                let Close { code, reason } = &close;
                log::debug!("room {}: client {client} is let go: {reason:?} ({code})", room.id());
                Farewell::Close(Some(close))
            }
        };
        // The room need not wait for the client's last words, nor the client for the room. An event that has
        // begun comes to its end.
        let departure = async {
            if self.in_event.get() {
                reading.await;
            }
            room.event(Event::Disconnect(client)).await;
        };
        Box::pin(zip(self.part(farewell), departure)).await;
    }

    /// `connect`. Answers whether the client is in the room then; where it is not, it has been seen off.
    async fn arrive<F: StateroomServiceFactory>(
        &self,
        room: &Rc<Room<F>>,
        client: ClientId,
        info: Box<ClientInfo>,
    ) -> bool {
        room.await_connect(&self.outbox);
        let mut connecting = pin!(room.event(Event::Connect(client, Rc::clone(&self.outbox), info)));
        let connected = async { Ok(connecting.as_mut().await) };
        let ending = async { Err(poll_fn(|cx| self.outbox.poll_end(cx)).await) };
        match or(connected, ending).await {
            Ok(Outcome::Done | Outcome::Refused) => return true,
            Ok(Outcome::Ended) => self.part(Close::from(Rejection::RoomFailed).into()).await,
            // The room has no time for the client before the server ends, or the client goes. An event that has
            // begun comes to its end.
            Err(farewell) => {
                let stay = async {
                    if connecting.await != Outcome::Ended {
                        room.event(Event::Disconnect(client)).await;
                    }
                };
                zip(self.part(farewell.map_or(Farewell::None, Farewell::from)), stay).await;
            }
        }
        false
    }

    /// Handles what the client says, in order.
    async fn read<F: StateroomServiceFactory>(&self, room: &Rc<Room<F>>, client: ClientId) -> End {
        loop {
            // A client that does not read its answers is not heard until it does, and one that the room has closed
            // is not heard any more.
            poll_fn(|cx| self.outbox.poll_audience(cx)).await;
            let outcome = match poll_fn(|cx| self.poll_digest(cx, room, client)).await {
                Digested::Done => continue,
                Digested::End(end) => return end,
                Digested::RoomEnded => return pending().await,
                Digested::Unfinished(turn) => {
                    self.in_event.set(true);
                    Box::pin(room.complete(turn)).await
                }
                Digested::Busy(held) => {
                    let payload = match &held {
                        Held::Text(text) => MessagePayload::Text(text),
                        Held::Bytes(bytes) => MessagePayload::Bytes(bytes),
                    };
                    self.in_event.set(true);
                    Box::pin(room.event(Event::Message(client, &self.outbox, payload))).await
                }
            };
            self.in_event.set(false);
            if self.ended.get() {
                return End::Gone;
            }
            match outcome {
                Outcome::Done => {}
                Outcome::Refused => return refused(),
                Outcome::Ended => return pending().await,
            }
        }
    }

    /// Reads once, and handles what that brings as far as it goes without waiting.
    fn poll_digest<'r, F: StateroomServiceFactory>(
        &self,
        cx: &mut Context<'_>,
        room: &'r Rc<Room<F>>,
        client: ClientId,
    ) -> Poll<Digested<'r, F>> {
        ready!(self.poll_turn(cx));
        let mut backlog = self.backlog.take();
        if !backlog.is_empty() {
            return Poll::Ready(self.digest(&mut backlog, room, client));
        }
        let mut input = self.io.input();
        let Ok(size) = ready!(self.poll_read(cx, &mut input)) else {
            return Poll::Ready(Digested::End(End::Gone));
        };
        if size == 0 {
            return Poll::Ready(Digested::End(End::Gone));
        }
        self.heard.set(true);
        Poll::Ready(self.digest(&mut input[..size], room, client))
    }

    /// Lets others go first, if it is their turn.
    fn poll_turn(&self, cx: &Context<'_>) -> Poll<()> {
        if self.greedy.take() {
            self.turns.wake_later(cx);
            return Poll::Pending;
        }
        Poll::Ready(())
    }

    /// Reads once.
    fn poll_read(&self, cx: &mut Context<'_>, input: &mut [u8]) -> Poll<io::Result<usize>> {
        let read = ready!(self.stream.poll_read(cx, input));
        self.greedy.set(matches!(read, Ok(size) if size == input.len()));
        Poll::Ready(read)
    }

    /// Handles bytes as far as it goes without waiting. What is left goes to the backlog.
    fn digest<'r, F: StateroomServiceFactory>(
        &self,
        mut input: &mut [u8],
        room: &'r Rc<Room<F>>,
        client: ClientId,
    ) -> Digested<'r, F> {
        let mut decoder = self.decoder.borrow_mut();
        let (mut messages, mut turn_ends) = (0, None);
        loop {
            let payload = match decoder.next(&mut input) {
                Ok(None) => return Digested::Done,
                Ok(Some(Item::Message(payload))) => payload,
                Ok(Some(Item::Ping(data))) => {
                    self.outbox.push(&Frame::new(Opcode::Pong, data, false));
                    continue;
                }
                Ok(Some(Item::Pong)) => continue,
                Ok(Some(Item::Close(code))) => {
                    return Digested::End(End::Answered(code.map(|code| Close::new(code, ""))));
                }
                Err(violation) => return Digested::End(End::Close(violation.into())),
            };
            let stopped = match room.begin_message(client, &self.outbox, payload) {
                Begun::Over(Outcome::Done) => {
                    messages += 1;
                    let is_over = messages % UNTIMED == 0 && {
                        let now = Instant::now();
                        now >= *turn_ends.get_or_insert(now + TURN)
                    };
                    if !is_over && !self.outbox.is_half_full() {
                        continue;
                    }
                    self.greedy.set(is_over || self.greedy.get());
                    Digested::Done
                }
                Begun::Over(Outcome::Refused) => return Digested::End(refused()),
                Begun::Over(Outcome::Ended) => return Digested::RoomEnded,
                Begun::Unfinished(turn) => Digested::Unfinished(turn),
                Begun::Busy => Digested::Busy(match payload {
                    MessagePayload::Text(text) => Held::Text(text.into()),
                    MessagePayload::Bytes(bytes) => Held::Bytes(bytes.into()),
                }),
            };
            // Nobody knows when there is something to read again.
            decoder.forget_what_is_read();
            self.backlog.replace(input.to_vec());
            return stopped;
        }
    }

    /// Pings, and ends the conversation with a client that has been silent for too long.
    async fn keep_time(&self, settings: &Settings) -> End {
        let Settings { heartbeat_interval: interval, heartbeat_timeout: timeout, .. } = *settings;
        let mut last_heard = Instant::now();
        let mut next_ping = later(last_heard, interval);
        loop {
            let deadline = later(last_heard, timeout);
            let Some(next) = next_ping.into_iter().chain(deadline).min() else {
                return pending().await;
            };
            Timer::at(next).await;
            // Which may be later than it was to be, where the thread had a lot to do.
            let now = Instant::now();
            // While the room is busy with its message, the client is not heard, and not at fault.
            if self.heard.take() || self.in_event.get() {
                last_heard = now;
            } else if deadline.is_some_and(|deadline| deadline <= now) {
                return End::Close(Close::new(Close::AWAY, "nothing was heard from the client for too long"));
            }
            if next_ping.is_some_and(|ping| ping <= now) {
                self.outbox.push(&Frame::new(Opcode::Ping, &[], false));
                next_ping = later(now, interval);
            }
        }
    }

    /// Ends the connection: writes what waits and the close frame, and waits for the client's, but not for
    /// long.
    async fn part(&self, farewell: Farewell) {
        let goodbye = async {
            if let Farewell::Close(close) = farewell {
                self.outbox.push_close(close.as_ref());
            }
            // A client that says nothing more may still listen.
            poll_fn(|cx| self.outbox.poll_written(cx)).await.ok()?;
            // Closing a socket with unread bytes resets the connection, and then the client may never see the
            // close frame.
            self.stream.end_writing().ok()?;
            let read = |cx: &mut Context<'_>| {
                ready!(self.poll_turn(cx));
                self.poll_read(cx, &mut self.io.input())
            };
            while poll_fn(read).await.ok()? > 0 {}
            Some(())
        };
        let patience = async {
            Timer::after(FAREWELL).await;
            None
        };
        // In this order: a client that talks on does not put its end off.
        or(patience, goodbye).await;
    }
}

fn refused() -> End {
    End::Close(Close::new(Close::SIZE, "the room has no space for this message"))
}

impl From<Violation> for Close {
    fn from(violation: Violation) -> Self {
        match violation {
            Violation::Size => Self::new(Self::SIZE, "the message is too large"),
            Violation::Utf8 => Self::new(Self::INVALID, "the text is not UTF-8"),
            Violation::Protocol => Self::new(Self::PROTOCOL, "the client broke the protocol"),
        }
    }
}

/// The instant `delay` after `from`; nothing for no delay, which means never.
fn later(from: Instant, delay: Duration) -> Option<Instant> {
    from.checked_add(delay).filter(|_| !delay.is_zero())
}
