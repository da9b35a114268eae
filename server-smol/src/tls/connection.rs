use std::{
    cell::{Cell, RefCell},
    io::{self, IoSlice},
    net::TcpStream,
    sync::Arc,
};

use rustls::{
    ServerConfig,
    server::{ServerConnectionData, UnbufferedServerConnection},
    unbuffered::{ConnectionState, EncodeError, EncodeTlsData, EncryptError, UnbufferedStatus, WriteTraffic},
};

use super::plain_http;
use crate::{
    log_line::{About, ConnectionId, debug_about},
    memory::{OutOfMemory, ThreadCharge},
    reactor::{Handle, Transport},
};

/// The largest record with its head, in bytes (RFC 8446, section 5.2, and RFC 5246, section 6.2.3, which allows more).
const RECORD: usize = (16 << 10) + 2_048 + HEAD;
/// The sizes of the head of a record, of an alert, and of the tag of an encrypted record, in bytes.
const HEAD: usize = 5;
const ALERT: usize = 2;
const TAG: usize = 16;
/// The most that a record takes beyond its content when it is written, in bytes.
const OVERHEAD: usize = 64;
/// The most bytes that are read at a time, and until the handshake is over.
const INPUT: usize = 32 << 10;
const HELLO: usize = 4 << 10;
/// The number of bytes that take as long as a record does, whatever is in it.
const LIKE_A_RECORD: usize = 512;
/// The most bytes that are read of a client without TLS.
const PLAIN: usize = 64 << 10;
/// The most bytes that are encrypted at a time: one record.
const OUTPUT: usize = 16 << 10;

/// The memory of a connection in bytes, without what waits in it: until the handshake is over, and then.
const HANDSHAKE: usize = 8 << 10;
const ESTABLISHED: usize = 4 << 10;

thread_local! {
    /// The bytes that the connections of this thread work with, so that a connection between two messages holds none.
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

#[derive(Default)]
struct Scratch {
    /// The records that are being read.
    input: Vec<u8>,
    /// The content and the record that are being written.
    content: Vec<u8>,
    output: Vec<u8>,
}

/// A TCP connection with TLS, on the side of the server.
///
/// It holds the rest of a record that is not complete, the content of one that has not been read, and what the socket has not
/// taken. Each is at most one record, and takes no memory if there is nothing.
pub(super) struct Connection {
    socket: TcpStream,
    state: RefCell<State>,
    /// True if there is nothing more to read until the next event of the socket.
    is_drained: Cell<bool>,
    /// The work of the last read, as a number of bytes.
    work: Cell<usize>,
}

struct State {
    /// The id of the connection in the log.
    id: ConnectionId,
    config: Arc<ServerConfig>,
    /// The protocol, once something has come.
    protocol: Option<Box<UnbufferedServerConnection>>,
    /// The beginning of a record that is not complete.
    sealed: Vec<u8>,
    /// Content that has not been read, and how much of it has been.
    open: Vec<u8>,
    opened: usize,
    /// Bytes that the socket has not taken, and how many of them it has.
    held: Vec<u8>,
    written: usize,
    /// True if the handshake is over.
    is_established: bool,
    /// True if the client writes no more.
    has_ended: bool,
    /// True if the client has been told that nothing more follows. What it says then is not decrypted, as nobody looks at it.
    has_said_goodbye: bool,
    /// True if the protocol was broken.
    has_failed: bool,
    /// The number of bytes that may still come of a client that was told to use TLS.
    left_of_plain: Option<usize>,
    charge: ThreadCharge,
}

impl Connection {
    pub(super) fn new(socket: TcpStream, config: Arc<ServerConfig>, id: ConnectionId) -> Self {
        let state = State {
            id,
            config,
            protocol: None,
            sealed: Vec::new(),
            open: Vec::new(),
            opened: 0,
            held: Vec::new(),
            written: 0,
            is_established: false,
            has_ended: false,
            has_said_goodbye: false,
            has_failed: false,
            left_of_plain: None,
            charge: ThreadCharge::default(),
        };
        Self { socket, state: RefCell::new(state), is_drained: Cell::new(false), work: Cell::new(0) }
    }
}

impl Transport for Connection {
    fn read(&self, bytes: &mut [u8]) -> io::Result<usize> {
        self.is_drained.set(false);
        let state = &mut *self.state.borrow_mut();
        let read = SCRATCH.with_borrow_mut(|scratch| state.read(&self.socket, bytes, scratch));
        state.settle()?;
        let Read { size, is_drained, work } = read?;
        self.is_drained.set(is_drained);
        self.work.set(work);
        Ok(size)
    }

    fn work(&self, _: usize) -> usize {
        self.work.get()
    }

    fn is_drained(&self) -> bool {
        self.is_drained.get()
    }

    fn write(&self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        let state = &mut *self.state.borrow_mut();
        state.flush(&self.socket)?;
        let written = SCRATCH.with_borrow_mut(|scratch| state.write(&self.socket, pieces, scratch));
        state.settle()?;
        written
    }

    fn flush(&self) -> io::Result<()> {
        let state = &mut *self.state.borrow_mut();
        if state.held.is_empty() {
            return Ok(());
        }
        let flushed = state.flush(&self.socket);
        state.settle()?;
        flushed
    }

    fn is_secure(&self) -> bool {
        true
    }

    fn end_writing(&self) -> io::Result<()> {
        let state = &mut *self.state.borrow_mut();
        state.say_goodbye();
        // A client that takes nothing now does not learn that this is a good end.
        let _ = state.flush(&self.socket);
        state.settle()?;
        self.socket.end_writing()
    }

    fn socket(&self) -> Handle<'_> {
        self.socket.socket()
    }

    fn arrive(&self) -> io::Result<()> {
        self.state.borrow_mut().settle()
    }

    fn depart(&self) {
        self.state.borrow_mut().charge.release();
    }
}

