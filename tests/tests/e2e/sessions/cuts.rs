//! Clients whose connections are cut in any place, as often as networks never do.

use std::{
    collections::{BTreeMap, VecDeque},
    convert::Infallible,
    io::{Read as _, Write as _},
    net::{Shutdown, SocketAddr, TcpStream},
    sync::{Arc, Mutex},
    time::Duration,
};

use fastrand::Rng;
use rustix::net::sockopt::set_socket_linger;
use serde_json::Value;
use stateroom_sdk_core::{
    MessagePayload, MessageRecipient,
    engine::{self, Engine, EngineContext, EngineFactory, Progress},
};
use stateroom_tests::{Frame, PATIENCE, TestServer};

use super::settings;

const CUTS: usize = 10_000;
const CLIENTS: usize = 5;

/// The events of a room, in order.
#[derive(Debug, Clone, Default)]
struct Events(Arc<Mutex<Vec<Event>>>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Event {
    Connect(u32),
    Disconnect(u32),
    Message(u32, Vec<u8>),
}

/// Notes each event, and sends each message to everyone. Some messages take several slices.
#[derive(Debug)]
struct Repeater {
    events: Events,
    /// The message that is being handled, whether it is text, and the number of slices that it takes.
    current: Option<(Vec<u8>, bool, usize)>,
}

impl Events {
    fn add(&self, event: Event) -> usize {
        let mut events = self.0.lock().unwrap();
        events.push(event);
        events.len()
    }

    fn all(&self) -> Vec<Event> {
        self.0.lock().unwrap().clone()
    }
}

impl EngineFactory for Events {
    type Engine = Repeater;
    type Error = Infallible;

    fn build(&self, _: &str, _: &impl EngineContext) -> Result<Repeater, Self::Error> {
        Ok(Repeater { events: self.clone(), current: None })
    }
}

impl Engine for Repeater {
    fn begin(&mut self, event: engine::Event<'_>, _: &impl EngineContext) {
        match event {
            engine::Event::Connect(client) => _ = self.events.add(Event::Connect(client.0)),
            engine::Event::Disconnect(client) => _ = self.events.add(Event::Disconnect(client.0)),
            engine::Event::Message(client, message) => {
                let data = message.data().to_vec();
                let count = self.events.add(Event::Message(client.0, data.clone()));
                self.current = Some((data, message.text().is_some(), count % 4));
            }
            engine::Event::Init | engine::Event::Timer => {}
        }
    }

    fn advance(&mut self, ctx: &impl EngineContext) -> Progress<'_> {
        let Some((data, is_text, slices)) = &mut self.current else { return Progress::Done };
        if *slices > 0 {
            *slices -= 1;
            return Progress::Unfinished;
        }
        let payload = match str::from_utf8(data) {
            Ok(text) if *is_text => MessagePayload::Text(text),
            _ => MessagePayload::Bytes(data),
        };
        ctx.send_message(MessageRecipient::Broadcast, payload);
        self.current = None;
        Progress::Done
    }
}

/// Returns a message: its sender, its number, and something of any length. Some look like control messages.
fn message(client: usize, number: usize) -> Frame {
    let begin = if number.is_multiple_of(7) { "\0" } else { "" };
    // Large ones are kept once for all clients.
    let size = if number.is_multiple_of(97) { 5_000 } else { number % 60 };
    let text = format!("{begin}{client} {number} {}", "x".repeat(size));
    if number.is_multiple_of(5) { Frame::new(Frame::BINARY, text) } else { Frame::text(&text) }
}

/// Returns the frame with which a message goes over the network in a session that can continue.
fn escaped(message: &Frame) -> Frame {
    match (message.opcode, message.payload.first()) {
        (Frame::TEXT, Some(0)) => Frame::new(Frame::TEXT, [&[0], &*message.payload].concat()),
        _ => message.clone(),
    }
}

/// Returns the bytes of a message on its way to the server. Some have several frames, with a pong between them.
fn encoded(message: &Frame) -> Vec<u8> {
    let (payload, opcode) = (&message.payload, message.opcode);
    if payload.len() % 3 > 0 {
        return message.masked();
    }
    let (first, rest) = payload.split_at(payload.len() / 2);
    let frames = [
        Frame::unfinished(opcode, first),
        Frame::new(Frame::PONG, "nobody has asked"),
        Frame::unfinished(Frame::CONTINUATION, rest),
        Frame::new(Frame::CONTINUATION, ""),
    ];
    frames.iter().flat_map(Frame::masked).collect()
}

