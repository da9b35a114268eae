use std::{
    cell::{Cell, RefCell},
    net::SocketAddr,
    time::{Duration, Instant},
};

use crate::{client_info::ClientInfo, reactor::Timer, room_id::RoomId};

use super::Place;

/// How long a client may take to send a request's head, or to take a piece of an answer, and how long an idle connection
/// is kept.
const PATIENCE: Duration = Duration::from_secs(30);

/// Where requests come from.
#[derive(Debug)]
pub(super) struct Peer {
    pub(super) address: SocketAddr,
    /// Until the connection becomes a WebSocket.
    pub(super) place: RefCell<Option<Place>>,
    /// The room that the connection becomes a WebSocket to, and what the client has brought with it.
    pub(super) visit: RefCell<Option<(RoomId, Box<ClientInfo>)>>,
    /// Whether a request is being answered.
    is_answered: Cell<bool>,
    /// When it was last given something.
    alive: Cell<Instant>,
}

impl Peer {
    pub(super) fn new(address: SocketAddr, place: Place) -> Self {
        Self {
            address,
            place: RefCell::new(Some(place)),
            visit: RefCell::default(),
            is_answered: Cell::new(false),
            alive: Cell::new(Instant::now()),
        }
    }

    /// Notes that a request is being answered, or has been.
    pub(super) fn set_answered(&self, is_answered: bool) {
        self.is_answered.set(is_answered);
        self.is_alive();
    }

    /// Notes that the peer has been given something.
    pub(super) fn is_alive(&self) {
        self.alive.set(Instant::now());
    }

    /// Ready when the peer has asked for nothing, or has not taken what it was given, for too long.
    pub(super) async fn lost_patience(&self) {
        loop {
            let since = if self.is_answered.get() { Instant::now() } else { self.alive.get() };
            if since.elapsed() >= PATIENCE {
                return;
            }
            Timer::at(since + PATIENCE).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{future::poll_fn, pin::pin, task::Poll};

    use super::*;
    use crate::{http::Places, reactor::Reactor};

    /// Whether a peer is given up that was last given something so long ago.
    fn is_given_up(ago: Duration, is_answered: bool) -> bool {
        let peer = Peer::new(([127, 0, 0, 1], 1).into(), Places::default().take());
        peer.set_answered(is_answered);
        peer.alive.set(Instant::now() - ago);
        let look = async {
            let mut given_up = pin!(peer.lost_patience());
            poll_fn(|cx| Poll::Ready(given_up.as_mut().poll(cx).is_ready())).await
        };
        Reactor::new().unwrap().block_on(look, || {})
    }

    #[test]
    fn who_asks_for_nothing_is_given_up_and_who_waits_for_an_answer_is_not() {
        assert!(!is_given_up(PATIENCE / 2, false));
        assert!(is_given_up(PATIENCE, false));
        assert!(!is_given_up(PATIENCE * 2, true));
    }
}
