use std::{
    io::{BufReader, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    sync::mpsc,
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use smol::channel::{Receiver, Sender};
use stateroom_sdk_core::engine::EngineFactory;
use stateroom_server_smol::{ServeError, Server};

use crate::{Answer, Client, PATIENCE, eventually, records};

/// A server on this machine alone, on a port that nobody else has.
pub fn server() -> Server {
    Server::new().with_ip(Ipv4Addr::LOCALHOST).with_port(0)
}

/// A server in this process, on a thread of its own. Dropping it ends it.
#[derive(Debug)]
pub struct TestServer {
    address: SocketAddr,
    running: Option<Running>,
}

#[derive(Debug)]
struct Running {
    /// Nothing is ever sent: dropping it is the signal.
    stop: Sender<()>,
    ended: mpsc::Receiver<Result<(), ServeError>>,
    thread: JoinHandle<()>,
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
        let address = listener.get_ref().local_addr().expect("a bound socket has an address");
        let (stop, stopped): (_, Receiver<()>) = smol::channel::bounded(1);
        let (end, ended) = mpsc::channel();
        let thread = thread::spawn(move || {
            let shutdown = async move {
                // Either it ends or nobody can end it any more.
                let _ = stopped.recv().await;
            };
            let _ = end.send(smol::block_on(server.run(factory, listener, shutdown)));
        });
        Self { address, running: Some(Running { stop, ended, thread }) }
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
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
        Client::connect(self.address, path)
    }

    /// A request without content. `headers` are whole lines.
    #[track_caller]
    pub fn request(&self, method: &str, path: &str, headers: &[&str]) -> Answer {
        request(self.address, method, path, headers)
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
        status(self.address)
    }

    /// The rooms that there are, with the ids of their clients.
    #[track_caller]
    pub fn rooms(&self) -> Vec<(String, Vec<u64>)> {
        let status = self.status();
        let rooms = status["rooms"].as_array().expect("a list of rooms").iter();
        rooms
            .map(|room| {
                let clients = room["clients"].as_array().expect("a list of clients").iter();
                let clients = clients.map(|client| client.as_u64().expect("a number")).collect();
                (room["id"].as_str().expect("a text").to_owned(), clients)
            })
            .collect()
    }

    /// Waits until there are so many clients in all rooms together.
    #[track_caller]
    pub fn await_clients(&self, count: usize) {
        eventually(&format!("{count} clients"), || self.status()["client_count"] == count);
    }

    /// Waits until there are so many rooms.
    #[track_caller]
    pub fn await_rooms(&self, count: usize) {
        eventually(&format!("{count} rooms"), || self.status()["room_count"] == count);
    }

    /// Ends it, and returns how long that took.
    ///
    /// # Panics
    /// It does not end.
    #[track_caller]
    pub fn stop(mut self) -> Duration {
        let begin = Instant::now();
        let running = self.running.take().expect("only this takes it");
        end(running);
        begin.elapsed()
    }

    /// Tells it to end, and does not wait for it.
    pub fn tell_to_stop(&self) {
        if let Some(running) = &self.running {
            running.stop.close();
        }
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

#[track_caller]
fn end(running: Running) {
    let Running { stop, ended, thread } = running;
    drop(stop);
    ended.recv_timeout(PATIENCE).expect("the server ends").expect("the server ends well");
    thread.join().expect("the thread has nothing to panic for");
}

impl Drop for TestServer {
    fn drop(&mut self) {
        if let Some(running) = self.running.take()
            && !thread::panicking()
        {
            end(running);
        }
    }
}
