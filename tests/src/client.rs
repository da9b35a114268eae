use std::{
    io::{self, BufReader, Write as _},
    net::{Shutdown, SocketAddr, TcpStream},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use rustix::net::sockopt::set_socket_linger;

use crate::{Answer, Frame, PATIENCE};

/// A WebSocket client.
///
/// It answers pings while it waits for messages, and does nothing else by itself. Dropping it closes the
/// socket without a word.
#[derive(Debug)]
pub struct Client {
    stream: BufReader<TcpStream>,
    /// The reason with which the server has closed the connection, once it has.
    reason: String,
    /// The subprotocol that the server has selected.
    protocol: Option<String>,
    /// The extensions on which the server has agreed.
    extensions: Option<String>,
}

/// A message that a client can get.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// A text message.
    Text(String),
    /// A binary message.
    Binary(Vec<u8>),
    /// A close frame, with its code. 1005 stands for none, as RFC 6455 has it.
    Close(u16),
    /// The end of the connection.
    End,
}

impl Client {
    /// Opens a WebSocket at `path`.
    ///
    /// # Errors
    /// What the server answered, if that was no upgrade.
    #[track_caller]
    pub fn connect(address: SocketAddr, path: &str) -> Result<Self, Box<Answer>> {
        Self::connect_with(address, path, &[])
    }

    /// Opens a WebSocket at `path` with more headers, which are whole lines.
    ///
    /// # Errors
    /// What the server answered, if that was no upgrade.
    #[track_caller]
    pub fn connect_with(address: SocketAddr, path: &str, headers: &[&str]) -> Result<Self, Box<Answer>> {
        let stream = TcpStream::connect(address).expect("the server takes connections");
        stream.set_nodelay(true).expect("an option of every socket");
        stream.set_read_timeout(Some(PATIENCE)).expect("not zero");
        stream.set_write_timeout(Some(PATIENCE)).expect("not zero");
        let mut stream = BufReader::new(stream);
        // Key and answer are those of RFC 6455, section 1.3.
        let headers: String = headers.iter().map(|header| format!("{header}\r\n")).collect();
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{headers}\r\n"
        );
        stream.get_mut().write_all(request.as_bytes()).expect("a request can be sent");
        let answer = Answer::read(&mut stream, "GET");
        if answer.status != 101 {
            return Err(Box::new(answer));
        }
        assert_eq!(answer.header("sec-websocket-accept"), Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
        let protocol = answer.header("sec-websocket-protocol").map(str::to_owned);
        let extensions = answer.header("sec-websocket-extensions").map(str::to_owned);
        Ok(Self { stream, reason: String::new(), protocol, extensions })
    }

    /// Returns the subprotocol that the server has selected, if it has.
    #[must_use]
    pub fn protocol(&self) -> Option<&str> {
        self.protocol.as_deref()
    }

    /// Returns the extensions on which the server has agreed, if there are any.
    #[must_use]
    pub fn extensions(&self) -> Option<&str> {
        self.extensions.as_deref()
    }

    /// Sends bytes as they are.
    #[track_caller]
    pub fn raw(&mut self, bytes: &[u8]) {
        self.stream.get_mut().write_all(bytes).expect("the server reads");
    }

    /// Sends bytes as they are, and says whether the server took them.
    pub fn try_raw(&mut self, bytes: &[u8]) -> bool {
        self.stream.get_mut().write_all(bytes).is_ok()
    }

    /// Sends a frame.
    #[track_caller]
    pub fn frame(&mut self, frame: &Frame) {
        self.raw(&frame.masked());
    }

    /// Sends a text message.
    #[track_caller]
    pub fn text(&mut self, text: &str) {
        self.frame(&Frame::text(text));
    }

    /// Sends a binary message.
    #[track_caller]
    pub fn binary(&mut self, bytes: &[u8]) {
        self.frame(&Frame::new(Frame::BINARY, bytes));
    }

    /// Sends from a thread of its own, so that the client can read meanwhile. What cannot be sent is not an
    /// error.
    pub fn send_aside(&self, frames: impl Iterator<Item = Frame> + Send + 'static) -> JoinHandle<()> {
        let mut stream = self.stream.get_ref().try_clone().expect("a socket can be shared");
        thread::spawn(move || {
            for frame in frames {
                if stream.write_all(&frame.masked()).is_err() {
                    break;
                }
            }
        })
    }

    /// Does the same with bytes as they are.
    pub fn send_raw_aside(&self, bytes: Vec<u8>) -> JoinHandle<()> {
        let mut stream = self.stream.get_ref().try_clone().expect("a socket can be shared");
        thread::spawn(move || _ = stream.write_all(&bytes))
    }

