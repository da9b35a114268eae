use std::{
    io::{self, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    sync::Arc,
};

use rustls::{ClientConfig, ClientConnection, HandshakeKind, StreamOwned, pki_types::CertificateDer};

use crate::{Answer, Frame, PATIENCE};

/// A connection with TLS.
pub type Stream = StreamOwned<ClientConnection, TcpStream>;

/// A WebSocket client with TLS.
#[derive(Debug)]
pub struct TlsClient {
    stream: BufReader<Stream>,
}

/// Connects, and has not shaken hands yet.
#[must_use]
#[track_caller]
pub fn connect(address: SocketAddr, config: &Arc<ClientConfig>) -> Stream {
    let socket = TcpStream::connect(address).expect("the server takes connections");
    socket.set_read_timeout(Some(PATIENCE)).expect("not zero");
    socket.set_write_timeout(Some(PATIENCE)).expect("not zero");
    let name = "localhost".try_into().expect("a name");
    let connection = ClientConnection::new(Arc::clone(config), name).expect("rules that fit together");
    StreamOwned::new(connection, socket)
}

/// Sends a request, and returns the answer.
#[must_use]
#[track_caller]
pub fn get(address: SocketAddr, config: &Arc<ClientConfig>, path: &str) -> Answer {
    let mut stream = connect(address, config);
    write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").expect("a request");
    Answer::read(&mut BufReader::new(stream), "GET")
}

impl TlsClient {
    /// Opens a WebSocket to a room.
    #[track_caller]
    pub fn connect(address: SocketAddr, config: &Arc<ClientConfig>, room: &str) -> Self {
        Self::upgrade(connect(address, config), room)
    }

    /// Opens a WebSocket to a room on a connection.
    #[track_caller]
    pub fn upgrade(stream: Stream, room: &str) -> Self {
        Self::upgrade_with(stream, room, &[]).unwrap_or_else(|answer| panic!("no upgrade: {answer:?}"))
    }

    /// Opens a WebSocket to a room on a connection, with more headers, which are whole lines.
    ///
    /// # Errors
    /// The answer of the server, if that was no upgrade.
    #[track_caller]
    pub fn upgrade_with(stream: Stream, room: &str, headers: &[&str]) -> Result<Self, Box<Answer>> {
        let headers: String = headers.iter().map(|header| format!("{header}\r\n")).collect();
        Self::handshake(stream, room, &headers, &[])
    }

    /// Opens a WebSocket to a room on a connection, and sends bytes behind the request, in the same record if they fit.
    #[track_caller]
    pub fn upgrade_and_send(stream: Stream, room: &str, more: &[u8]) -> Self {
        Self::handshake(stream, room, "", more).unwrap_or_else(|answer| panic!("no upgrade: {answer:?}"))
    }

    fn handshake(mut stream: Stream, room: &str, headers: &str, more: &[u8]) -> Result<Self, Box<Answer>> {
        let request = format!(
            "GET /ws/{room} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{headers}\r\n"
        );
        stream.write_all(&[request.as_bytes(), more].concat()).expect("a request");
        let mut stream = BufReader::new(stream);
        let answer = Answer::read(&mut stream, "GET");
        if answer.status == 101 { Ok(Self { stream }) } else { Err(Box::new(answer)) }
    }

    /// Sends a frame.
    #[track_caller]
    pub fn send(&mut self, frame: &Frame) {
        self.stream.get_mut().write_all(&frame.masked()).expect("the server reads");
    }

    /// Sends bytes as they are.
    #[track_caller]
    pub fn send_raw(&mut self, bytes: &[u8]) {
        self.stream.get_mut().write_all(bytes).expect("the server reads");
    }

    /// Waits for a frame; nothing at the end.
    ///
    /// # Errors
    /// The connection ends in another way.
    pub fn receive(&mut self) -> io::Result<Option<Frame>> {
        Frame::read(&mut self.stream)
    }

    /// Sends a text, and returns the answer.
    #[track_caller]
    pub fn ask(&mut self, text: &str) -> String {
        self.send(&Frame::text(text));
        let answer = self.receive().expect("an answer").expect("an answer");
        String::from_utf8(answer.payload).expect("text")
    }

    /// Returns the state of TLS.
    #[must_use]
    pub fn connection(&self) -> &ClientConnection {
        &self.stream.get_ref().conn
    }

    /// Returns true if it has continued an earlier TLS session.
    #[must_use]
    pub fn is_resumed(&self) -> bool {
        self.connection().handshake_kind() == Some(HandshakeKind::Resumed)
    }

    /// Returns the certificate of the server.
    #[must_use]
    pub fn certificate(&self) -> CertificateDer<'_> {
        let chain = self.connection().peer_certificates().expect("a handshake");
        chain[0].clone()
    }

    /// Says goodbye, and waits for the end.
    #[track_caller]
    pub fn leave(mut self) {
        self.send(&Frame::close(1000));
        let close = self.receive().expect("an answer").expect("a close frame");
        assert_eq!(close.opcode, Frame::CLOSE);
        let mut rest = Vec::new();
        // Without an error: the server says goodbye in the words of TLS, too.
        self.stream.read_to_end(&mut rest).expect("a good end");
        assert!(rest.is_empty(), "{rest:?}");
    }
}
