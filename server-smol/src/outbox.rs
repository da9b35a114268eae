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
    /// Its head, and what it carries.
    Parts(Head, &'a [u8]),
    /// As it goes over the network.
    Encoded(&'a [u8]),
    /// As it goes over the network, and kept once for all clients.
    Kept(Rc<[u8]>),
}

impl<'a> Frame<'a> {
    /// A message for one client.
    pub(crate) fn new(opcode: Opcode, payload: &'a [u8]) -> Self {
        Self::Parts(Head::new(opcode, payload.len()), payload)
    }

    /// A message for several clients, which is encoded once; `buffer` is for that.
    pub(crate) fn for_several(opcode: Opcode, payload: &[u8], buffer: &'a mut Vec<u8>) -> Self {
        let head = Head::new(opcode, payload.len());
        if payload.len() >= SHARED {
            return Self::Kept([head.as_ref(), payload].concat().into());
        }
        buffer.extend_from_slice(head.as_ref());
        buffer.extend_from_slice(payload);
        Self::Encoded(buffer)
    }

    /// How many bytes it is on the network.
    fn size(&self) -> usize {
        match self {
            Self::Parts(head, payload) => head.as_ref().len() + payload.len(),
            Self::Encoded(bytes) => bytes.len(),
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
    /// Whether nothing may follow what waits: the connection is about to end, or has.
    is_over: Cell<bool>,
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
            is_over: Cell::new(false),
            dismissed: Cell::new(false),
            throttling: Cell::new(false),
            waker: RefCell::default(),
        })
    }

    /// Adds a message. A client for which more waits than may wait is let go instead, as it does not read.
    pub(crate) fn push(self: &Rc<Self>, frame: &Frame<'_>) {
        if self.is_over.get() {
            return;
        }
        let size = frame.size();
        let mut queue = self.queue.borrow_mut();
        if queue.size + size > self.limit && !self.blocked.get() {
            drop(queue);
            self.write();
            queue = self.queue.borrow_mut();
        }
        if queue.size + size > self.limit {
            queue.keep_begun();
            drop(queue);
            self.end(Close::new(Close::AGAIN, "the client does not read fast enough"));
            return;
        }
        queue.push(frame, &self.io);
        if self.blocked.get() {
            return;
        }
        if queue.size >= BATCH {
            drop(queue);
            self.write();
        } else if !self.listed.replace(true) {
            self.io.write_later(Rc::clone(self));
        }
    }

    /// Adds the last frame, past what may wait.
    pub(crate) fn push_close(&self, close: Option<&Close>) {
        self.is_over.set(true);
        let payload = close.map(Close::payload).unwrap_or_default();
        self.queue.borrow_mut().push(&Frame::new(Opcode::Close, &payload), &self.io);
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
                self.is_over.set(true);
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
            self.is_over.set(true);
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

    /// Whether the client may be heard.
    pub(crate) fn has_audience(&self) -> bool {
        !self.is_half_full() && !self.dismissed.get()
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
    /// What comes before `last`; nothing where the client keeps up.
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
        self.size += frame.size();
        match frame {
            Frame::Parts(head, payload) => {
                let last = self.last(io);
                last.extend_from_slice(head.as_ref());
                last.extend_from_slice(payload);
            }
            Frame::Encoded(bytes) => self.last(io).extend_from_slice(bytes),
            Frame::Kept(bytes) => {
                if !self.last.is_empty() {
                    self.first.push_back(Piece::Own(mem::take(&mut self.last)));
                }
                self.first.push_back(Piece::Shared(Rc::clone(bytes)));
            }
        }
    }

    /// Where to put what comes next.
    fn last(&mut self, io: &Io) -> &mut Vec<u8> {
        // What has been written of a piece is free only with all of it, and a client that is always a little behind
        // never takes all that waits.
        if self.last.len() >= BATCH {
            self.first.push_back(Piece::Own(mem::take(&mut self.last)));
        }
        if self.last.capacity() == 0 {
            self.last = io.buffer();
        }
        &mut self.last
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

#[cfg(test)]
mod tests {
    use std::{
        future::poll_fn,
        io::Read as _,
        net::{Ipv4Addr, TcpListener, TcpStream},
    };

    use super::*;
    use crate::reactor::Reactor;

    /// Runs a test with an outbox of a connection, and its other end.
    fn with_outbox(limit: usize, test: impl FnOnce(&Rc<Outbox>, TcpStream, &Io)) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (stream, _) = listener.accept().unwrap();
        stream.set_nonblocking(true).unwrap();
        let reactor = Reactor::new().unwrap();
        let test = async {
            let io = Rc::new(Io::default());
            let stream = Rc::new(Stream::new(stream).unwrap());
            test(&Outbox::new(stream, Rc::clone(&io), limit), client, &io);
        };
        reactor.block_on(test, || {});
    }

    fn text(text: &str) -> Frame<'_> {
        Frame::new(Opcode::Text, text.as_bytes())
    }

    /// The payloads of frames that have been written, whose heads have two, four or ten bytes.
    fn frames(mut bytes: &[u8]) -> Vec<(u8, Vec<u8>)> {
        let mut frames = Vec::new();
        while !bytes.is_empty() {
            let (frame, rest) = bytes.split_at(Head::frame_size(bytes));
            let head = match frame[1] {
                127 => 10,
                126 => 4,
                _ => 2,
            };
            frames.push((frame[0] & 0x0f, frame[head..].to_vec()));
            bytes = rest;
        }
        frames
    }

    /// Everything that is written until the outbox is gone.
    fn rest(mut client: TcpStream) -> Vec<u8> {
        let mut bytes = Vec::new();
        client.read_to_end(&mut bytes).unwrap();
        bytes
    }

    #[test]
    fn what_comes_together_is_written_together_and_in_order() {
        let large = "x".repeat(SHARED);
        with_outbox(1 << 20, |outbox, client, io| {
            let mut buffers = [Vec::new(), Vec::new()];
            let [kept, encoded] = &mut buffers;
            let kept = Frame::for_several(Opcode::Text, large.as_bytes(), kept);
            let encoded = Frame::for_several(Opcode::Text, b"b", encoded);
            assert!(matches!(kept, Frame::Kept(_)) && matches!(encoded, Frame::Encoded(_)));
            for frame in [&text("a"), &encoded, &kept, &text("c"), &kept, &kept, &text("")] {
                outbox.push(frame);
            }
            assert!(!outbox.is_empty());
            io.end_round();
            assert!(outbox.is_empty());
            outbox.stream.end_writing().unwrap();
            let texts: Vec<_> = frames(&rest(client)).into_iter().map(|(_, text)| text).collect();
            let large = large.as_bytes();
            assert_eq!(texts, [b"a", b"b", large, b"c", large, large, b""]);
        });
    }

    #[test]
    fn buffers_are_given_back_when_all_is_written() {
        with_outbox(1 << 20, |outbox, _client, io| {
            for _ in 0..3 {
                outbox.push(&text("hello"));
                assert_ne!(outbox.queue.borrow().last.capacity(), 0);
                io.end_round();
                let queue = outbox.queue.borrow();
                assert_eq!((queue.last.capacity(), queue.first.capacity()), (0, 0));
            }
            assert_ne!(io.buffer().capacity(), 0);
        });
    }

    #[test]
    fn a_client_that_does_not_read_is_let_go_and_the_frame_that_it_has_begun_to_get_ends() {
        let filler = "x".repeat(50_000);
        for several in [false, true] {
            with_outbox(200_000, |outbox, client, io| {
                let mut buffer = Vec::new();
                let frame = match several {
                    false => text(&filler),
                    true => Frame::for_several(Opcode::Text, filler.as_bytes(), &mut buffer),
                };
                let mut pushed = 0;
                while outbox.ending.borrow().is_none() {
                    outbox.push(&frame);
                    io.end_round();
                    pushed += 1;
                }
                assert_eq!(outbox.ending.borrow().as_ref().map(|close| close.code), Some(Close::AGAIN));
                outbox.push(&text("late"));
                outbox.push_close(outbox.ending.borrow().as_ref());
                // The client takes in what is on its way, and the rest follows.
                let reading = std::thread::spawn(|| rest(client));
                while !outbox.is_empty() {
                    std::thread::yield_now();
                    outbox.stream.assume_writable();
                    outbox.write();
                }
                outbox.stream.end_writing().unwrap();
                let frames = frames(&reading.join().unwrap());
                let (close, texts) = frames.split_last().unwrap();
                assert_eq!((close.0, &close.1[..2]), (Opcode::Close as u8, &Close::AGAIN.to_be_bytes()[..]));
                assert!(texts.iter().all(|(_, text)| text == filler.as_bytes()));
                assert!(texts.len() < pushed);
            });
        }
    }

    #[test]
    fn a_message_larger_than_the_limit_is_too_much_for_any_client() {
        with_outbox(1_000, |outbox, _client, _| {
            outbox.push(&text(&"x".repeat(996)));
            assert_eq!(*outbox.ending.borrow(), None);
            outbox.push(&text(&"x".repeat(997)));
            assert_eq!(outbox.ending.borrow().as_ref().map(|close| close.code), Some(Close::AGAIN));
        });
    }

    #[test]
    fn a_client_is_heard_until_half_of_the_limit_waits() {
        with_outbox(1_000, |outbox, _client, io| {
            outbox.push(&text(&"x".repeat(490)));
            assert!(!outbox.is_half_full());
            outbox.push(&text(&"x".repeat(10)));
            assert!(outbox.is_half_full());
            io.end_round();
            assert!(!outbox.is_half_full());
        });
    }

    #[test]
    fn the_first_reason_counts_and_nothing_comes_after_it() {
        with_outbox(10_000, |outbox, client, io| {
            outbox.push(&text("before"));
            outbox.end(Close::new(Close::ERROR, "first"));
            outbox.end(Close::new(Close::AWAY, "second"));
            outbox.dismiss(Close::new(1000, "third"));
            outbox.push(&text("late"));
            io.end_round();
            let end = smol::block_on(poll_fn(|cx| outbox.poll_end(cx)));
            assert_eq!(end, Some(Close::new(Close::ERROR, "first")));
            outbox.stream.end_writing().unwrap();
            assert_eq!(frames(&rest(client)), [(1, b"before".to_vec())]);
        });
    }

    #[test]
    fn what_a_client_has_taken_is_not_kept_though_it_is_always_behind() {
        with_outbox(1 << 20, |outbox, mut client, io| {
            client.set_nonblocking(true).unwrap();
            let (filler, mut taken) = ("x".repeat(10_000), vec![0; 1 << 20]);
            let (mut pushed, mut read) = (0, 0);
            while pushed < 64 << 20 {
                // As long as there is little left it gets more, and then takes a part of it.
                while outbox.queue.borrow().size < 500_000 {
                    outbox.push(&text(&filler));
                    pushed += filler.len();
                    io.end_round();
                }
                read += client.read(&mut taken[..100_000]).unwrap_or(0);
                outbox.stream.assume_writable();
                outbox.write();
                assert!(!outbox.is_empty(), "this test needs a client that is behind");
            }
            assert!(read > 32 << 20);
            let queue = outbox.queue.borrow();
            let kept: usize = queue.first.iter().map(|piece| piece.as_ref().len()).sum();
            assert!(kept + queue.last.capacity() < 4 << 20, "{}", kept + queue.last.capacity());
        });
    }

    #[test]
    fn nothing_comes_after_a_close_frame() {
        with_outbox(10_000, |outbox, client, io| {
            outbox.push(&text("before"));
            outbox.push_close(None);
            outbox.push(&text("late"));
            io.end_round();
            outbox.stream.end_writing().unwrap();
            assert_eq!(frames(&rest(client)), [(1, b"before".to_vec()), (8, vec![])]);
        });
    }
}
