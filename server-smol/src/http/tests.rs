use std::{
    io::{Read as _, Write as _},
    os::unix::net::UnixStream,
    rc::Rc,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use async_tungstenite::tungstenite::{Error, Message, Utf8Bytes, client};
use rustix::{io::ioctl_fionread, net::sockopt::set_socket_send_buffer_size};
use smol::{
    channel::{Receiver, Sender, unbounded},
    future::pending,
};
use stateroom_core::{ClientId, DefaultStateroomFactory, MessagePayload, StateroomContext, StateroomService};

use crate::{
    admission::Permits,
    close::CloseReason,
    control::Control,
    reactor::{AnyTransport, Clock, ClockSource, Reactor, Records},
    requests::Downloads,
    room::RoomId,
    settings::Settings,
    worker::{Command, NewJournal, Worker, Workers},
};

use super::{Shared, Site};

/// Sends each message back.
#[derive(Default)]
struct Echo;

impl StateroomService for Echo {
    fn message(&mut self, client: ClientId, message: MessagePayload<'_>, ctx: &impl StateroomContext) {
        ctx.send_message(client, message);
    }
}

/// The bytes that the system keeps of a connection at each of its ends: so few that the server has to wait for it.
const KERNEL: usize = 8 << 10;

/// A server with two threads, to the first of which connections come that bring their own transport.
struct TestServer {
    workers: Workers,
    arriving: Sender<AnyTransport>,
    /// Lets each thread begin.
    beginnings: Vec<Sender<NewJournal>>,
    threads: Vec<thread::JoinHandle<()>>,
}

impl TestServer {
    fn start() -> Self {
        let server = Self::prepare();
        server.begin();
        server
    }

    /// Starts a server that does not serve rooms yet.
    fn prepare() -> Self {
        let (senders, receivers): (Vec<_>, Vec<_>) = (0..2).map(|_| unbounded()).unzip();
        let workers = Workers::new(senders);
        let (arriving, arrived) = unbounded();
        let settings = Arc::new(Settings::default());
        let shared = Shared {
            permits: Permits::new(&settings),
            downloads: Downloads::new(1),
            is_replaced: false,
            #[cfg(feature = "tls")]
            tls_port: None,
            playground_port: None,
            settings,
            control: Control {
                workers: workers.clone(),
                started: Instant::now(),
                address: None,
                #[cfg(all(feature = "metrics", feature = "tls"))]
                tls: None,
                #[cfg(feature = "built-in")]
                playground: None,
                #[cfg(feature = "rooms")]
                token: None,
                #[cfg(feature = "rooms")]
                wrong_tokens: crate::control::WrongTokens::default(),
                #[cfg(feature = "wasm")]
                deployment: None,
            },
        };
        let (beginnings, begun): (Vec<_>, Vec<_>) = (0..2).map(|_| unbounded()).unzip();
        let threads = receivers.into_iter().zip(begun).enumerate().map(|(number, (commands, begun))| {
            let (shared, arrived) = (shared.clone(), arrived.clone());
            let arrived = if number == 0 { arrived } else { unbounded().1 };
            thread::spawn(move || run(number, &commands, shared, &arrived, &begun))
        });
        Self { threads: threads.collect(), workers, arriving, beginnings }
    }

    /// Lets it serve rooms, none of which are on disk.
    fn begin(&self) {
        self.beginnings.iter().for_each(|begin| begin.try_send(None).unwrap());
        self.workers.begin(None);
    }

    /// Returns the client's end of a new connection.
    fn connect(&self) -> Records {
        self.connect_watched().0
    }

    /// Returns the client's end of a new connection, and a copy of the server's.
    fn connect_watched(&self) -> (Records, UnixStream) {
        let (server, client) = UnixStream::pair().unwrap();
        server.set_nonblocking(true).unwrap();
        set_socket_send_buffer_size(&server, KERNEL).unwrap();
        client.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let copy = server.try_clone().unwrap();
        self.arriving.try_send(Box::new(Records::new(server)).into()).unwrap();
        (Records::new(client), copy)
    }

    /// Returns a room whose home is the thread of this number.
    fn room_of(&self, number: usize) -> String {
        let mut ids = (0..).map(|id: u32| id.to_string());
        ids.find(|id| self.workers.home(&RoomId::new(id).unwrap()) == number).unwrap()
    }

    fn end(self) {
        self.workers.end(&CloseReason::ServerShutdown);
        self.threads.into_iter().for_each(|thread| thread.join().unwrap());
    }
}

fn run(
    number: usize,
    commands: &Receiver<Command>,
    shared: Shared,
    arrived: &Receiver<AnyTransport>,
    begun: &Receiver<NewJournal>,
) {
    let clock = Rc::new(Clock::new(ClockSource::System));
    let poller = Reactor::new().unwrap().enter(&clock);
    let factory = Arc::new(DefaultStateroomFactory::<Echo>::default());
    let (settings, workers) = (Arc::clone(&shared.settings), shared.control.workers.clone());
    let worker = Worker::new(factory, settings, clock, Arc::default(), workers, number);
    let site = Rc::new(Site::new(shared, (Rc::clone(&worker), number)));
    let accepting = async {
        while let Ok(transport) = arrived.recv().await {
            site.serve(transport, ([127, 0, 0, 1], 1).into(), false).unwrap();
        }
        pending().await
    };
    worker.run(&poller, begun, commands.clone(), accepting);
}

#[test]
fn requests_are_answered_over_a_transport_that_holds_bytes_back() {
    let server = TestServer::start();
    let mut client = server.connect();
    for _ in 0..10 {
        client.write_all(b"GET /status?verbose HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
        client.flush().unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"}") {
            let mut bytes = [0; 100];
            let read = client.read(&mut bytes).unwrap();
            assert_ne!(read, 0);
            answer.extend(&bytes[..read]);
        }
        assert!(answer.starts_with(b"HTTP/1.1 200 OK\r\n"));
    }
    client.write_all(b"GET /none HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").unwrap();
    client.flush().unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 404 Not Found\r\n"), "{answer}");
    server.end();
}

#[test]
fn a_session_goes_over_a_transport_that_holds_bytes_back_on_either_thread() {
    let server = TestServer::start();
    for number in 0..2 {
        let address = format!("ws://a/ws/{}", server.room_of(number));
        let (mut client, _) = client::client(address, server.connect()).unwrap();
        let message = |size: usize| Message::text(Utf8Bytes::from("é".repeat(size)));
        let sizes = [0, 1, 60, 63, 5_000, 40_000, 2, 100_000, 7];
        for size in sizes {
            client.send(message(size)).unwrap();
            assert_eq!(client.read().unwrap(), message(size));
        }
        // Nothing is read until all is sent, the close frame included. The server's is the last that it writes.
        for size in sizes {
            client.send(message(size)).unwrap();
        }
        client.close(None).unwrap();
        for size in sizes {
            assert_eq!(client.read().unwrap(), message(size));
        }
        assert_eq!(client.read().unwrap(), Message::Close(None));
        assert!(matches!(client.read(), Err(Error::ConnectionClosed)));
    }
    server.end();
}

/// Reads an answer to its end, and returns its first line.
fn first_line(client: &mut Records) -> String {
    let mut answer = String::new();
    client.read_to_string(&mut answer).unwrap();
    answer.lines().next().unwrap_or_default().to_owned()
}

#[test]
fn a_server_is_not_ready_before_its_rooms_are_recovered_and_requests_wait_for_them() {
    let server = TestServer::prepare();
    let ask = |path: &str| {
        let mut client = server.connect();
        write!(client, "GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").unwrap();
        client.flush().unwrap();
        client
    };
    let mut waiting = ask("/status?verbose");
    for _ in 0..3 {
        assert_eq!(first_line(&mut ask("/ready")), "HTTP/1.1 503 Service Unavailable");
    }
    server.begin();
    assert_eq!(first_line(&mut waiting), "HTTP/1.1 200 OK");
    assert_eq!(first_line(&mut ask("/ready")), "HTTP/1.1 200 OK");
    server.end();
}

#[test]
fn those_who_wait_for_a_server_that_does_not_begin_are_told_that_it_ends() {
    let server = TestServer::prepare();
    let (mut waiting, servers_end) = server.connect_watched();
    write!(waiting, "GET /status HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").unwrap();
    waiting.flush().unwrap();
    // A connection with a request that was not read would be reset.
    while ioctl_fionread(&servers_end).unwrap() > 0 {
        thread::yield_now();
    }
    drop(servers_end);
    let mut client = server.connect();
    write!(client, "GET /ready HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").unwrap();
    client.flush().unwrap();
    assert_eq!(first_line(&mut client), "HTTP/1.1 503 Service Unavailable");
    let TestServer { beginnings, workers, threads, .. } = server;
    drop(beginnings);
    assert_eq!(first_line(&mut waiting), "HTTP/1.1 503 Service Unavailable");
    drop(workers);
    threads.into_iter().for_each(|thread| thread.join().unwrap());
}