/// A client whose connection is given up, as it asks for nothing, is told that this is a good end.
impl Drop for Connection {
    fn drop(&mut self) {
        let state = self.state.get_mut();
        if state.is_established && state.held.is_empty() {
            state.say_goodbye();
            let _ = state.flush(&self.socket);
        }
    }
}

/// The result of a read.
struct Read {
    size: usize,
    is_drained: bool,
    work: usize,
}

/// The result of processing records.
#[derive(Default)]
struct Processed {
    /// The number of bytes of the input that were used.
    used: usize,
    /// The size of the content.
    size: usize,
    /// The number of records that can have content.
    records: usize,
}

impl State {
    fn read(&mut self, socket: &TcpStream, bytes: &mut [u8], scratch: &mut Scratch) -> io::Result<Read> {
        let mut work = 0;
        loop {
            let waiting = &self.open[self.opened..];
            if !waiting.is_empty() {
                let size = waiting.len().min(bytes.len());
                bytes[..size].copy_from_slice(&waiting[..size]);
                self.opened += size;
                if self.opened == self.open.len() {
                    (self.open, self.opened) = (Vec::new(), 0);
                }
                return Ok(Read { size, is_drained: false, work: size });
            }
            if self.has_failed {
                return Err(io::ErrorKind::InvalidData.into());
            }
            if self.has_said_goodbye {
                let size = Transport::read(socket, bytes)?;
                return Ok(Read { size, is_drained: size < bytes.len(), work: size });
            }
            if self.has_ended || bytes.is_empty() {
                return Ok(Read { size: 0, is_drained: false, work });
            }
            let begun = self.sealed.len();
            let input = &mut scratch.input;
            input.resize(INPUT + RECORD, 0);
            if let Some(left) = &mut self.left_of_plain {
                let received = Transport::read(socket, &mut input[..HELLO])?;
                *left = left.saturating_sub(received);
                self.has_failed = received == 0 || *left == 0;
                continue;
            }
            let space = bytes.len().min(if self.is_established { INPUT } else { HELLO });
            let received = Transport::read(socket, &mut input[begun..begun + space])?;
            let is_drained = received < space;
            if received == 0 {
                // The client has gone without a word, which a WebSocket and HTTP notice by themselves.
                self.has_ended = true;
                continue;
            }
            input[..begun].copy_from_slice(&self.sealed);
            self.sealed = Vec::new();
            let input = &mut input[..begun + received];
            if self.protocol.is_none() && !self.begin(input)? {
                self.answer_plainly(socket);
                continue;
            }
            let Processed { used, size, records } = self.process(input, bytes);
            work += received + records * LIKE_A_RECORD;
            let rest = input.get(used..).unwrap_or_default();
            match rest.len() {
                0 => {}
                1..=RECORD => self.sealed = rest.to_vec(),
                _ => self.has_failed = true,
            }
            // What the protocol answers is small, and the socket takes it.
            match self.flush(socket) {
                Err(error) if error.kind() != io::ErrorKind::WouldBlock => return Err(error),
                _ => {}
            }
            if size > 0 {
                // Nobody tells of the end once more.
                let is_over = self.has_ended || self.has_failed;
                return Ok(Read { size, is_drained: is_drained && self.open.is_empty() && !is_over, work });
            }
        }
    }

