use std::{
    io::{BufReader, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    sync::{Arc, Weak},
    thread,
    time::Duration,
};

use smol::{
    Timer, block_on,
    future::{or, pending},
};
use stateroom_host_min::Program;
use stateroom_sdk_core::engine::{EngineContext, EngineFactory};
use stateroom_server_smol::{Replacement, RoomInfo, Server, ServerHandle, Stats, VirtualClock};

use crate::{Answer, Client, PATIENCE, eventually, records};

/// Returns a server on this machine alone, on a port that nobody else has.
pub fn server() -> Server {
    Server::new().with_ip(Ipv4Addr::LOCALHOST).with_port(0)
}

/// A server in this process, on threads of its own. Dropping it ends it.
#[derive(Debug)]
pub struct TestServer {
    handle: Option<ServerHandle>,
    clock: Option<VirtualClock>,
    /// A handle whose other end the server's threads hold.
    threads: Weak<()>,
}

/// Makes what another factory makes, and is dropped with the last thread that has it.
struct Watched<F> {
    factory: F,
    _threads: Arc<()>,
}

impl<F: EngineFactory> EngineFactory for Watched<F> {
    type Engine = F::Engine;
    type Error = F::Error;

    fn build(&self, room_id: &str, context: &impl EngineContext) -> Result<F::Engine, F::Error> {
        self.factory.build(room_id, context)
    }

    fn room_size(&self) -> usize {
        self.factory.room_size()
    }
}

impl TestServer {
    /// Serves with default settings.
    #[track_caller]
    pub fn new(factory: impl EngineFactory) -> Self {
        Self::with(server(), factory)
    }

    /// Serves with the settings of `server`.
    #[track_caller]
    pub fn with(server: Server, factory: impl EngineFactory) -> Self {
        Self::start(server, factory, None)
    }

    /// Serves with the settings of `server`, on a clock that stands still but for [`pass`](Self::pass).
    ///
    /// Whatever waits for a time waits from the moment on at which the server gets to it, so that a test has an answer
    /// before it moves the clock.
    #[track_caller]
    pub fn with_clock(server: Server, factory: impl EngineFactory) -> Self {
        let clock = VirtualClock::new();
        Self::start(server.with_clock(clock.clone()), factory, Some(clock))
    }

    /// Serves guests on a clock that stands still, as the command does: their [program can be
    /// replaced](ServerHandle::replace_program).
    #[track_caller]
    pub fn guests(server: Server, program: Program) -> Self {
        records::install();
        let clock = VirtualClock::new();
        let server = server.with_clock(clock.clone());
        let listener = server.bind().expect("the system has a port");
        let handle = server.start_guests(program, listener).expect("the system has threads");
        Self { handle: Some(handle), clock: Some(clock), threads: Weak::new() }
    }

    /// Replaces the program of all rooms.
    #[track_caller]
    pub fn replace(&self, program: &Program) -> Replacement {
        block_on(self.handle().replace_program(program.clone())).expect("it runs")
    }

    #[track_caller]
    fn start(server: Server, factory: impl EngineFactory, clock: Option<VirtualClock>) -> Self {
        records::install();
        let listener = server.bind().expect("the system has a port");
        let alive = Arc::new(());
        let threads = Arc::downgrade(&alive);
        let factory = Watched { factory, _threads: alive };
        let handle = server.start(factory, listener).expect("the system has threads");
        Self { handle: Some(handle), clock, threads }
    }

    /// Moves the clock.
    ///
    /// # Panics
    /// It moves by itself.
    #[track_caller]
    pub fn pass(&self, time: Duration) {
        self.clock.as_ref().expect("the server has a clock that stands still").advance(time);
    }

    /// Returns the server as the program sees it that it is a part of.
    #[must_use]
    pub fn handle(&self) -> &ServerHandle {
        self.handle.as_ref().expect("it runs until it is stopped")
    }

    /// Returns the address that it listens on.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.handle().address()
    }

    /// Connects a client to a room; `room` stands in the path as it is.
    #[track_caller]
    pub fn client(&self, room: &str) -> Client {
        self.connect(&format!("/ws/{room}")).unwrap_or_else(|answer| panic!("no upgrade: {answer:?}"))
    }

    /// Opens a WebSocket at any path.
    ///
    /// # Errors
    /// What the server answered, if that was no upgrade.
    #[track_caller]
    pub fn connect(&self, path: &str) -> Result<Client, Box<Answer>> {
        Client::connect(self.address(), path)
    }

    /// Sends a request without content. `headers` are whole lines.
    #[track_caller]
    pub fn request(&self, method: &str, path: &str, headers: &[&str]) -> Answer {
        request(self.address(), method, path, headers)
    }

    /// Sends a `GET` request.
    #[track_caller]
    pub fn get(&self, path: &str) -> Answer {
        self.request("GET", path, &[])
    }

    /// Sends a `POST` request.
    #[track_caller]
    pub fn post(&self, path: &str) -> Answer {
        self.request("POST", path, &["Content-Length: 0"])
    }

    /// Returns what `/status?verbose` says.
    #[track_caller]
    pub fn status(&self) -> serde_json::Value {
        status(self.address())
    }

    /// Returns the rooms that there are, with the ids of their clients.
    #[track_caller]
    pub fn rooms(&self) -> Vec<(String, Vec<u32>)> {
        self.room_infos()
            .into_iter()
            .map(|room| (room.id, room.clients.into_iter().map(u32::from).collect()))
            .collect()
    }

    /// Returns the rooms that there are.
    #[track_caller]
    pub fn room_infos(&self) -> Vec<RoomInfo> {
        block_on(self.handle().rooms(None, usize::MAX)).expect("it runs")
    }

    /// Returns how much there is.
    #[track_caller]
    pub fn stats(&self) -> Stats {
        block_on(self.handle().stats()).expect("it runs")
    }

    /// Waits until there are so many clients in all rooms together.
    #[track_caller]
    pub fn wait_for_clients(&self, count: usize) {
        eventually(&format!("{count} clients"), || self.stats().clients == count);
    }

    /// Waits until there are so many rooms.
    #[track_caller]
    pub fn wait_for_rooms(&self, count: usize) {
        eventually(&format!("{count} rooms"), || self.stats().rooms == count);
    }

    /// Stops it while the clock goes on slowly, and returns how far the clock went.
    ///
    /// # Panics
    /// It does not end, or its clock is not one that stands still.
    #[track_caller]
    pub fn stop(mut self) -> Duration {
        const STEP: Duration = Duration::from_millis(5);
        self.handle().begin_shutdown();
        let mut steps = 0;
        eventually("the server ends", || {
            let has_ended = self.threads.strong_count() == 0;
            if !has_ended {
                self.pass(STEP);
                steps += 1;
                // So that the threads get to what there is to do, however busy the machine is.
                thread::sleep(STEP * steps / 2);
            }
            has_ended
        });
        self.end();
        STEP * steps
    }

    /// Ends it, and does not care how far the clock goes.
    #[track_caller]
    fn end(&mut self) {
        let Some(handle) = self.handle.take() else { return };
        let clock = self.clock.clone();
        let time_passes = async {
            let Some(clock) = clock else { return pending().await };
            loop {
                Timer::after(Duration::from_millis(1)).await;
                clock.advance(Duration::from_millis(100));
            }
        };
        block_on(or(handle.shutdown(), time_passes)).expect("the server ends well");
    }
}

/// Returns what `/status?verbose` of a server says.
#[track_caller]
#[must_use]
pub fn status(address: SocketAddr) -> serde_json::Value {
    serde_json::from_slice(&request(address, "GET", "/status?verbose", &[]).body).expect("JSON")
}

/// Sends a request without content to a server, and returns the answer. `headers` are whole lines.
#[track_caller]
#[must_use]
pub fn request(address: SocketAddr, method: &str, path: &str, headers: &[&str]) -> Answer {
    let mut stream = TcpStream::connect(address).expect("the server takes connections");
    stream.set_read_timeout(Some(PATIENCE)).expect("not zero");
    let mut request = format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n");
    for header in headers {
        request += header;
        request += "\r\n";
    }
    request += "\r\n";
    stream.write_all(request.as_bytes()).expect("a request can be sent");
    Answer::read(&mut BufReader::new(stream), method)
}

impl Drop for TestServer {
    fn drop(&mut self) {
        if !thread::panicking() {
            self.end();
        }
    }
}
