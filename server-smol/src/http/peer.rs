use std::{
    cell::{Cell, RefCell},
    io,
    net::{IpAddr, SocketAddr},
    rc::{Rc, Weak},
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use hyper::{
    Request,
    body::{Body as _, Incoming},
};

use crate::{
    admission::{Permit, TooFast},
    log_line::{About, ClientAddress, ConnectionId},
    memory::{Charge, OutOfMemory, Purpose},
    reactor::{Clock, Timer},
    requests::{self, DownloadPermit, Peer as _},
    room::{ClientInfo, RoomId, SessionRequest},
    subnet::Subnet,
};

#[cfg(feature = "proxy")]
use crate::admission::TooManyOfAddress;
#[cfg(feature = "compression")]
use crate::websocket::Agreement;

use super::PROTOCOL;

/// The time that a client has to send a request's head or to take a piece of an answer, and the time for which an
/// idle connection is kept.
const TIMEOUT: Duration = Duration::from_secs(30);

/// The memory of a connection that has not asked for anything, in bytes: its structures and its task.
pub(super) const SILENT: usize = 1 << 10;

/// The additional memory of a connection once it has asked for something, in bytes: the library's structures and its
/// buffers, and a request of usual size. So a connection that has been charged for this gets an answer.
const TALKING: usize = (14 << 10) + USUAL;
/// The bytes of a request of usual size.
const USUAL: usize = 1 << 10;

/// The memory of one header in the library's table, without its text, in bytes.
const HEADER: usize = 112;
/// The most bytes that the library may have read beyond a request: it reads as much as its buffer takes, which may have grown
/// to twice the size of a head.
const MOST_BEYOND: usize = 2 * PROTOCOL.head_size;

/// The peer that requests come from.
#[derive(Debug)]
pub(super) struct Peer {
    /// The id of its connection in the log.
    pub(super) connection: ConnectionId,
    address: Cell<SocketAddr>,
    /// True if the connection is one of a trusted proxy, so that each request says which client it comes from.
    #[cfg(feature = "proxy")]
    is_proxy: Cell<bool>,
    /// The client that the last request comes from, if it has come through a proxy.
    #[cfg(feature = "proxy")]
    client: Cell<Option<IpAddr>>,
    /// True if it has come to the port from which clients are led to the one for TLS.
    #[cfg_attr(
        not(any(feature = "tls", feature = "proxy")),
        expect(dead_code, reason = "there is no such port")
    )]
    pub(super) leads_to_tls: bool,
    /// True if it speaks TLS with this server.
    #[cfg(feature = "tls")]
    pub(super) is_secure: Cell<bool>,
    /// The permit of the connection, until it becomes a WebSocket.
    pub(super) permit: RefCell<Option<Permit>>,
    /// The visit to a room for which the connection becomes a WebSocket.
    pub(super) visit: RefCell<Option<Visit>>,
    /// The download that it is sent.
    download: RefCell<Weak<DownloadPermit>>,
    /// True if a request is being answered.
    is_answering: Cell<bool>,
    /// The time at which it was last given something.
    alive: Cell<Instant>,
    clock: Rc<Clock>,
    /// The charge for the connection's memory.
    memory: RefCell<Charge>,
    /// The number of bytes that have come of requests that are not answered.
    unanswered: Cell<usize>,
    /// The number of those that may be beyond the request that is being answered.
    beyond: Cell<usize>,
    /// The memory of that one's headers, in bytes.
    headers: Cell<usize>,
    /// True if there is such a request, and it has no content.
    is_whole: Cell<bool>,
    /// True until the answer to such a request has been written.
    is_owed_answer: Cell<bool>,
    /// The memory of what waits in a stream of events, in bytes at most.
    stream: Cell<usize>,
    /// True if the system has not taken what was written last.
    is_blocked: Cell<bool>,
    /// The waker of the connection's task, if it waits for the end of one of these.
    waker: RefCell<Option<Waker>>,
}

