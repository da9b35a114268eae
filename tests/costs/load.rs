//! The load for the server. Everything goes in lockstep: a step begins when all results of the step before have come,
//! so that the server has the same work in each run.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    sync::{Arc, OnceLock},
    thread,
    time::Duration,
};

use rustls::{ClientConfig, version::TLS13};
use stateroom_tests::{
    Client, Frame,
    tls::{Authority, TlsClient},
};

/// Sends so many messages at a time from one client, in one piece, and waits for all of them.
pub(crate) fn echo(address: SocketAddr, steps: usize, at_a_time: usize, size: usize) {
    let mut client = client(address);
    let message = "x".repeat(size);
    let frames = Frame::text(&message).masked().repeat(at_a_time);
    for _ in 0..steps {
        client.raw(&frames);
        receive(&mut client, &message, at_a_time);
    }
}

/// Sends a message from each of the first `senders` of so many clients in a room. All clients get it.
pub(crate) fn broadcast(address: SocketAddr, steps: usize, clients: usize, senders: usize) {
    let mut room: Vec<Client> = Vec::new();
    for _ in 0..clients {
        // It is in the room when it hears itself, as the others do.
        let mut newcomer = client(address);
        newcomer.text("hello");
        room.push(newcomer);
        room.iter_mut().for_each(|client| receive(client, "hello", 1));
    }
    let message = "x".repeat(64);
    let frame = Frame::text(&message);
    for _ in 0..steps {
        room.iter_mut().take(senders).for_each(|client| client.frame(&frame));
        room.iter_mut().for_each(|client| receive(client, &message, senders));
    }
}

/// Does the same as [`echo`], one at a time, with JSON.
pub(crate) fn echo_json(address: SocketAddr, steps: usize, size: usize) {
    let mut client = client(address);
    let message = json(size);
    let frame = Frame::text(&message);
    for _ in 0..steps {
        client.frame(&frame);
        receive(&mut client, &message, 1);
    }
}

/// Does the same as [`echo_json`] with a client that compresses, and for which the server compresses what becomes smaller.
pub(crate) fn echo_compressed(address: SocketAddr, steps: usize, size: usize) {
    let mut client = compressing(address);
    let frames = two_deflated(size);
    for frame in frames.iter().cycle().take(steps) {
        client.frame(frame);
        receive_compressed(&mut client, size);
    }
}