/// A client that keeps to the protocol, whatever becomes of its connections.
#[derive(Debug)]
struct Resuming {
    number: usize,
    id: Option<u64>,
    /// The messages that the server has not confirmed.
    unconfirmed: VecDeque<Frame>,
    /// The number of messages that it has confirmed.
    confirmed: u64,
    /// The number of connections that it has opened, and of the one with which its session has begun.
    attempts: u64,
    begun: Option<u64>,
    /// The number of messages that were made.
    made: usize,
    received: Vec<Frame>,
    /// A connection that is dead for the client, and which the server does not know of.
    stale: Option<TcpStream>,
}

/// What comes on a connection until it is cut.
struct Incoming<'a> {
    stream: &'a TcpStream,
    bytes: Vec<u8>,
    /// The number of bytes after which the connection is cut.
    left: usize,
}

impl Incoming<'_> {
    /// Reads more. Returns nothing if the connection is cut.
    fn more(&mut self) -> Option<()> {
        let mut bytes = [0; 2_000];
        let most = self.left.min(bytes.len());
        if most == 0 {
            return None;
        }
        let size = self.stream.read(&mut bytes[..most]).expect("the server writes");
        assert!(size > 0, "the server does not end a connection by itself");
        self.bytes.extend(&bytes[..size]);
        self.left -= size;
        Some(())
    }

    /// Reads the head of an HTTP answer.
    fn head(&mut self) -> Option<String> {
        loop {
            if let Some(end) = self.bytes.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
                let rest = self.bytes.split_off(end + 4);
                return Some(String::from_utf8(std::mem::replace(&mut self.bytes, rest)).expect("text"));
            }
            self.more()?;
        }
    }

    /// Reads a frame.
    fn frame(&mut self) -> Option<Frame> {
        loop {
            let (head, size) = match *self.bytes {
                [_, 126, high, low, ..] => (4, usize::from(u16::from_be_bytes([high, low]))),
                [_, size @ 0..126, ..] => (2, usize::from(size)),
                _ => (0, usize::MAX),
            };
            if size < usize::MAX && self.bytes.len() >= head + size {
                let rest = self.bytes.split_off(head + size);
                let frame = std::mem::replace(&mut self.bytes, rest);
                return Some(Frame::new(frame[0] & 0x0f, &frame[head..]));
            }
            self.more()?;
        }
    }
}

impl Resuming {
    fn new(number: usize) -> Self {
        Self {
            number,
            id: None,
            unconfirmed: VecDeque::new(),
            confirmed: 0,
            attempts: 0,
            begun: None,
            made: 0,
            received: Vec::new(),
            stale: None,
        }
    }

    /// Handles a control message. Returns the greeting, if it is one.
    fn control(&mut self, text: &str) -> Option<Value> {
        if let Ok(confirmed) = text.parse() {
            self.confirm(confirmed);
            return None;
        }
        Some(serde_json::from_str(text).expect("it is JSON"))
    }

    fn confirm(&mut self, confirmed: u64) {
        assert!(confirmed >= self.confirmed, "{confirmed} are less than {}", self.confirmed);
        let more = usize::try_from(confirmed - self.confirmed).expect("there are few");
        assert!(more <= self.unconfirmed.len(), "the server confirms what was not sent");
        self.unconfirmed.drain(..more);
        self.confirmed = confirmed;
    }

    /// Handles a frame. Returns the greeting, if it is one.
    fn handle(&mut self, frame: Frame) -> Option<Value> {
        match (frame.opcode, &*frame.payload) {
            (Frame::TEXT, [0, 0, ..]) => self.received.push(Frame::new(Frame::TEXT, &frame.payload[1..])),
            (Frame::TEXT, [0, text @ ..]) => return self.control(str::from_utf8(text).expect("text")),
            (Frame::TEXT | Frame::BINARY, _) => self.received.push(frame),
            (opcode, _) => panic!("a frame of kind {opcode}"),
        }
        None
    }

