use std::{
    io::{BufReader, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    thread,
    time::{Duration, Instant},
};

use smol::block_on;
use stateroom_sdk_core::engine::EngineFactory;
use stateroom_server_smol::{RoomInfo, Server, ServerHandle, Stats};

use crate::{Answer, Client, PATIENCE, eventually, records};

/// A server on this machine alone, on a port that nobody else has.
pub fn server() -> Server {
    Server::new().with_ip(Ipv4Addr::LOCALHOST).with_port(0)
}

/// A server in this process, on a thread of its own. Dropping it ends it.
#[derive(Debug)]
pub struct TestServer {
    handle: Option<ServerHandle>,
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
        records::install();
        let listener = server.bind().expect("the system has a port");
        let handle = server.start(factory, listener).expect("the system has threads");
        Self { handle: Some(handle) }
    }

    /// The server as the program sees it that it is a part of.
    #[must_use]
    pub fn handle(&self) -> &ServerHandle {
        self.handle.as_ref().expect("it runs until it is stopped")
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.handle().address()
    }

    /// A client in a room; `room` stands in the path as it is.
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

    /// A request without content. `headers` are whole lines.
    #[track_caller]
    pub fn request(&self, method: &str, path: &str, headers: &[&str]) -> Answer {
        request(self.address(), method, path, headers)
    }

    /// `GET`
    #[track_caller]
    pub fn get(&self, path: &str) -> Answer {
        self.request("GET", path, &[])
    }

    /// `POST`
    #[track_caller]
    pub fn post(&self, path: &str) -> Answer {
        self.request("POST", path, &["Content-Length: 0"])
    }

    /// What `/status?verbose` says.
    #[track_caller]
    pub fn status(&self) -> serde_json::Value {
        status(self.address())
    }

    /// The rooms that there are, with the ids of their clients.
    #[track_caller]
    pub fn rooms(&self) -> Vec<(String, Vec<u32>)> {
        self.room_infos().into_iter().map(|room| (room.id, room.clients)).collect()
    }

    /// The rooms that there are.
    #[track_caller]
    pub fn room_infos(&self) -> Vec<RoomInfo> {
        block_on(self.handle().rooms(None, usize::MAX)).expect("it runs")
    }

    /// How much there is.
    #[track_caller]
    pub fn stats(&self) -> Stats {
        block_on(self.handle().stats()).expect("it runs")
    }

    /// Waits until there are so many clients in all rooms together.
    #[track_caller]
    pub fn await_clients(&self, count: usize) {
        eventually(&format!("{count} clients"), || self.stats().clients == count);
    }

    /// Waits until there are so many rooms.
    #[track_caller]
    pub fn await_rooms(&self, count: usize) {
        eventually(&format!("{count} rooms"), || self.stats().rooms == count);
    }

    /// Ends it, and returns how long that took.
    ///
    /// # Panics
    /// It does not end.
    #[track_caller]
    pub fn stop(mut self) -> Duration {
        let begin = Instant::now();
        let handle = self.handle.take().expect("only this takes it");
        block_on(handle.shutdown()).expect("the server ends well");
        begin.elapsed()
    }
}

/// What `/status?verbose` of a server says.
#[track_caller]
#[must_use]
pub fn status(address: SocketAddr) -> serde_json::Value {
    serde_json::from_slice(&request(address, "GET", "/status?verbose", &[]).body).expect("JSON")
}

#[track_caller]
fn request(address: SocketAddr, method: &str, path: &str, headers: &[&str]) -> Answer {
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
        if let Some(handle) = self.handle.take()
            && !thread::panicking()
        {
            block_on(handle.shutdown()).expect("the server ends well");
        }
    }
}
