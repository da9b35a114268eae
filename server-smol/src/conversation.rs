use std::{
    cell::{Cell, RefCell},
    fmt,
    future::poll_fn,
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    rc::{Rc, Weak},
    task::{Context, Poll, ready},
    time::Instant,
};

use smol::future::pending;
use stateroom_sdk_core::{ClientId, MessagePayload, engine::EngineFactory};

use crate::{
    link::Link,
    outbox::Frame,
    reactor::Listen,
    room::{Begun, Event, Outcome, Room},
    turn::{TURN, Turn},
    websocket::{Close, Decoder, Item, Opcode, Violation},
};

/// After how many messages from one read the clock is looked at, again and again: each may be over within a slice, and
/// all together take as long as thousands of slices.
const UNTIMED: usize = 8;

/// What a client says in a room.
///
/// While there is nothing to wait for, the socket's news lead here without a detour, and from here into the room. Only
/// what has to wait, for the room, for others or for the client, wakes the connection's task.
pub(crate) struct Conversation<F: EngineFactory> {
    pub(crate) link: Link,
    pub(crate) room: Rc<Room<F>>,
    pub(crate) client: ClientId,
    decoder: RefCell<Decoder>,
    /// What has been read and not handled, because the room was busy or the client does not read.
    backlog: RefCell<Vec<u8>>,
    /// What has come up while nobody waited for it.
    digested: RefCell<Option<Digested<F>>>,
    /// Whether anything has come from the client since the heartbeat last looked.
    heard: Cell<bool>,
    /// Whether one of the client's messages is being handled.
    in_event: Cell<bool>,
    /// Whether the conversation is over, so that no further message is to be handled.
    ended: Cell<bool>,
}

/// How a conversation ended.
#[derive(Debug)]
pub(crate) enum End {
    /// The client has gone.
    Gone,
    /// The client has said that it goes.
    Answered(Option<Close>),
    /// The server ends it.
    Close(Close),
}

/// What has come of the bytes that were read.
enum Digested<F: EngineFactory> {
    /// All of them have been handled, or wait until the client may be heard again.
    Done,
    /// A message takes longer than a slice, and has the room's turn.
    Unfinished(Turn<F>),
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

impl<F: EngineFactory> Conversation<F> {
    /// `read_ahead` is what has been read of the client beyond its request.
    pub(crate) fn new(
        link: Link,
        room: Rc<Room<F>>,
        client: ClientId,
        read_ahead: Vec<u8>,
        message_size: usize,
    ) -> Rc<Self> {
        Rc::new(Self {
            link,
            room,
            client,
            decoder: RefCell::new(Decoder::new(message_size)),
            backlog: RefCell::new(read_ahead),
            digested: RefCell::new(None),
            heard: Cell::new(false),
            in_event: Cell::new(false),
            ended: Cell::new(false),
        })
    }

