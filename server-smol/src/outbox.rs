use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    io::{self, IoSlice},
    mem,
    rc::Rc,
    task::{Context, Poll, Waker},
};

use crate::{
    io::Io,
    reactor::Stream,
    websocket::{Close, Head, Opcode},
};

/// From this size on, a message for several clients is kept once for all of them.
const SHARED: usize = 16 << 10;
/// When so much has come together it is written at once: what waits is bounded by what a client does not read, and
/// not by how much comes in a row.
const BATCH: usize = 64 << 10;
/// How many pieces one system call writes.
const PIECES: usize = 16;

/// A message on its way out.
#[derive(Debug, Clone)]
pub(crate) enum Frame<'a> {
    /// It is copied for each client.
    Copied(Opcode, &'a [u8]),
    /// It is encoded, and kept once.
    Kept(Rc<[u8]>),
}

impl<'a> Frame<'a> {
    /// A message, for several clients or for one.
    pub(crate) fn new(opcode: Opcode, payload: &'a [u8], several: bool) -> Self {
        if several && payload.len() >= SHARED {
            let head = Head::new(opcode, payload.len());
            return Self::Kept([head.as_ref(), payload].concat().into());
        }
        Self::Copied(opcode, payload)
    }

    /// How many bytes it is on the network.
    fn size(&self) -> usize {
        match self {
            Self::Copied(opcode, payload) => Head::new(*opcode, payload.len()).as_ref().len() + payload.len(),
            Self::Kept(bytes) => bytes.len(),
        }
    }
}

/// What waits to be written to one client, and how its connection is to end.
///
/// The room puts messages in. They are written when the thread has done what there is to do for now, or by the
/// connection's task where the client is slow. All of it runs on one thread, so nothing here is locked.
#[derive(Debug)]
pub(crate) struct Outbox {
    stream: Rc<Stream>,
    io: Rc<Io>,
    queue: RefCell<Queue>,
    /// The most bytes that may wait.
    limit: usize,
    /// Whether it is on the list of those with something to write.
    listed: Cell<bool>,
    /// Whether the socket takes no more for now.
    blocked: Cell<bool>,
    /// Whether the client is gone.
    broken: Cell<bool>,
    /// Set once: the connection ends with this.
    ending: RefCell<Option<Close>>,
    /// Whether the room has closed the connection, and hears nothing more of the client.
    dismissed: Cell<bool>,
    /// Whether the reading waits for the outbox to empty.
    throttling: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

impl Outbox {
    pub(crate) fn new(stream: Rc<Stream>, io: Rc<Io>, limit: usize) -> Rc<Self> {
        Rc::new(Self {
            stream,
            io,
            queue: RefCell::default(),
            limit,
            listed: Cell::new(false),
            blocked: Cell::new(false),
            broken: Cell::new(false),
            ending: RefCell::default(),
            dismissed: Cell::new(false),
            throttling: Cell::new(false),
            waker: RefCell::default(),
        })
    }

    /// Adds a message. A client for which more waits than may wait is let go instead, as it does not read.
    pub(crate) fn push(self: &Rc<Self>, frame: &Frame<'_>) {
        if self.ending.borrow().is_some() || self.broken.get() {
            return;
        }
        let mut queue = self.queue.borrow_mut();
        if queue.size + frame.size() > self.limit && !self.blocked.get() {
            drop(queue);
            self.write();
            queue = self.queue.borrow_mut();
        }
        if queue.size + frame.size() > self.limit {
            queue.keep_begun();
            drop(queue);
            self.end(Close::new(Close::AGAIN, "the client does not read fast enough"));
            return;
        }
        queue.push(frame, &self.io);
        if queue.size >= BATCH && !self.blocked.get() {
            drop(queue);
            self.write();
            return;
        }
        if queue.size > 0 && !self.blocked.get() && !self.listed.replace(true) {
            self.io.write_later(Rc::clone(self));
        }
    }

    /// Adds the last frame, past what may wait.
    pub(crate) fn push_close(&self, close: Option<&Close>) {
        let payload = close.map(Close::payload).unwrap_or_default();
        self.queue.borrow_mut().push(&Frame::Copied(Opcode::Close, &payload), &self.io);
    }

    /// Writes as much as the client takes.
    pub(crate) fn write(&self) {
        self.listed.set(false);
        if self.broken.get() {
            return;
        }
        let written = self.queue.borrow_mut().write(&self.stream, &self.io);
        match written {
            Ok(()) => self.blocked.set(false),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.blocked.set(true),
            Err(_) => {
                self.queue.take();
                self.broken.set(true);
            }
        }
        if self.blocked.get() || self.broken.get() || self.throttling.get() && !self.is_half_full() {
            self.wake();
        }
    }

    /// Ends the connection once what waits has been written. The first reason counts.
    pub(crate) fn end(&self, close: Close) {
        let mut ending = self.ending.borrow_mut();
        if ending.is_none() {
            *ending = Some(close);
            drop(ending);
            self.wake();
        }
    }

    /// Ends the connection as the room wants it.
    pub(crate) fn dismiss(&self, close: Close) {
        self.dismissed.set(true);
        self.end(close);
    }