    /// Begins the handshake. Returns false if this is no TLS.
    fn begin(&mut self, input: &[u8]) -> io::Result<bool> {
        if plain_http::is_plain(input) {
            return Ok(false);
        }
        self.set_charge(HANDSHAKE)?;
        let protocol = UnbufferedServerConnection::new(Arc::clone(&self.config)).map_err(io::Error::other)?;
        self.protocol = Some(Box::new(protocol));
        Ok(true)
    }

    /// Tells a client what is wrong that speaks HTTP without TLS.
    fn answer_plainly(&mut self, socket: &TcpStream) {
        // A new connection takes as much at once.
        let _ = Transport::write(socket, &[IoSlice::new(plain_http::ANSWER)]);
        let _ = Transport::end_writing(socket);
        // Closing a socket with unread bytes resets the connection, and then the client may never see the answer.
        self.left_of_plain = Some(PLAIN);
    }

    /// Processes records. Content goes to `bytes`, and behind that to `open`.
    fn process(&mut self, input: &mut [u8], bytes: &mut [u8]) -> Processed {
        let Processed { mut used, mut size, mut records } = Processed::default();
        let Self { id, protocol: Some(protocol), held, open, is_established, has_ended, has_failed, .. } =
            self
        else {
            return Processed::default();
        };
        loop {
            let UnbufferedStatus { mut discard, state } = protocol.process_tls_records(&mut input[used..]);
            let goes_on = match state {
                Ok(ConnectionState::ReadTraffic(mut traffic)) => {
                    while let Some(Ok(record)) = traffic.next_record() {
                        let (now, later) =
                            record.payload.split_at(record.payload.len().min(bytes.len() - size));
                        bytes[size..size + now.len()].copy_from_slice(now);
                        size += now.len();
                        open.extend_from_slice(later);
                        discard += record.discard;
                        records += 1;
                    }
                    true
                }
                Ok(ConnectionState::EncodeTlsData(data)) => {
                    encode(data, held);
                    true
                }
                Ok(ConnectionState::TransmitTlsData(data)) => {
                    data.done();
                    true
                }
                Ok(ConnectionState::PeerClosed) => {
                    *has_ended = true;
                    true
                }
                Ok(ConnectionState::WriteTraffic(_)) => {
                    if !*is_established {
                        let version = protocol.protocol_version().and_then(|version| version.as_str());
                        debug_about!(About::connection(*id), "speaks {}", version.unwrap_or("TLS"));
                    }
                    *is_established = true;
                    false
                }
                // There is no early data without permission.
                Ok(_) => false,
                Err(error) => {
                    debug_about!(About::connection(*id), "TLS: {error}");
                    *has_failed = true;
                    used += discard;
                    // What the protocol has to say about that. The last of it is an alert, and then it must not be asked again.
                    while let Ok(ConnectionState::EncodeTlsData(data)) =
                        protocol.process_tls_records(&mut input[used..]).state
                        && !is_alert(encode(data, held))
                    {}
                    return Processed { used, size, records };
                }
            };
            used += discard;
            if !goes_on {
                return Processed { used, size, records };
            }
        }
    }