    /// Waits for a frame of any kind; nothing where the connection ends.
    #[track_caller]
    pub fn next_frame(&mut self) -> Option<Frame> {
        match Frame::read(&mut self.stream) {
            Ok(frame) => {
                let is_compressed = frame.as_ref().is_some_and(|frame| frame.is_compressed);
                assert!(!is_compressed || self.extensions.is_some(), "nobody has agreed to compression");
                frame
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                panic!("nothing has come from the server for {PATIENCE:?}")
            }
            // However it ends, it ends.
            Err(_) => None,
        }
    }

    /// Waits for something to happen, and answers pings until then.
    #[track_caller]
    pub fn message(&mut self) -> Message {
        let begin = Instant::now();
        loop {
            assert!(
                begin.elapsed() < PATIENCE,
                "nothing but pings has come from the server for {PATIENCE:?}"
            );
            let Some(Frame { fin, opcode, is_compressed, payload }) = self.next_frame() else {
                return Message::End;
            };
            assert!(fin && !is_compressed, "this server does not split its messages");
            return match opcode {
                Frame::TEXT => Message::Text(String::from_utf8(payload).expect("text is UTF-8")),
                Frame::BINARY => Message::Binary(payload),
                Frame::CLOSE => Message::Close(match &payload[..] {
                    [high, low, reason @ ..] => {
                        self.reason = str::from_utf8(reason).expect("a reason is UTF-8").to_owned();
                        u16::from_be_bytes([*high, *low])
                    }
                    _ => 1005,
                }),
                Frame::PING => {
                    // The server may have gone; then the next frame tells.
                    let _ = self.stream.get_mut().write_all(&Frame::new(Frame::PONG, payload).masked());
                    continue;
                }
                Frame::PONG => continue,
                other => panic!("the server sent a frame of unknown kind {other}"),
            };
        }
    }

    /// Waits for a text message.
    #[track_caller]
    pub fn next_text(&mut self) -> String {
        match self.message() {
            Message::Text(text) => text,
            other => panic!("this should have been a text message: {other:?}"),
        }
    }

    /// Waits for a binary message.
    #[track_caller]
    pub fn next_binary(&mut self) -> Vec<u8> {
        match self.message() {
            Message::Binary(bytes) => bytes,
            other => panic!("this should have been a binary message: {other:?}"),
        }
    }

    /// Waits for these text messages, one after the other.
    #[track_caller]
    pub fn expect(&mut self, texts: &[&str]) {
        for text in texts {
            assert_eq!(self.next_text(), *text);
        }
    }

    /// Sends a text message and waits for one.
    #[track_caller]
    pub fn ask(&mut self, text: &str) -> String {
        self.text(text);
        self.next_text()
    }

    /// Waits for the close frame, which has to be the next message, answers it, and ends the connection with
    /// the server. Returns the code.
    #[track_caller]
    pub fn closed(&mut self) -> u16 {
        match self.message() {
            Message::Close(code) => {
                let _ = self.stream.get_mut().write_all(&Frame::close(code).masked());
                assert_eq!(self.message(), Message::End, "nothing follows a close frame");
                // The server waits for this, so that its close frame is not lost to a reset.
                let _ = self.stream.get_ref().shutdown(Shutdown::Both);
                code
            }
            other => panic!("this should have been a close frame: {other:?}"),
        }
    }

    /// Does the same as [`closed`](Self::closed), and returns the reason as well.
    #[track_caller]
    pub fn closed_because(&mut self) -> (u16, &str) {
        (self.closed(), &self.reason)
    }

    /// Sends a frame, and says whether the connection still stands. It may take another attempt to find out
    /// that it does not.
    pub fn takes(&mut self, frame: &Frame) -> bool {
        self.stream.get_mut().write_all(&frame.masked()).is_ok()
    }

    /// Returns whether nothing has come that has not been read yet.
    #[track_caller]
    pub fn is_quiet(&mut self) -> bool {
        let stream = self.stream.get_ref();
        stream.set_nonblocking(true).expect("an option of every socket");
        let quiet = self.stream.buffer().is_empty()
            && stream.peek(&mut [0]).is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock);
        stream.set_nonblocking(false).expect("an option of every socket");
        quiet
    }

    /// Sends a close frame, waits for the server's answer, and goes.
    #[track_caller]
    pub fn leave(mut self) {
        self.frame(&Frame::close(1000));
        while !matches!(self.message(), Message::Close(1000)) {}
    }

    /// Stops sending, and still listens.
    #[track_caller]
    pub fn end_sending(&mut self) {
        self.stream.get_ref().shutdown(Shutdown::Write).expect("the connection stands");
    }

    /// Ends the connection without a word, as a process that ends does.
    pub fn hang_up(self) {
        let _ = self.stream.get_ref().shutdown(Shutdown::Both);
    }

    /// Ends the connection with a reset, as a machine that has lost its memory does.
    pub fn reset(self) {
        set_socket_linger(self.stream.get_ref(), Some(Duration::ZERO)).expect("an option of every socket");
    }
}