/// A client's visit to a room.
#[derive(Debug)]
pub(super) struct Visit {
    pub(super) room: RoomId,
    /// The information that the client has brought with it.
    pub(super) info: Box<ClientInfo>,
    pub(super) session: Option<Box<SessionRequest>>,
    #[cfg(feature = "compression")]
    pub(super) compression: Option<Agreement>,
}

/// A request, from its arrival until all of its answer has been written.
#[derive(Debug)]
pub(super) struct InProgress {
    peer: Rc<Peer>,
    /// Keeps the thread from ending, for a while.
    thread: RefCell<Option<Rc<()>>>,
    /// The part of the peer's [`stream`](Peer::stream) that this has.
    stream: Cell<usize>,
}

impl InProgress {
    /// Notes that the answer goes on as long as the client listens, and takes so much memory. The thread does not wait for its
    /// end.
    pub(super) fn note_stream(&self, size: usize) {
        self.peer.stream.update(|all| all + size);
        self.stream.update(|all| all + size);
        // Its end is that of the connection.
        self.peer.is_owed_answer.set(false);
        self.thread.take();
    }
}

impl Peer {
    pub(super) fn new(
        address: SocketAddr,
        connection: ConnectionId,
        permit: Permit,
        clock: Rc<Clock>,
        memory: Charge,
        leads_to_tls: bool,
    ) -> Self {
        Self {
            connection,
            address: Cell::new(address),
            #[cfg(feature = "proxy")]
            is_proxy: Cell::new(false),
            #[cfg(feature = "proxy")]
            client: Cell::new(None),
            leads_to_tls,
            #[cfg(feature = "tls")]
            is_secure: Cell::new(false),
            permit: RefCell::new(Some(permit)),
            visit: RefCell::default(),
            download: RefCell::default(),
            is_answering: Cell::new(false),
            alive: Cell::new(clock.now()),
            clock,
            memory: RefCell::new(memory),
            unanswered: Cell::new(0),
            beyond: Cell::new(0),
            headers: Cell::new(0),
            is_whole: Cell::new(false),
            is_owed_answer: Cell::new(false),
            stream: Cell::new(0),
            is_blocked: Cell::new(false),
            waker: RefCell::default(),
        }
    }

