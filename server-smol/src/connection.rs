//! A client's connection, from the upgrade to the end.

use std::{
    future::{Future, poll_fn},
    pin::{Pin, pin},
    rc::Rc,
    task::Poll,
    time::{Duration, Instant},
};

use smol::future::{or, pending, zip};
use stateroom_sdk_core::{ClientId, engine::EngineFactory};

use crate::{
    client_info::ClientInfo,
    conversation::{Conversation, End},
    link::{Farewell, Link},
    outbox::Frame,
    reactor::Timer,
    room::{Event, Outcome, Room},
    settings::Settings,
    websocket::{Close, Opcode},
};

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

/// Serves a connection until it ends. `read_ahead` is what has been read of it beyond the HTTP request;
/// `place` is its room, which it has [entered](Room::enter), and its client, who has brought `info` with it.
pub(crate) async fn serve<F: EngineFactory>(
    link: Link,
    read_ahead: Vec<u8>,
    info: Box<ClientInfo>,
    place: Result<(Rc<Room<F>>, ClientId), Rejection>,
    settings: &Settings,
) {
    match place {
        Err(rejection) => Box::pin(link.part(Close::from(rejection).into())).await,
        Ok((room, client)) => {
            let conversation = Conversation::new(link, room, client, read_ahead, settings.message_size);
            attend(&conversation, info, settings).await;
            conversation.room.leave();
        }
    }
}

/// A client's stay in a room: `connect`, its messages, and `disconnect` exactly once, however it ended.
async fn attend<F: EngineFactory>(
    conversation: &Rc<Conversation<F>>,
    info: Box<ClientInfo>,
    settings: &Settings,
) {
    let (room, client) = (&conversation.room, conversation.client);
    let Conversation { link, .. } = &**conversation;
    // What this takes is free again while the client is in the room, and so is everything below that is boxed: a
    // connection that waits takes no more memory than waiting needs.
    if !Box::pin(arrive(link, room, client, info)).await {
        return;
    }
    log::debug!("room {}: client {client} has come", room.id());
    let mut reading = pin!(conversation.run());
    let end = {
        let mut keeping_time = pin!(keep_time(conversation, settings));
        let ending = poll_fn(|cx| link.outbox.poll_end(cx));
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
    conversation.end();
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
        if conversation.is_in_event() {
            reading.await;
        }
        room.event(Event::Disconnect(client)).await;
    };
    Box::pin(zip(link.part(farewell), departure)).await;
}

/// `connect`. Answers whether the client is in the room then; where it is not, it has been seen off.
async fn arrive<F: EngineFactory>(
    link: &Link,
    room: &Rc<Room<F>>,
    client: ClientId,
    info: Box<ClientInfo>,
) -> bool {
    room.await_connect(&link.outbox);
    let mut connecting = pin!(room.event(Event::Connect(client, Rc::clone(&link.outbox), info)));
    let connected = async { Ok(connecting.as_mut().await) };
    let ending = async { Err(poll_fn(|cx| link.outbox.poll_end(cx)).await) };
    match or(connected, ending).await {
        Ok(Outcome::Done | Outcome::Refused) => return true,
        Ok(Outcome::Ended) => link.part(Close::from(Rejection::RoomFailed).into()).await,
        // The room has no time for the client before the server ends, or the client goes. An event that has
        // begun comes to its end.
        Err(farewell) => {
            let stay = async {
                if connecting.await != Outcome::Ended {
                    room.event(Event::Disconnect(client)).await;
                }
            };
            zip(link.part(farewell.map_or(Farewell::None, Farewell::from)), stay).await;
        }
    }
    false
}

/// Pings, and ends the conversation with a client that has been silent for too long.
async fn keep_time<F: EngineFactory>(conversation: &Conversation<F>, settings: &Settings) -> End {
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
        if conversation.take_heard() {
            last_heard = now;
        } else if deadline.is_some_and(|deadline| deadline <= now) {
            return End::Close(Close::new(Close::AWAY, "nothing was heard from the client for too long"));
        }
        if next_ping.is_some_and(|ping| ping <= now) {
            conversation.link.outbox.push(&Frame::new(Opcode::Ping, &[]));
            next_ping = later(now, interval);
        }
    }
}

/// The instant `delay` after `from`; nothing for no delay, which means never.
fn later(from: Instant, delay: Duration) -> Option<Instant> {
    from.checked_add(delay).filter(|_| !delay.is_zero())
}