/// Returns JSON as a game may send it.
fn json(size: usize) -> String {
    let (mut text, mut state) = (String::from("["), 12_345_u32);
    while text.len() < size {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let (id, x, y, color) = (state >> 20, state >> 8 & 1023, state >> 4 & 1023, ["red", "green", "blue"]);
        let color = color[id as usize % 3];
        text += &format!(r#"{{"id":{id},"name":"player-{}","x":{x},"y":{y},"color":"{color}"}},"#, id % 97);
    }
    text.truncate(size);
    text
}

fn compressing(address: SocketAddr) -> Client {
    let offer = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits";
    let client = Client::connect_with(address, "/ws/lobby", &[offer]);
    let client = client.unwrap_or_else(|answer| panic!("no upgrade: {answer:?}"));
    assert!(client.extensions().is_some());
    client
}

/// Returns two messages, because the server compresses a message that comes again only once.
fn two_deflated(size: usize) -> [Frame; 2] {
    let deflated = |message: &str| {
        let mut payload = miniz_oxide::deflate::compress_to_vec(message.as_bytes(), 6);
        payload.push(0);
        Frame::new(Frame::TEXT, payload).compressed()
    };
    let twice = json(2 * size);
    let (first, second) = twice.split_at(size);
    [deflated(first), deflated(second)]
}

fn receive_compressed(client: &mut Client, size: usize) {
    let frame = client.next_frame().expect("an answer");
    assert!(frame.is_compressed && frame.payload.len() < size || frame.payload.len() == size);
}

/// The messages after which a client confirms what it has received, if they have 64 bytes: as the client library does it.
const CONFIRMED: usize = 512;

/// Does the same as [`echo`], one at a time, in a resumable session.
pub(crate) fn echo_in_session(address: SocketAddr, steps: usize) {
    let mut session = Session::default();
    let mut client = session.connect(address);
    let message = "x".repeat(64);
    let frame = Frame::text(&message);
    for _ in 0..steps {
        client.frame(&frame);
        session.receive(&mut client, &message);
    }
}

/// Does the same as [`broadcast`] from one of so many clients, all of which have resumable sessions.
pub(crate) fn broadcast_in_sessions(address: SocketAddr, steps: usize, clients: usize) {
    let mut room: Vec<(Session, Client)> = Vec::new();
    for number in 0..clients {
        let mut session = Session { number, ..Session::default() };
        let mut newcomer = session.connect(address);
        newcomer.text("hello");
        room.push((session, newcomer));
        room.iter_mut().for_each(|(session, client)| session.receive(client, "hello"));
    }
    let message = "x".repeat(64);
    let frame = Frame::text(&message);
    for _ in 0..steps {
        room[0].1.frame(&frame);
        room.iter_mut().for_each(|(session, client)| session.receive(client, &message));
    }
}

/// A client loses its connection again and again, and resumes its session.
pub(crate) fn resumptions(address: SocketAddr, steps: usize) {
    let mut session = Session::default();
    for _ in 0..steps {
        session.connect(address).hang_up();
    }
}

/// A client's resumable session.
#[derive(Debug, Default)]
struct Session {
    number: usize,
    received: usize,
    connections: usize,
}

impl Session {
    fn connect(&mut self, address: SocketAddr) -> Client {
        let Self { number, received, connections } = self;
        let offered = format!(
            "Sec-WebSocket-Protocol: stateroom.v1, stateroom.session.token-of-client-{number:02}.{received}.{connections}.0"
        );
        let mut client = Client::connect_with(address, "/ws/lobby", &[&offered])
            .unwrap_or_else(|answer| panic!("no upgrade: {answer:?}"));
        let greeting = client.next_text();
        assert!(greeting.contains(&format!("\"resumed\":{}", *connections > 0)), "{greeting}");
        *connections += 1;
        client
    }

    /// Receives a message, and confirms it if it is time.
    fn receive(&mut self, client: &mut Client, message: &str) {
        while let text = client.next_text()
            && text != message
        {
            assert!(text.starts_with('\0'), "{text}");
        }
        self.received += 1;
        if self.received.is_multiple_of(CONFIRMED) {
            client.text(&format!("\0{}", self.received));
        }
    }
}

/// Clients come and go, one after the other, and somebody else stays, so that the room does.
pub(crate) fn connections(address: SocketAddr, steps: usize) {
    let _stays = client(address);
    for _ in 0..steps {
        let mut client = client(address);
        client.frame(&Frame::close(1000));
        assert_eq!(client.next_frame(), Some(Frame::close(1000)), "the server says goodbye as well");
        assert_eq!(client.next_frame(), None, "and ends the connection");
    }
}

/// Rooms are created that nobody enters.
pub(crate) fn rooms(address: SocketAddr, steps: usize) {
    for room in 0..steps {
        let mut stream = TcpStream::connect(address).expect("it listens");
        let request = format!(
            "POST /ws/{room} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).expect("it reads");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("it answers");
        assert!(answer.starts_with("HTTP/1.1 201"), "{answer}");
    }
}

/// The authority that has issued the server's certificate.
pub(crate) fn authority() -> &'static Authority {
    static AUTHORITY: OnceLock<Authority> = OnceLock::new();
    AUTHORITY.get_or_init(Authority::new)
}

fn tls() -> Arc<ClientConfig> {
    Arc::new(authority().client(&[&TLS13]))
}

/// Does the same as [`echo`], one at a time, with TLS.
pub(crate) fn tls_echo(address: SocketAddr, steps: usize, size: usize) {
    let mut client = TlsClient::connect(address, &tls(), "lobby");
    let message = "x".repeat(size);
    for _ in 0..steps {
        assert_eq!(client.ask(&message), message);
    }
}

/// Does the same as [`connections`], with TLS. The clients resume a session of TLS, or know of none.
pub(crate) fn tls_connections(address: SocketAddr, steps: usize, resumes: bool) {
    let all = tls();
    let _stays = TlsClient::connect(address, &all, "lobby");
    for _ in 0..steps {
        let config = if resumes { Arc::clone(&all) } else { tls() };
        TlsClient::connect(address, &config, "lobby").leave();
    }
}

/// Connects a client that does nothing for so many seconds.
pub(crate) fn idle(address: SocketAddr, seconds: usize) {
    let _client = client(address);
    // This waits for nothing: the time is what is measured.
    thread::sleep(Duration::from_secs(seconds as u64));
}

fn client(address: SocketAddr) -> Client {
    Client::connect(address, "/ws/lobby").unwrap_or_else(|answer| panic!("no upgrade: {answer:?}"))
}

fn receive(client: &mut Client, message: &str, count: usize) {
    for _ in 0..count {
        assert_eq!(client.next_text(), message);
    }
}