    /// Returns what a line of the log about it is about.
    pub(super) fn about(&self) -> About<'static> {
        About { address: Some(self.address()), ..About::connection(self.connection) }
    }

    /// Returns the address of the client: of the connection's other end, or what a trusted proxy says.
    pub(super) fn address(&self) -> ClientAddress {
        #[cfg(feature = "proxy")]
        if let Some(client) = self.client.get() {
            // Only the proxy knows its port.
            return ClientAddress(SocketAddr::new(client, 0));
        }
        ClientAddress(self.address.get())
    }

    /// Returns the IP address of the client.
    pub(super) fn ip(&self) -> IpAddr {
        self.address().0.ip()
    }

    /// Notes the address that a connection comes from, and whether that is a trusted proxy.
    #[cfg(feature = "proxy")]
    pub(super) fn set_address(&self, address: SocketAddr, is_proxy: bool) {
        self.address.set(address);
        self.is_proxy.set(is_proxy);
    }

    /// Notes the client that a request comes from.
    #[cfg(feature = "proxy")]
    pub(super) fn set_client(&self, client: IpAddr) {
        self.client.set(Some(client));
    }

    /// Returns the trusted proxy that the requests come from, if they do.
    #[cfg(feature = "proxy")]
    pub(super) fn proxy(&self) -> Option<IpAddr> {
        self.is_proxy.get().then(|| self.address.get().ip())
    }

    /// Counts the connection for its client.
    ///
    /// # Errors
    /// There are as many from there as there may be.
    #[cfg(feature = "proxy")]
    pub(super) fn count(&self) -> Result<(), TooManyOfAddress> {
        self.permit.borrow_mut().as_mut().map_or(Ok(()), |permit| permit.move_to(self.ip()))
    }

    /// Takes note of a client that asks for a room.
    ///
    /// # Errors
    /// It may not, as too many of its address ask.
    pub(super) fn join(&self) -> Result<(), TooFast> {
        let subnet = Subnet::of(self.ip());
        self.permit.borrow().as_ref().map_or(Ok(()), |permit| permit.join(subnet, self.clock.now()))
    }

    /// Charges the connection for what it takes to read requests.
    ///
    /// # Errors
    /// There is no memory for that.
    pub(super) fn charge_requests(&self) -> Result<(), OutOfMemory> {
        self.memory.borrow_mut().set(TALKING, Purpose::New)
    }

    /// Takes note of a request that is answered from now on. `thread` is kept from ending meanwhile.
    pub(super) fn begin_request(self: &Rc<Self>, thread: Rc<()>) -> InProgress {
        self.set_answering(true);
        self.set_idle(false);
        InProgress { peer: Rc::clone(self), thread: RefCell::new(Some(thread)), stream: Cell::new(0) }
    }

    /// Notes that a request has been answered, and takes no memory any more, except for a stream.
    pub(super) fn note_answered(&self) {
        self.set_answering(false);
        self.unanswered.set(self.beyond.get().min(MOST_BEYOND));
        self.headers.set(0);
        self.is_whole.set(false);
        // It is less than before, or a stream has begun, of which there are few.
        self.memory.borrow_mut().set_taken(self.requests_size());
    }

    /// Returns the memory that requests take, and what it takes to read them, in bytes.
    fn requests_size(&self) -> usize {
        TALKING + self.unanswered.get().saturating_sub(USUAL) + self.headers.get() + self.stream.get()
    }

    /// Returns the memory of the requests that have come, with their headers, in bytes.
    #[cfg(feature = "auth")]
    pub(super) fn request_size(&self) -> usize {
        self.unanswered.get() + self.headers.get()
    }

    /// Notes that the answer depends on others, who may be slow. If the peer writes no more, it has gone.
    #[cfg(feature = "auth")]
    pub(super) fn wait_for_others(&self) {
        if self.is_owed_answer.replace(false) {
            self.wake();
        }
    }

    /// Notes whether the connection has asked for nothing.
    pub(super) fn set_idle(&self, is_idle: bool) {
        self.permit.borrow_mut().iter_mut().for_each(|permit| permit.set_idle(is_idle));
    }

    /// Takes note of a room that the peer is about to create.
    ///
    /// # Errors
    /// It may not, as too many are created from its address.
    pub(super) fn create_room(&self) -> Result<(), TooFast> {
        let subnet = Subnet::of(self.ip());
        self.permit.borrow().as_ref().map_or(Ok(()), |permit| permit.create_room(subnet, self.clock.now()))
    }

    /// Returns whether others need its space.
    pub(super) fn is_evicted(&self) -> bool {
        self.poll_evicted(&Context::from_waker(Waker::noop())).is_ready()
    }

    /// Ready when the connection is to end, so that others have a place, or their download.
    pub(super) fn poll_evicted(&self, cx: &Context<'_>) -> Poll<()> {
        if let Some(download) = self.download.borrow().upgrade()
            && download.poll_evicted(cx).is_ready()
        {
            return Poll::Ready(());
        }
        self.permit.borrow().as_ref().map_or(Poll::Pending, |permit| permit.poll_evicted(cx))
    }

    /// Takes note of a download that it is sent.
    pub(super) fn set_download(&self, permit: &Rc<DownloadPermit>) {
        self.download.replace(Rc::downgrade(permit));
    }

    /// Waits until the peer takes what it is given. A peer that sends requests and takes no answers is not answered
    /// any more.
    pub(super) fn poll_unblocked(&self, cx: &Context<'_>) -> Poll<()> {
        self.poll_unless(&self.is_blocked, cx)
    }

    fn poll_unless(&self, flag: &Cell<bool>, cx: &Context<'_>) -> Poll<()> {
        if !flag.get() {
            return Poll::Ready(());
        }
        self.waker.replace(Some(cx.waker().clone()));
        Poll::Pending
    }

    fn wake(&self) {
        self.waker.take().into_iter().for_each(Waker::wake);
    }

    /// Notes whether a request is being answered.
    fn set_answering(&self, is_answering: bool) {
        self.is_answering.set(is_answering);
        self.note_alive();
    }

    /// Ready when the peer is [overdue](Self::is_overdue).
    pub(super) async fn lost_patience(&self) {
        while !self.is_overdue() {
            Timer::at(self.deadline()).await;
        }
    }

    fn deadline(&self) -> Instant {
        let since = if self.is_answering.get() { self.clock.now() } else { self.alive.get() };
        since + TIMEOUT
    }
}