    /// Handles what the client says, in order.
    pub(crate) async fn run(self: &Rc<Self>) -> End {
        loop {
            // A client that does not read its answers is not heard until it does, and one that the room has closed
            // is not heard any more.
            poll_fn(|cx| self.link.outbox.poll_audience(cx)).await;
            let outcome = match poll_fn(|cx| self.poll_digest(cx)).await {
                Digested::Done => continue,
                Digested::End(end) => return end,
                Digested::RoomEnded => return pending().await,
                Digested::Unfinished(turn) => {
                    self.in_event.set(true);
                    Box::pin(turn.go_on()).await
                }
                Digested::Busy(held) => {
                    let payload = match &held {
                        Held::Text(text) => MessagePayload::Text(text),
                        Held::Bytes(bytes) => MessagePayload::Bytes(bytes),
                    };
                    self.in_event.set(true);
                    let event = Event::Message(self.client, &self.link.outbox, payload);
                    Box::pin(self.room.event(event)).await
                }
            };
            self.in_event.set(false);
            // How it ended has been decided elsewhere, and this was only to be waited for.
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

    /// Has no further message be handled.
    pub(crate) fn end(&self) {
        self.ended.set(true);
    }

    /// Whether one of the client's messages is being handled.
    pub(crate) fn is_in_event(&self) -> bool {
        self.in_event.get()
    }

    /// Whether anything has come from the client since the last time. While the room is busy with its message, it is
    /// not heard, and not at fault.
    pub(crate) fn take_heard(&self) -> bool {
        self.heard.take() || self.in_event.get()
    }

    /// Waits for something that has to be waited for.
    fn poll_digest(self: &Rc<Self>, cx: &mut Context<'_>) -> Poll<Digested<F>> {
        if let Some(digested) = self.digested.take() {
            return Poll::Ready(digested);
        }
        ready!(self.link.poll_turn(cx));
        loop {
            if let Some(digested) = self.digest() {
                return Poll::Ready(digested);
            }
            if self.link.stream.poll_readable(cx).is_pending() {
                let listener: Weak<Self> = Rc::downgrade(self);
                self.link.stream.set_listener(listener);
                return Poll::Pending;
            }
        }
    }

    /// Reads once, and handles what that brings as far as it goes without waiting. Nothing where nothing has come.
    fn digest(&self) -> Option<Digested<F>> {
        let mut backlog = self.backlog.take();
        if !backlog.is_empty() {
            return Some(self.handle(&mut backlog));
        }
        let mut input = self.link.io.input();
        match self.link.try_read(&mut input) {
            Ok(0) => Some(Digested::End(End::Gone)),
            Ok(size) => {
                self.heard.set(true);
                Some(self.handle(&mut input[..size]))
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => None,
            Err(_) => Some(Digested::End(End::Gone)),
        }
    }

    /// Handles bytes as far as it goes without waiting. What is left goes to the backlog.
    fn handle(&self, mut input: &mut [u8]) -> Digested<F> {
        let outbox = &self.link.outbox;
        let mut decoder = self.decoder.borrow_mut();
        let (mut messages, mut turn_ends) = (0, None);
        loop {
            let payload = match decoder.next(&mut input) {
                Ok(None) => return Digested::Done,
                Ok(Some(Item::Message(payload))) => payload,
                Ok(Some(Item::Ping(data))) => {
                    outbox.push(&Frame::new(Opcode::Pong, data));
                    continue;
                }
                Ok(Some(Item::Pong)) => continue,
                Ok(Some(Item::Close(code))) => {
                    return Digested::End(End::Answered(code.map(|code| Close::new(code, ""))));
                }
                Err(violation) => return Digested::End(End::Close(violation.into())),
            };
            let stopped = match self.room.begin_message(self.client, outbox, payload) {
                Begun::Over(Outcome::Done) => {
                    messages += 1;
                    let is_over = messages % UNTIMED == 0 && {
                        let now = Instant::now();
                        now >= *turn_ends.get_or_insert(now + TURN)
                    };
                    if !is_over && !outbox.is_half_full() {
                        continue;
                    }
                    self.link.greedy.set(is_over || self.link.greedy.get());
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

    /// Reads and handles what has come. Answers whether that is all there is to do for now.
    fn take_in(&self) -> bool {
        while !self.has_to_wait() {
            match self.digest() {
                None => return true,
                Some(Digested::Done) => {}
                Some(digested) => {
                    self.digested.replace(Some(digested));
                    return false;
                }
            }
        }
        false
    }

    /// Whether the task has to see to what comes next: the conversation is over, others go first, the client is not
    /// heard for now, or what has been read is not all handled.
    fn has_to_wait(&self) -> bool {
        self.ended.get()
            || self.link.greedy.get()
            || !self.link.outbox.has_audience()
            || !self.backlog.borrow().is_empty()
    }
}

impl<F: EngineFactory> Listen for Conversation<F> {
    fn listen(&self) -> bool {
        let taken_in = catch_unwind(AssertUnwindSafe(|| self.take_in()));
        // It was a fault of this crate, and has been printed. Nobody but this client is to suffer, as in a task.
        taken_in.unwrap_or_else(|_| {
            self.digested.replace(Some(Digested::End(End::Gone)));
            false
        })
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

impl<F: EngineFactory> fmt::Debug for Conversation<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Conversation")
            .field("room", &self.room)
            .field("client", &self.client)
            .finish_non_exhaustive()
    }
}
