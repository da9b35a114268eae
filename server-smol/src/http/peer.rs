use std::{
    cell::{Cell, RefCell},
    net::SocketAddr,
    rc::Rc,
    time::{Duration, Instant},
};

use crate::{
    reactor::{Clock, Timer},
    room::{ClientInfo, RoomId},
    worker::Permit,
};

/// How long a client may take to send a request's head, or to take a piece of an answer, and how long an idle connection
/// is kept.
const PATIENCE: Duration = Duration::from_secs(30);

/// Where requests come from.
#[derive(Debug)]
pub(super) struct Peer {
    pub(super) address: SocketAddr,
    /// Until the connection becomes a WebSocket.
    pub(super) permit: RefCell<Option<Permit>>,
    /// The room that the connection becomes a WebSocket to, and what the client has brought with it.
    pub(super) visit: RefCell<Option<(RoomId, Box<ClientInfo>)>>,
    /// Whether a request is being answered.
    is_answered: Cell<bool>,
    /// When it was last given something.
    alive: Cell<Instant>,
    clock: Rc<Clock>,
}

impl Peer {
    pub(super) fn new(address: SocketAddr, permit: Permit, clock: Rc<Clock>) -> Self {
        Self {
            address,
            permit: RefCell::new(Some(permit)),
            visit: RefCell::default(),
            is_answered: Cell::new(false),
            alive: Cell::new(clock.now()),
            clock,
        }
    }

    /// Notes that a request is being answered, or has been.
    pub(super) fn set_answered(&self, is_answered: bool) {
        self.is_answered.set(is_answered);
        self.note_alive();
    }

    /// Notes that the peer has been given something.
    pub(super) fn note_alive(&self) {
        self.alive.set(self.clock.now());
    }

    /// Whether the peer has asked for nothing, or has not taken what it was given, for too long.
    pub(super) fn is_overdue(&self) -> bool {
        self.deadline() <= self.clock.now()
    }

    /// Ready when the peer is [overdue](Self::is_overdue).
    pub(super) async fn lost_patience(&self) {
        while !self.is_overdue() {
            Timer::at(self.deadline()).await;
        }
    }

    fn deadline(&self) -> Instant {
        let since = if self.is_answered.get() { self.clock.now() } else { self.alive.get() };
        since + PATIENCE
    }
}

#[cfg(test)]
mod tests {
    use std::{
        future::{Future, poll_fn},
        io::Read as _,
        net::{TcpListener, TcpStream},
        pin::{Pin, pin},
        task::{Context, Poll, Waker},
    };

    use hyper::rt::Write as _;

    use super::*;
    use crate::{
        http::socket::Socket,
        reactor::{ClockSource, Stream, VirtualClock, block_on},
        settings::Settings,
        thread::Thread,
        worker::Permits,
    };

    fn peer(address: SocketAddr, clock: Clock) -> Peer {
        Peer::new(address, Permits::default().take(), Rc::new(clock))
    }

    /// Whether a peer is given up that was last given something so long ago.
    fn is_given_up(ago: Duration, is_answered: bool) -> bool {
        let moved = VirtualClock::new();
        let peer = peer(([127, 0, 0, 1], 1).into(), Clock::new(ClockSource::Virtual(moved.clone())));
        peer.set_answered(is_answered);
        moved.advance(ago);
        peer.clock.begin_pass();
        let look = async {
            let mut given_up = pin!(peer.lost_patience());
            poll_fn(|cx| Poll::Ready(given_up.as_mut().poll(cx).is_ready())).await
        };
        block_on(look)
    }

    #[test]
    fn who_asks_for_nothing_is_given_up_and_who_waits_for_an_answer_is_not() {
        assert!(!is_given_up(PATIENCE / 2, false));
        assert!(is_given_up(PATIENCE, false));
        assert!(!is_given_up(PATIENCE * 2, true));
    }

    #[test]
    fn who_takes_an_answer_little_by_little_is_not_given_up() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (stream, address) = listener.accept().unwrap();
        stream.set_nonblocking(true).unwrap();
        let look = async {
            let peer = Rc::new(peer(address, Clock::new(ClockSource::System)));
            let stream = Stream::new(stream).unwrap();
            let buffers = Rc::clone(&Thread::for_tests(Settings::default()).buffers);
            let mut socket = Socket { stream, buffers, peer: Rc::clone(&peer) };
            let mut takes_more = || {
                let cx = &mut Context::from_waker(Waker::noop());
                peer.clock.begin_pass();
                Pin::new(&mut socket).poll_write(cx, &[0; 64 << 10]).is_ready()
            };
            while takes_more() {}
            // Much less than what the system gives news of. Elsewhere than on Linux each write tries.
            client.read_exact(&mut vec![0; 256 << 10]).unwrap();
            #[cfg(epoll)]
            assert!(!takes_more());
            let begin = Instant::now();
            peer.alive.set(begin - PATIENCE);
            while !takes_more() {
                assert!(begin.elapsed() < PATIENCE, "there is space, and nobody looks");
            }
            assert!(!peer.is_overdue());
        };
        block_on(look);
    }
}