impl requests::Peer for Peer {
    fn charge_read(&self, bytes: usize) -> io::Result<()> {
        self.unanswered.set(self.unanswered.get() + bytes);
        self.beyond.set(self.beyond.get() + bytes);
        let charged = self.memory.borrow_mut().set(self.requests_size(), Purpose::New);
        charged.map_err(|OutOfMemory| io::ErrorKind::OutOfMemory.into())
    }

    fn note_request(&self, request: &Request<Incoming>) {
        let headers = request.headers();
        // Those that have the name of another one are in a table of their own.
        let count = headers.capacity() + (headers.len() - headers.keys_len());
        self.headers.set(HEADER * count);
        self.is_whole.set(request.body().is_end_stream());
        self.is_owed_answer.set(self.is_whole.get());
        self.beyond.set(self.unanswered.get());
        self.memory.borrow_mut().set_taken(self.requests_size());
    }

    fn note_reading(&self) {
        if self.is_whole.get() {
            self.beyond.set(0);
        }
    }

    fn poll_answered(&self, cx: &Context<'_>) -> Poll<()> {
        self.poll_unless(&self.is_owed_answer, cx)
    }

    fn set_blocked(&self, is_blocked: bool) {
        self.is_blocked.set(is_blocked);
        if !is_blocked {
            self.wake();
        }
    }

    fn note_alive(&self) {
        self.alive.set(self.clock.now());
    }

    fn is_overdue(&self) -> bool {
        self.deadline() <= self.clock.now()
    }
}

