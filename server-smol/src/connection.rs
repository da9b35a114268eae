//! A client's connection, from the upgrade to the end.

use std::{
    cell::{Cell, RefCell},
    future::poll_fn,
    io,
    pin::{Pin, pin},
    rc::Rc,
    task::Poll,
    time::{Duration, Instant},
};

use async_tungstenite::{
    WebSocketStream,
    tungstenite::{
        Bytes, Error, Message,
        error::ProtocolError,
        protocol::{CloseFrame, Role, WebSocketConfig, frame::coding::CloseCode},
    },
};
use futures_sink::Sink as _;
use smol::{
    future::{Future, or, pending, yield_now, zip},
    io::AsyncRead as _,
    stream::Stream as _,
};
use stateroom_sdk_core::{ClientId, MessagePayload, StateroomServiceFactory};

use crate::{
    client_info::ClientInfo,
    outbox::{Outbox, close},
    reactor::Timer,
    room::{Event, Outcome, Room},
    settings::Settings,
    socket::Socket,
};

/// Enough for many small frames, little enough for many connections: the library's default is 128 KiB each.
const READ_BUFFER: usize = 4 << 10;
/// So much is gathered before it is written; a flush writes less.
const WRITE_BUFFER: usize = 16 << 10;
/// After so many messages in a row a connection lets others run, however many more have come in.
const BUDGET: u32 = 64;
/// How long a client has to take its last messages and to answer the close frame.
const FAREWELL: Duration = Duration::from_secs(1);

/// Why a connection gets no room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rejection {
    NoSuchRoom,
    RoomFailed,
    NoMoreIds,
    TooManyRooms,
}

impl From<Rejection> for CloseFrame {
    fn from(rejection: Rejection) -> Self {
        match rejection {
            Rejection::NoSuchRoom => close(CloseCode::Policy, "the room does not exist"),
            Rejection::RoomFailed => close(CloseCode::Error, "the room failed"),
            Rejection::TooManyRooms => close(CloseCode::Again, "the server has no space for another room"),
            Rejection::NoMoreIds => close(CloseCode::Again, "the room has run out of client ids"),
        }
    }
}

/// Serves a connection until it ends. `read_ahead` is what has been read of it beyond the HTTP request;
/// `place` is its room, which it has [entered](Room::enter), and its client, who has brought `info` with it.
pub(crate) async fn serve<F: StateroomServiceFactory>(
    socket: Socket,
    read_ahead: Vec<u8>,
    info: Box<ClientInfo>,
    place: Result<(Rc<Room<F>>, ClientId), Rejection>,
    settings: &Settings,
) {
    let config = WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER)
        .write_buffer_size(WRITE_BUFFER)
        // Answers to pings go past the outbox. A message never meets this limit where the client reads.
        .max_write_buffer_size(settings.outbox_size.saturating_add(WRITE_BUFFER + READ_BUFFER))
        .max_message_size(Some(settings.message_size))
        .max_frame_size(Some(settings.message_size));
    let ws = WebSocketStream::from_partially_read(socket, read_ahead, Role::Server, Some(config)).await;
    let link = Link {
        ws: RefCell::new(ws),
        outbox: Rc::new(Outbox::new(settings.outbox_size)),
        heard: Cell::new(false),
        throttled: Cell::new(false),
        in_event: Cell::new(false),
        ended: Cell::new(false),
    };
    match place {
        Err(rejection) => link.part(Some(rejection.into())).await,
        Ok((room, client)) => {
            link.attend(&room, client, info, settings).await;
            room.leave();
        }
    }
}

/// How a conversation ended.
enum End {
    /// The client has gone, or has said that it goes.
    Gone,
    /// The server ends it.
    Close(CloseFrame),
}