    fn write(
        &mut self,
        socket: &TcpStream,
        pieces: &[IoSlice<'_>],
        scratch: &mut Scratch,
    ) -> io::Result<usize> {
        let Scratch { content, output, .. } = scratch;
        let content = match pieces {
            [piece] => &piece[..piece.len().min(OUTPUT)],
            pieces => {
                content.clear();
                for piece in pieces {
                    content.extend_from_slice(&piece[..piece.len().min(OUTPUT - content.len())]);
                }
                &content[..]
            }
        };
        if content.is_empty() {
            return Ok(0);
        }
        output.resize(OUTPUT + OVERHEAD, 0);
        let encrypted =
            self.encrypt(|traffic| traffic.encrypt(content, output)).ok_or(io::ErrorKind::BrokenPipe)?;
        let output = &output[..encrypted];
        // Nothing was held, or it has just been flushed; and the protocol may have said something before this.
        if !self.held.is_empty() {
            self.held.extend_from_slice(output);
            let _ = self.flush(socket);
            return Ok(content.len());
        }
        match Transport::write(socket, &[IoSlice::new(output)]) {
            Ok(written) => self.held.extend_from_slice(&output[written..]),
            // The content has been encrypted, and cannot be again.
            Err(error) if is_temporary(&error) => self.held.extend_from_slice(output),
            Err(error) => return Err(error),
        }
        Ok(content.len())
    }

    /// Lets the protocol write into a buffer, if it may write content. Returns the number of bytes.
    fn encrypt(
        &mut self,
        mut write: impl FnMut(&mut WriteTraffic<'_, ServerConnectionData>) -> Result<usize, EncryptError>,
    ) -> Option<usize> {
        let Self { protocol: Some(protocol), held, sealed, has_failed: false, .. } = self else {
            return None;
        };
        loop {
            let UnbufferedStatus { discard, state } = protocol.process_tls_records(sealed);
            let encrypted = match state {
                Ok(ConnectionState::WriteTraffic(mut traffic)) => Some(write(&mut traffic).ok()),
                Ok(ConnectionState::EncodeTlsData(data)) => {
                    encode(data, held);
                    None
                }
                Ok(ConnectionState::TransmitTlsData(data)) => {
                    data.done();
                    None
                }
                _ => Some(None),
            };
            sealed.drain(..discard.min(sealed.len()));
            if let Some(encrypted) = encrypted {
                return encrypted;
            }
        }
    }

    /// Tells the client that nothing more follows.
    fn say_goodbye(&mut self) {
        if std::mem::replace(&mut self.has_said_goodbye, true) {
            return;
        }
        let mut goodbye = [0; OVERHEAD];
        if let Some(size) = self.encrypt(|traffic| traffic.queue_close_notify(&mut goodbye)) {
            self.held.extend_from_slice(&goodbye[..size]);
        }
    }

    /// Writes what is held.
    fn flush(&mut self, socket: &TcpStream) -> io::Result<()> {
        while self.written < self.held.len() {
            match Transport::write(socket, &[IoSlice::new(&self.held[self.written..])]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                written => self.written += written?,
            }
        }
        if !self.held.is_empty() {
            (self.held, self.written) = (Vec::new(), 0);
        }
        Ok(())
    }

    /// Charges the connection for what it holds.
    fn settle(&mut self) -> io::Result<()> {
        let fixed = match (&self.protocol, self.is_established) {
            (None, _) => 0,
            (Some(_), false) => HANDSHAKE,
            (Some(_), true) => ESTABLISHED,
        };
        let waiting = self.sealed.capacity() + self.open.capacity() + self.held.capacity();
        self.set_charge(fixed + waiting)
    }

    fn set_charge(&mut self, bytes: usize) -> io::Result<()> {
        self.charge.set(bytes).map_err(|OutOfMemory| io::ErrorKind::OutOfMemory.into())
    }
}

/// Appends a record of the protocol's own, and returns it.
fn encode<'a>(mut data: EncodeTlsData<'_, ServerConnectionData>, held: &'a mut Vec<u8>) -> &'a [u8] {
    let Err(EncodeError::InsufficientSize(error)) = data.encode(&mut []) else { return &[] };
    let end = held.len();
    held.resize(end + error.required_size, 0);
    let written = data.encode(&mut held[end..]).unwrap_or(0);
    held.truncate(end + written);
    &held[end..]
}

/// Returns true if a record of the protocol's own is an alert: by its type or, if it is encrypted with TLS 1.3, by its size.
fn is_alert(record: &[u8]) -> bool {
    match record.first() {
        Some(0x15) => true,
        Some(0x17) => record.len() == HEAD + ALERT + 1 + TAG,
        _ => false,
    }
}

fn is_temporary(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}