impl Drop for InProgress {
    fn drop(&mut self) {
        let peer = &self.peer;
        if peer.is_owed_answer.replace(false) {
            peer.wake();
        }
        if self.stream.get() > 0 {
            peer.stream.update(|all| all - self.stream.get());
            peer.memory.borrow_mut().set_taken(peer.requests_size());
        }
        // One that becomes a WebSocket has asked for all that it wants.
        if peer.visit.borrow().is_none() {
            peer.set_idle(true);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        future::{Future, pending, poll_fn},
        io::{Read as _, Write as _},
        net::{TcpListener, TcpStream},
        pin::{Pin, pin},
    };

    use hyper::{StatusCode, rt::Write as _};
    use smol::future::or;

    use super::*;
    use crate::{
        admission::Permits,
        memory::Ledger,
        reactor::{ClockSource, Stream, VirtualClock, block_on},
        requests::{Socket, serve, text},
        settings::Settings,
        thread::Thread,
    };

    fn peer(address: SocketAddr, clock: Clock) -> Peer {
        let permit = Permits::new(&Settings::default()).take(address.ip()).unwrap();
        Peer::new(
            address,
            ConnectionId::next(),
            permit,
            Rc::new(clock),
            Ledger::new(1 << 20).empty_charge(),
            false,
        )
    }

    /// Returns whether the server gives up a peer that was last given something so long ago.
    fn is_given_up(ago: Duration, is_answering: bool) -> bool {
        let moved = VirtualClock::new();
        let peer = peer(([127, 0, 0, 1], 1).into(), Clock::new(ClockSource::Virtual(moved.clone())));
        peer.set_answering(is_answering);
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
        assert!(!is_given_up(TIMEOUT / 2, false));
        assert!(is_given_up(TIMEOUT, false));
        assert!(!is_given_up(TIMEOUT * 2, true));
    }

    #[test]
    fn a_stream_is_charged_until_it_ends() {
        let peer = Rc::new(peer(([127, 0, 0, 1], 1).into(), Clock::new(ClockSource::System)));
        let used = || peer.memory.borrow().ledger().used();
        let streams = [peer.begin_request(Rc::default()), peer.begin_request(Rc::default())];
        for (stream, all) in streams.iter().zip([1 << 17, 2 << 17]) {
            stream.note_stream(1 << 17);
            peer.note_answered();
            assert_eq!(used(), TALKING + all);
        }
        drop(streams);
        assert_eq!(used(), TALKING);
    }

    #[test]
    fn a_request_waits_until_the_answers_before_it_are_taken() {
        let peer = peer(([127, 0, 0, 1], 1).into(), Clock::new(ClockSource::System));
        let is_answering = || peer.poll_unblocked(&Context::from_waker(Waker::noop())).is_ready();
        assert!(is_answering());
        peer.set_blocked(true);
        assert!(!is_answering() && peer.waker.borrow().is_some());
        peer.set_blocked(false);
        assert!(is_answering() && peer.waker.borrow().is_none());
    }

    #[test]
    fn requests_are_charged_with_their_headers_and_with_what_is_read_beyond_them() {
        const HEADERS: usize = 90;
        let headers = (0..HEADERS).map(|number| format!("x{number}: {}\r\n", "x".repeat(100)));
        let head = format!("GET / HTTP/1.1\r\n{}\r\n", headers.collect::<String>());
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (stream, address) = listener.accept().unwrap();
        stream.set_nonblocking(true).unwrap();
        block_on(async {
            let peer = Rc::new(peer(address, Clock::new(ClockSource::System)));
            let used = || peer.memory.borrow().ledger().used();
            let buffers = Rc::clone(&Thread::for_tests(Settings::default()).buffers);
            let socket =
                Socket { stream: Stream::new(stream).unwrap(), buffers, peer: Rc::<Peer>::clone(&peer) };
            let least = TALKING - USUAL + head.len() + HEADERS * HEADER;
            let asked = Cell::new(0);
            let mut served = pin!(serve(socket, PROTOCOL, async |request| {
                asked.set(asked.get() + 1);
                assert!(used() >= least, "{} of {least}", used());
                if asked.get() == 4 {
                    return pending().await;
                }
                drop(request);
                peer.note_answered();
                text(StatusCode::OK, "hello")
            }));
            let mut serve_until = async |done: &dyn Fn() -> bool| {
                let waiting = poll_fn(|cx| {
                    assert!(served.as_mut().poll(cx).is_pending());
                    if done() { Poll::Ready(()) } else { Poll::Pending }
                });
                or(waiting, async {
                    Timer::after(TIMEOUT).await;
                    panic!("{} requests have come, {} bytes", asked.get(), used());
                })
                .await;
            };
            // Nothing is left of one that comes alone.
            client.write_all(head.as_bytes()).unwrap();
            serve_until(&|| asked.get() == 1 && used() == TALKING).await;
            // The last of these is not answered, and another one is read meanwhile.
            client.write_all(head.repeat(3).as_bytes()).unwrap();
            client.write_all(&head.as_bytes()[..USUAL]).unwrap();
            serve_until(&|| asked.get() == 4).await;
            let least = least + USUAL;
            assert!((least..least + MOST_BEYOND).contains(&used()), "{} of {least}", used());
        });
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
            let mut socket = Socket { stream, buffers, peer: Rc::<Peer>::clone(&peer) };
            let mut takes_more = || {
                let cx = &mut Context::from_waker(Waker::noop());
                peer.clock.begin_pass();
                Pin::new(&mut socket).poll_write(cx, &[0; 64 << 10]).is_ready()
            };
            while takes_more() {}
            // Much less than what the system gives news of.
            client.read_exact(&mut vec![0; 256 << 10]).unwrap();
            // Elsewhere each write tries.
            assert!(!takes_more() || cfg!(not(epoll)));
            let begin = Instant::now();
            peer.alive.set(begin - TIMEOUT);
            while !takes_more() {
                assert!(begin.elapsed() < TIMEOUT, "there is space, and nobody looks");
            }
            assert!(!peer.is_overdue());
        };
        block_on(look);
    }
}