struct Link {
    ws: RefCell<WebSocketStream<Socket>>,
    outbox: Rc<Outbox>,
    /// Whether anything has come from the client since the heartbeat last looked.
    heard: Cell<bool>,
    /// Whether reading waits for the outbox to empty.
    throttled: Cell<bool>,
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
        // What this takes is free again while the client is in the room.
        if !self.arrive(room, client, info).await {
            return;
        }
        log::debug!("room {}: client {client} has come", room.id());
        let mut reading = pin!(self.read(room, client, settings));
        let end = {
            let mut keeping_time = pin!(self.keep_time(settings));
            let mut writing = pin!(self.write());
            poll_fn(|cx| {
                // All in one task: what the client's messages cause is written before the task sleeps. Hence
                // the order, and hence the outbox need not wake the task while it is here.
                self.outbox.attend(true);
                let end = loop {
                    let parts: [Pin<&mut dyn Future<Output = End>>; 3] =
                        [reading.as_mut(), keeping_time.as_mut(), writing.as_mut()];
                    let end = parts.into_iter().find_map(|part| match part.poll(cx) {
                        Poll::Ready(end) => Some(end),
                        Poll::Pending => None,
                    });
                    if end.is_some() || !self.throttled.get() || self.is_throttled(settings) {
                        break end;
                    }
                };
                self.outbox.attend(false);
                end.map_or(Poll::Pending, Poll::Ready)
            })
            .await
        };
        self.ended.set(true);
        let farewell = match end {
            End::Gone => {
                log::debug!("room {}: client {client} has gone", room.id());
                None
            }
            End::Close(frame) => {
                // The reason may be the guest's, and may say anything.
                let reason = frame.reason.as_str();
                log::debug!("room {}: client {client} is let go: {reason:?} ({})", room.id(), frame.code);
                Some(frame)
            }
        };
        // The room need not wait for the client's last words, nor the client for the room. An event that has
        // begun comes to its end.
        zip(self.part(farewell), async {
            if self.in_event.get() {
                reading.await;
            }
            room.event(Event::Disconnect(client)).await;
        })
        .await;
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
        match or(connected, async { Err(self.ending().await) }).await {
            Ok(Outcome::Done | Outcome::Refused) => return true,
            Ok(Outcome::Ended) => self.part(Some(Rejection::RoomFailed.into())).await,
            // The room has no time for the client before the server ends. An event that has begun comes to
            // its end.
            Err(farewell) => {
                let stay = async {
                    if connecting.await != Outcome::Ended {
                        room.event(Event::Disconnect(client)).await;
                    }
                };
                zip(self.part(Some(farewell)), stay).await;
            }
        }
        false
    }

    async fn read<F: StateroomServiceFactory>(
        &self,
        room: &Rc<Room<F>>,
        client: ClientId,
        settings: &Settings,
    ) -> End {
        let mut budget = BUDGET;
        loop {
            // A client that does not read its answers is not heard until it does, and one that the room has closed is
            // not heard any more.
            poll_fn(|_| {
                self.throttled.set(self.is_throttled(settings));
                let is_heard = !self.throttled.get() && !self.outbox.is_dismissed();
                if is_heard { Poll::Ready(()) } else { Poll::Pending }
            })
            .await;
            let message = match self.next_message().await {
                None => return End::Gone,
                Some(Err(error)) => return ending(&error),
                Some(Ok(message)) => message,
            };
            self.heard.set(true);
            budget -= 1;
            if budget == 0 {
                budget = BUDGET;
                yield_now().await;
            }
            let payload = match &message {
                Message::Text(text) => MessagePayload::Text(text),
                Message::Binary(bytes) => MessagePayload::Bytes(bytes),
                // The library answers these while it reads on.
                Message::Ping(_) | Message::Pong(_) | Message::Close(_) | Message::Frame(_) => continue,
            };
            self.in_event.set(true);
            let outcome = room.event(Event::Message(client, &self.outbox, payload)).await;
            self.in_event.set(false);
            if self.ended.get() {
                return End::Gone;
            }
            match outcome {
                Outcome::Done => {}
                Outcome::Refused => {
                    return End::Close(close(CloseCode::Size, "the room has no space for this message"));
                }
                // The room has told the outbox how the connection ends.
                Outcome::Ended => return pending().await,
            }
        }
    }

    fn is_throttled(&self, settings: &Settings) -> bool {
        self.outbox.size() > settings.outbox_size / 2
    }

    async fn write(&self) -> End {
        loop {
            poll_fn(|cx| self.outbox.poll_work(cx)).await;
            // A client that takes nothing in does not put off its own end.
            let ending = async {
                self.ending().await;
                Ok(())
            };
            if or(self.write_queue(), ending).await.is_err() {
                return End::Gone;
            }
            if let Some(frame) = self.outbox.ending() {
                return End::Close(frame);
            }
        }
    }

    /// Waits until it is known how the connection is to end.
    async fn ending(&self) -> CloseFrame {
        poll_fn(|cx| self.outbox.poll_ending(cx)).await
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
            let now = Timer::at(next).await;
            // While the room is busy with its message, the client is not heard, and not at fault.
            if self.heard.take() || self.in_event.get() {
                last_heard = now;
            } else if deadline.is_some_and(|deadline| deadline <= now) {
                return End::Close(close(CloseCode::Away, "nothing was heard from the client for too long"));
            }
            if next_ping.is_some_and(|ping| ping <= now) {
                self.outbox.push(Message::Ping(Bytes::new()));
                next_ping = later(now, interval);
            }
        }
    }

    /// Ends the connection: writes what waits and the close frame, and waits for the client's, but not for
    /// long.
    async fn part(&self, farewell: Option<CloseFrame>) {
        // On the heap, so that a connection has no room for its end until then.
        let goodbye = Box::pin(async {
            if let Some(frame) = farewell {
                self.write_queue().await.ok()?;
                self.ready().await.ok()?;
                self.start(Message::Close(Some(frame))).ok()?;
                self.flush().await.ok()?;
                while let Some(Ok(_)) = self.next_message().await {}
            }
            // Closing a socket with unread bytes resets the connection, and then the client may never see the
            // close frame.
            self.ws.borrow().get_ref().end_writing().ok()?;
            let mut unread = [0; 1024];
            while self.read_raw(&mut unread).await.ok()? > 0 {}
            Some(())
        });
        let patience = async {
            Timer::after(FAREWELL).await;
            None
        };
        // In this order: a client that talks on does not put its end off.
        or(patience, goodbye).await;
    }

    /// Writes everything that waits. Where this is dropped before it is done, nothing is lost.
    async fn write_queue(&self) -> Result<(), Error> {
        while !self.outbox.is_empty() {
            self.ready().await?;
            if let Some(message) = self.outbox.pop() {
                self.start(message)?;
            }
        }
        self.flush().await
    }

    async fn next_message(&self) -> Option<Result<Message, Error>> {
        poll_fn(|cx| Pin::new(&mut *self.ws.borrow_mut()).poll_next(cx)).await
    }

    async fn read_raw(&self, bytes: &mut [u8]) -> io::Result<usize> {
        poll_fn(|cx| Pin::new(self.ws.borrow_mut().get_mut()).poll_read(cx, bytes)).await
    }

    async fn ready(&self) -> Result<(), Error> {
        poll_fn(|cx| Pin::new(&mut *self.ws.borrow_mut()).poll_ready(cx)).await
    }

    fn start(&self, message: Message) -> Result<(), Error> {
        Pin::new(&mut *self.ws.borrow_mut()).start_send(message)
    }

    async fn flush(&self) -> Result<(), Error> {
        poll_fn(|cx| Pin::new(&mut *self.ws.borrow_mut()).poll_flush(cx)).await
    }
}

/// How the conversation ends for an error.
fn ending(error: &Error) -> End {
    match error {
        Error::Capacity(_) => End::Close(close(CloseCode::Size, "the message is too large")),
        Error::Utf8(_) => End::Close(close(CloseCode::Invalid, "the text is not UTF-8")),
        Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => End::Gone,
        Error::Protocol(_) => End::Close(close(CloseCode::Protocol, "the client broke the protocol")),
        _ => End::Gone,
    }
}

/// The instant `delay` after `from`; nothing for no delay, which means never.
fn later(from: Instant, delay: Duration) -> Option<Instant> {
    from.checked_add(delay).filter(|_| !delay.is_zero())
}