    pub(crate) fn is_dismissed(&self) -> bool {
        self.dismissed.get()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.queue.borrow().size == 0
    }

    /// Whether so much waits that the client is not to be heard until it has read.
    pub(crate) fn is_half_full(&self) -> bool {
        self.queue.borrow().size > self.limit / 2
    }

    /// Ready when the client may be heard.
    pub(crate) fn poll_audience(&self, cx: &Context<'_>) -> Poll<()> {
        let throttling = self.is_half_full();
        self.throttling.set(throttling);
        if throttling || self.dismissed.get() {
            self.wait(cx);
            return Poll::Pending;
        }
        Poll::Ready(())
    }

    /// Writes what the socket did not take at first, for as long as there is something. Ready when the client is
    /// gone or the connection is to end.
    pub(crate) fn poll_end(&self, cx: &mut Context<'_>) -> Poll<Option<Close>> {
        while self.blocked.get() && !self.broken.get() && self.stream.poll_writable(cx).is_ready() {
            self.write();
        }
        match &*self.ending.borrow() {
            _ if self.broken.get() => Poll::Ready(None),
            Some(close) => Poll::Ready(Some(close.clone())),
            None => {
                self.wait(cx);
                Poll::Pending
            }
        }
    }

    /// Writes everything. Ready when it has been, or the client is gone.
    pub(crate) fn poll_written(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            self.write();
            if self.broken.get() {
                return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
            }
            if self.is_empty() {
                return Poll::Ready(Ok(()));
            }
            if self.stream.poll_writable(cx).is_pending() {
                return Poll::Pending;
            }
        }
    }

    fn wait(&self, cx: &Context<'_>) {
        let mut waker = self.waker.borrow_mut();
        match &mut *waker {
            Some(waker) => waker.clone_from(cx.waker()),
            None => *waker = Some(cx.waker().clone()),
        }
    }

    fn wake(&self) {
        if let Some(waker) = self.waker.borrow_mut().take() {
            waker.wake();
        }
    }
}

/// Bytes that wait to be written, as they go over the network.
#[derive(Debug, Default)]
struct Queue {
    /// What comes before `last`; usually nothing.
    first: VecDeque<Piece>,
    last: Vec<u8>,
    /// How much of the very first piece has been written.
    written: usize,
    /// How many bytes wait.
    size: usize,
}

#[derive(Debug)]
enum Piece {
    Own(Vec<u8>),
    Shared(Rc<[u8]>),
}

impl AsRef<[u8]> for Piece {
    fn as_ref(&self) -> &[u8] {
        match self {
            Self::Own(bytes) => bytes,
            Self::Shared(bytes) => bytes,
        }
    }
}

impl Queue {
    fn push(&mut self, frame: &Frame<'_>, io: &Io) {
        match frame {
            Frame::Copied(opcode, payload) => {
                let head = Head::new(*opcode, payload.len());
                if self.last.capacity() == 0 {
                    self.last = io.buffer();
                }
                self.last.extend_from_slice(head.as_ref());
                self.last.extend_from_slice(payload);
                self.size += head.as_ref().len() + payload.len();
            }
            Frame::Kept(bytes) => {
                if !self.last.is_empty() {
                    self.first.push_back(Piece::Own(mem::take(&mut self.last)));
                }
                self.first.push_back(Piece::Shared(Rc::clone(bytes)));
                self.size += bytes.len();
            }
        }
    }

    /// Forgets everything but the rest of a frame that has been written in part.
    fn keep_begun(&mut self) {
        let piece = match self.first.pop_front() {
            Some(Piece::Own(bytes)) => bytes,
            Some(Piece::Shared(bytes)) => bytes.to_vec(),
            None => mem::take(&mut self.last),
        };
        self.first.clear();
        self.last = piece;
        // Pieces begin and end with frames.
        let mut end = 0;
        while end < self.written {
            end += Head::frame_size(&self.last[end..]);
        }
        self.last.truncate(end);
        self.size = end - self.written;
    }

    /// Writes until everything is written, or the stream takes no more.
    fn write(&mut self, stream: &Stream, io: &Io) -> io::Result<()> {
        while self.size > 0 {
            let written = if self.first.is_empty() {
                stream.try_write(&[IoSlice::new(&self.last[self.written..])])
            } else {
                let mut slices = [IoSlice::new(&[]); PIECES];
                let pieces = self.first.iter().map(Piece::as_ref).chain([&self.last[..]]);
                let mut skipped = self.written;
                for (slice, piece) in slices.iter_mut().zip(pieces) {
                    *slice = IoSlice::new(&piece[mem::take(&mut skipped)..]);
                }
                stream.try_write(&slices)
            };
            self.take(written?);
        }
        self.first.shrink_to_fit();
        io.give_back(mem::take(&mut self.last));
        Ok(())
    }

    /// Forgets bytes that have been written.
    fn take(&mut self, size: usize) {
        self.size -= size;
        self.written += size;
        while let Some(piece) = self.first.front().map(|piece| piece.as_ref().len())
            && self.written >= piece
        {
            self.written -= piece;
            self.first.pop_front();
        }
        if self.first.is_empty() && self.written == self.last.len() {
            self.written = 0;
            self.last.clear();
        }
    }
}