    /// Connects, sends the messages that are not confirmed and some new ones, and receives, until the connection is cut: when so
    /// many bytes were sent or received. Returns `None` if it was cut. Otherwise it has received all that it has sent, and so many
    /// messages.
    fn visit(&mut self, stream: &TcpStream, new: usize, least: usize, cuts: [usize; 2]) -> Option<()> {
        let [mut may_send, may_receive] = cuts;
        let mut send = |bytes: &[u8]| {
            let most = may_send.min(bytes.len());
            may_send -= most;
            // If the server has closed a stale connection, so what.
            let mut stream = stream;
            stream.write_all(&bytes[..most]).expect("the server reads");
            (most == bytes.len()).then_some(())
        };
        self.attempts += 1;
        let request = format!(
            "GET /ws/room HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
             Sec-WebSocket-Protocol: stateroom.v1, stateroom.session.the-token-of-client-{}.{}.{}.{}\r\n\r\n",
            self.number,
            self.received.len(),
            self.attempts,
            self.begun.unwrap_or(self.attempts),
        );
        send(request.as_bytes())?;
        let mut incoming = Incoming { stream, bytes: Vec::new(), left: may_receive };
        let head = incoming.head()?;
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        let greeting = incoming.frame()?;
        let greeting = self.handle(greeting).expect("the first message is the greeting");
        // Its first connection may not have come to that.
        let id = *self.id.get_or_insert_with(|| greeting["client"].as_u64().expect("a number"));
        assert_eq!(greeting["client"], id, "{greeting}");
        assert_eq!(greeting["resumed"], self.begun.is_some(), "{greeting}");
        self.begun.get_or_insert(self.attempts);
        self.confirm(greeting["received"].as_u64().expect("a number"));
        for _ in 0..new {
            self.made += 1;
            self.unconfirmed.push_back(message(self.number, self.made));
        }
        let frames: Vec<_> = self.unconfirmed.iter().map(escaped).collect();
        let (last, before) = (self.unconfirmed.back().cloned(), self.received.len());
        for frame in frames {
            send(&encoded(&frame))?;
        }
        if self.received.len().is_multiple_of(3) {
            send(&Frame::text(&format!("\0{}", self.received.len())).masked())?;
        }
        // The room sends it back.
        while self.received.len() < least
            || last.as_ref().is_some_and(|last| !self.received[before..].contains(last))
        {
            let frame = incoming.frame()?;
            assert!(self.handle(frame).is_none(), "there is one greeting");
        }
        Some(())
    }
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).expect("the server takes connections");
    stream.set_read_timeout(Some(PATIENCE)).expect("not zero");
    stream
}

#[test]
fn whatever_is_cut_all_messages_arrive_once_and_in_order() {
    let events = Events::default();
    let server = TestServer::with_clock(settings().with_threads(2), events.clone());
    let address = server.address();
    let mut rng = Rng::with_seed(0x5eed);
    let mut clients: Vec<_> = (0..CLIENTS).map(Resuming::new).collect();
    let mut cuts = 0;
    while cuts < CUTS {
        let client = &mut clients[rng.usize(..CLIENTS)];
        let stream = connect(address);
        // Some are cut in the handshake and in the greeting, others between or in messages.
        let place = |rng: &mut Rng| match rng.u8(..3) {
            0 => rng.usize(..600),
            1 => rng.usize(..2_000),
            _ => usize::MAX,
        };
        let places = [place(&mut rng), place(&mut rng)];
        cuts += usize::from(client.visit(&stream, rng.usize(..4), 0, places).is_none());
        match rng.u8(..3) {
            0 => drop(stream.shutdown(Shutdown::Both)),
            1 => set_socket_linger(&stream, Some(Duration::ZERO)).expect("an option of every socket"),
            // The server notices when the client comes back.
            _ => client.stale = Some(stream),
        }
    }
    for client in &mut clients {
        let stream = connect(address);
        client.visit(&stream, 1, 0, [usize::MAX; 2]).expect("it is not cut");
        client.stale = Some(stream);
    }
    let events = events.all();
    // For each client, the number of its messages, and of all messages before it came.
    let mut clients_by_id = BTreeMap::new();
    let mut sent = Vec::new();
    for event in &events {
        match event {
            Event::Connect(id) => assert_eq!(clients_by_id.insert(u64::from(*id), (0, sent.len())), None),
            Event::Disconnect(id) => panic!("client {id} has left"),
            Event::Message(id, data) => {
                let id = u64::from(*id);
                let client = clients.iter().find(|client| client.id == Some(id)).expect("it is known");
                let (number, _) = clients_by_id.get_mut(&id).expect("it has come");
                *number += 1;
                let expected = message(client.number, *number);
                assert_eq!(*data, expected.payload, "message {number} of client {id}");
                sent.push(expected);
            }
        }
    }
    assert_eq!(clients_by_id.len(), CLIENTS);
    assert_eq!(sent.len(), clients.iter().map(|client| client.made).sum::<usize>());
    for client in &mut clients {
        let (_, before) = client.id.and_then(|id| clients_by_id.get(&id)).expect("it has come");
        let sent = &sent[*before..];
        let stream = connect(address);
        client.visit(&stream, 0, sent.len(), [usize::MAX; 2]).expect("it is not cut");
        // All of it is much to print.
        let first = client.received.iter().zip(sent).position(|(received, sent)| received != sent);
        assert_eq!(first, None, "client {} has received something else", client.number);
        assert_eq!(client.received.len(), sent.len());
    }
}
