mod session;
#[cfg(test)]
mod tests;

use std::{
    cell::{Cell, RefCell},
    io,
    rc::Rc,
    task::{Context, Poll, Waker},
};

use crate::{
    close::CloseReason,
    memory::{OutOfMemory, Purpose},
    metrics::Count,
    reactor::{OnReadable, Stream},
    websocket::{Opcode, close_payload},
};

use self::session::SessionState;
use super::{
    Buffers, FlushList, Frame,
    queue::{CHUNK, Queue, STEP, Written},
};

/// The data that waits to be written to one client, and the way in which its connection ends.
///
/// The room puts messages in. They are written at the end of the pass, or when the socket takes more. All of it runs on
/// one thread, so nothing here is locked.
#[derive(Debug)]
pub(crate) struct Outbox {
    pub(super) stream: Stream,
    buffers: Rc<Buffers>,
    queue: RefCell<Queue>,
    /// The most bytes that may wait.
    limit: usize,
    /// True if it is on the list of outboxes with something to write.
    listed: Cell<bool>,
    /// Its key among the slow clients, while the socket takes no more.
    blocked: Cell<Option<usize>>,
    /// The way in which the queue is written.
    output: Cell<Output>,
    /// Set once: the connection ends with this.
    closing: RefCell<Option<CloseReason>>,
    /// True if nothing may follow what waits: the connection is about to end, or has.
    is_over: Cell<bool>,
    /// The way of a message into the queue.
    way: Cell<Way>,
    /// The state of the client's session, if it is resumable.
    session: RefCell<Option<Box<SessionState>>>,
    /// The size of the largest message that may be compressed; 0 if the client has not agreed to that.
    #[cfg(feature = "compression")]
    most_compressed: Cell<usize>,
    /// True if the room has closed the connection, and hears nothing more of the client.
    closed_by_room: Cell<bool>,
    /// True if the reading waits for the outbox to empty.
    throttling: Cell<bool>,
    /// The numbers of bytes that were added, and that may be written, if the thread's rooms are kept on disk: see [`Gate`](super::Gate).
    added: Cell<u64>,
    released: Cell<u64>,
    /// True if something was added in this pass.
    is_changed: Cell<bool>,
    /// Counts the times that something was written, to see whether anything is.
    progress: Cell<u32>,
    waker: RefCell<Option<Waker>>,
}

/// The result of adding a frame.
enum Added {
    /// So many bytes wait now, and the socket may take them.
    Writable(usize),
    /// The socket takes nothing at the moment.
    Blocked,
    /// The client is closed instead.
    Not,
}

/// The way of a message into the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// It just goes there.
    Plain,
    /// It is held back there.
    HeldBack,
    /// There is more to be done: the connection is about to end, or has ended, the client has a resumable session, or messages are
    /// compressed.
    Special,
}

/// The way in which an outbox is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Output {
    /// At once.
    Free,
    /// When the events are on the disk that it comes from.
    HeldBack,
    /// Not at all: the client is gone.
    Broken,
}

impl Outbox {
    pub(crate) fn new(stream: Stream, buffers: Rc<Buffers>, limit: usize) -> Rc<Self> {
        let is_gated = buffers.gate.get().is_some();
        Rc::new(Self {
            stream,
            buffers,
            queue: RefCell::default(),
            limit,
            listed: Cell::new(false),
            blocked: Cell::new(None),
            output: Cell::new(if is_gated { Output::HeldBack } else { Output::Free }),
            closing: RefCell::default(),
            is_over: Cell::new(false),
            way: Cell::new(if is_gated { Way::HeldBack } else { Way::Plain }),
            session: RefCell::default(),
            #[cfg(feature = "compression")]
            most_compressed: Cell::new(0),
            closed_by_room: Cell::new(false),
            throttling: Cell::new(false),
            added: Cell::new(0),
            released: Cell::new(0),
            is_changed: Cell::new(false),
            progress: Cell::new(0),
            waker: RefCell::default(),
        })
    }

    /// Adds a message. A client for which more waits than may wait is closed instead, as it does not read.
    pub(crate) fn push(self: &Rc<Self>, frame: &Frame<'_>) {
        match self.way.get() {
            Way::HeldBack => return self.push_gated(frame),
            Way::Special if !self.push_special(frame) => return,
            Way::Plain | Way::Special => {}
        }
        self.push_now(frame);
    }

    #[inline(always)]
    fn push_now(self: &Rc<Self>, frame: &Frame<'_>) {
        match self.add(frame) {
            Added::Writable(waiting) if waiting >= CHUNK => self.write(),
            Added::Writable(_) if !self.listed.replace(true) => self.buffers.flush.add(Rc::clone(self)),
            Added::Writable(_) | Added::Blocked | Added::Not => {}
        }
    }

    /// Adds a frame, and holds it back.
    #[inline(never)]
    fn push_gated(self: &Rc<Self>, frame: &Frame<'_>) {
        match self.add(frame) {
            Added::Writable(_) | Added::Blocked => self.hold_back(frame.size()),
            Added::Not => {}
        }
    }

    /// Keeps a frame, compresses it, holds it back, or drops it. Returns true if it is still to be added like any other.
    #[cold]
    fn push_special(self: &Rc<Self>, frame: &Frame<'_>) -> bool {
        let is_wanted = self.keep(frame);
        #[cfg(feature = "compression")]
        if is_wanted && self.push_compressed(frame) {
            return false;
        }
        if is_wanted && self.is_gated() {
            self.push_gated(frame);
            return false;
        }
        is_wanted
    }

    /// Compresses the messages of at most this size, as the client has agreed to.
    #[cfg(feature = "compression")]
    pub(crate) fn compress(&self, most: usize) {
        self.most_compressed.set(most);
        self.way.set(Way::Special);
    }

    /// Returns whether the client has agreed to compressed messages.
    #[cfg(feature = "compression")]
    pub(crate) fn compresses(&self) -> bool {
        self.most_compressed.get() > 0
    }

    /// Adds the compressed form of a message. Returns false if it has none.
    #[cfg(feature = "compression")]
    fn push_compressed(self: &Rc<Self>, frame: &Frame<'_>) -> bool {
        let compression = self.buffers.compression.get().filter(|_| self.compresses());
        compression.is_some_and(|compression| {
            compression.with(frame, self.most_compressed.get(), |frame| self.push_unkept(frame))
        })
    }

    /// Adds a frame without keeping it.
    fn push_unkept(self: &Rc<Self>, frame: &Frame<'_>) {
        if self.is_gated() { self.push_gated(frame) } else { self.push_now(frame) }
    }

    /// Adds a frame to the queue. If there is no space or memory for it, the client is closed.
    #[inline(always)]
    fn add(self: &Rc<Self>, frame: &Frame<'_>) -> Added {
        let size = frame.size();
        let mut queue = self.queue.borrow_mut();
        if queue.size + size > self.limit {
            drop(queue);
            if !self.make_space(size) {
                self.abandon(CloseReason::ClientTooSlow);
                return Added::Not;
            }
            queue = self.queue.borrow_mut();
        }
        let is_blocked = self.is_blocked();
        let prepared = if is_blocked { queue.prepare_blocked(frame, &self.buffers) } else { Ok(()) };
        if let Err(OutOfMemory) = prepared.and_then(|()| queue.push(frame, &self.buffers)) {
            drop(queue);
            self.abandon(CloseReason::OutOfMemory);
            return Added::Not;
        }
        if is_blocked { Added::Blocked } else { Added::Writable(queue.size) }
    }

    /// Writes what waits, if more would wait than may. Returns whether so many bytes may be added then.
    #[cold]
    #[inline(never)]
    fn make_space(self: &Rc<Self>, size: usize) -> bool {
        let has_space = || {
            let waiting = self.queue.borrow().size;
            // The client is not at fault for what it was not sent.
            waiting + size <= self.limit.saturating_add(self.held_back_of(waiting))
        };
        if !has_space() && !self.is_blocked() {
            self.write();
        }
        has_space()
    }

    /// Sends the greeting of a resumable session, as the `connect` of its client begins.
    pub(crate) fn greet(self: &Rc<Self>) {
        if self.way.get() == Way::Special {
            self.greet_now();
        }
    }

    /// Finds out whether a client that writes no more is still there: the system of one that is gone answers a ping with a
    /// reset, and the next one cannot be written.
    pub(crate) fn probe(self: &Rc<Self>) {
        if self.stream.has_hung_up() {
            self.push(&Frame::new(Opcode::Ping, &[]));
        }
    }

    /// Adds the close frame, even if the outbox is full.
    pub(crate) fn push_close(self: &Rc<Self>, reason: &CloseReason) {
        self.set_over();
        let payload = close_payload(reason.code(), reason.words());
        self.push_in_any_case(&Frame::new(Opcode::Close, &payload));
    }

    /// Adds a small frame, even if the outbox is full. It is written before the connection ends.
    fn push_in_any_case(self: &Rc<Self>, frame: &Frame<'_>) {
        // A client that cannot have these few bytes has to do without.
        if self.queue.borrow_mut().push(frame, &self.buffers).is_ok() && self.is_gated() {
            self.hold_back(frame.size());
        }
    }

    /// Notes that bytes have been added, which may be written when the events that they come from are on the disk.
    fn hold_back(self: &Rc<Self>, size: usize) {
        self.added.set(self.added.get() + size as u64);
        if !self.is_changed.replace(true)
            && let Some(gate) = self.buffers.gate.get()
        {
            gate.add(Rc::clone(self));
        }
    }

    /// Returns the number of bytes that may not be written yet.
    fn held_back(&self) -> u64 {
        self.added.get() - self.released.get()
    }

    /// Returns how many of these bytes, which wait, may not be written yet.
    #[cold]
    fn held_back_of(&self, waiting: usize) -> usize {
        usize::try_from(self.held_back()).unwrap_or(usize::MAX).min(waiting)
    }

    /// Returns whether nothing of what waits may be written yet.
    pub(crate) fn is_held_back(&self) -> bool {
        let waiting = self.queue.borrow().size;
        waiting > 0 && self.held_back() >= waiting as u64
    }

    /// Ready when all of what waits may be written, or the client is gone. Nothing may follow what waits.
    pub(super) fn poll_released(self: &Rc<Self>, cx: &mut Context<'_>) -> Poll<()> {
        // So the release wakes the task.
        self.set_over();
        self.write_blocked(cx);
        if self.held_back() == 0 || self.is_broken() {
            return Poll::Ready(());
        }
        self.wait_for_release(cx);
        Poll::Pending
    }

    /// Returns whether half of what may wait is held back.
    pub(super) fn is_held_back_half(&self) -> bool {
        self.held_back() > self.limit as u64 / 2
    }

    /// Ends a pass in which something was added. Returns the number of bytes that were added up to now.
    pub(super) fn seal(&self) -> u64 {
        self.is_changed.set(false);
        self.added.get()
    }

    /// Lets the first `bytes` of all that was added be written.
    pub(super) fn release(self: &Rc<Self>, bytes: u64, flush: &FlushList) {
        self.released.set(bytes);
        if !self.is_blocked() && !self.is_broken() && !self.listed.replace(true) {
            flush.add(Rc::clone(self));
        }
        // A connection that is about to end waits for this.
        if self.is_over.get() {
            self.wake();
        }
    }

    /// Writes as much as the client takes, and as much as goes in one step.
    pub(crate) fn write(self: &Rc<Self>) {
        self.write_and_list();
    }

    /// Writes a step, and enters the list again if there is more.
    #[inline(always)]
    fn write_and_list(self: &Rc<Self>) {
        if self.write_step() && !self.listed.replace(true) {
            self.buffers.flush.add(Rc::clone(self));
        }
    }

    /// Writes, as it is next on the list of those that have something to write. Returns how many bytes that was, at most.
    // It becomes a part of what runs for each message.
    #[inline(always)]
    pub(super) fn flush(self: Rc<Self>) -> usize {
        let size = self.queue.borrow().size;
        self.listed.set(false);
        self.write_and_list();
        size.min(STEP)
    }

    /// Writes as much as goes in one step. Answers whether there is more to write at once.
    #[inline(never)]
    fn write_step(self: &Rc<Self>) -> bool {
        let mut queue = self.queue.borrow_mut();
        let before = queue.size;
        let written = match self.output.get() {
            Output::Free => queue.write(&self.stream, &self.buffers),
            Output::HeldBack => self.write_released(&mut queue),
            Output::Broken => return false,
        };
        if queue.size < before {
            self.buffers.metrics.add(Count::BytesSent, before - queue.size);
            self.progress.set(self.progress.get().wrapping_add(1));
        }
        drop(queue);
        match written {
            Ok(written) => {
                self.set_blocked(false);
                if self.throttling.get() && !self.is_half_full() {
                    self.wake();
                }
                written == Written::Some
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.set_blocked(true);
                self.wake();
                // What waits for those who do not read leaves space for the answers to others.
                if !self.buffers.ledger().has_space(Purpose::New) {
                    self.cut_off(CloseReason::OutOfMemory);
                }
                false
            }
            Err(_) => {
                self.give_up();
                self.wake();
                false
            }
        }
    }

    /// Writes what is not held back.
    #[cold]
    #[inline(never)]
    fn write_released(&self, queue: &mut Queue) -> io::Result<Written> {
        let waiting = queue.size;
        let held_back = self.held_back_of(waiting);
        // The socket may take more, but there is nothing for it yet.
        let is_nothing = held_back == waiting && waiting > 0;
        if is_nothing { Ok(Written::All) } else { queue.write_up_to(&self.stream, &self.buffers, held_back) }
    }

    /// Closes the connection. What has not been written is lost.
    pub(super) fn hang_up(self: &Rc<Self>) {
        self.give_up();
        self.stream.close();
    }

    fn give_up(self: &Rc<Self>) {
        self.buffers.slow_clients.discard(|discarded| self.queue.borrow_mut().clear(discarded));
        self.set_blocked(false);
        self.output.set(Output::Broken);
        self.set_over();
    }

    /// From now on, nothing follows what waits.
    fn set_over(&self) {
        self.is_over.set(true);
        self.way.set(Way::Special);
    }

    /// Ends the connection once what waits has been written. The first reason counts.
    pub(crate) fn close(&self, reason: CloseReason) {
        let mut closing = self.closing.borrow_mut();
        if closing.is_none() {
            *closing = Some(reason);
            drop(closing);
            self.set_over();
            self.wake();
        }
    }

    /// Ends the connection as the room wants it.
    pub(crate) fn close_by_room(&self, reason: CloseReason) {
        self.closed_by_room.set(true);
        self.close(reason);
    }

    /// Ends the connection without what waits, but for the rest of a frame that has been written in part.
    #[cold]
    pub(crate) fn abandon(&self, reason: CloseReason) {
        self.buffers.slow_clients.discard(|discarded| self.queue.borrow_mut().keep_begun(discarded));
        self.close(reason);
    }

    /// Ends the connection at once, without a close frame and the rest of a frame that has been begun: their memory is needed.
    #[cold]
    pub(super) fn cut_off(self: &Rc<Self>, reason: CloseReason) {
        self.give_up();
        self.close(reason);
    }

    pub(crate) fn is_closed_by_room(&self) -> bool {
        self.closed_by_room.get()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.queue.borrow().size == 0
    }

    /// Returns whether so much data waits that nothing is read from the client until it has taken some.
    pub(crate) fn is_half_full(&self) -> bool {
        self.queue.borrow().size > self.limit / 2
    }

    /// Returns whether the client may be read from.
    pub(crate) fn may_be_read(&self) -> bool {
        !self.is_half_full() && !self.closed_by_room.get()
    }

    /// Counts the times that something was written. Nothing where nothing waits. Tries once more, as the system tells of
    /// space only when there is a lot of it.
    pub(crate) fn progress(self: &Rc<Self>) -> Option<u32> {
        if self.is_blocked() {
            self.stream.assume_writable();
            self.write();
        }
        (!self.is_empty() && !self.is_held_back()).then(|| self.progress.get())
    }

    /// Returns about how many bytes would be free if the client were [abandoned](Self::abandon), and if it were [cut
    /// off](Self::cut_off). `None` if that cannot be now.
    pub(super) fn reclaimable(&self) -> Option<[usize; 2]> {
        let queue = self.queue.try_borrow_mut().ok()?;
        let abandoned = if self.closing.borrow().is_none() { queue.reclaimable() } else { 0 };
        (!self.is_broken()).then(|| [abandoned, queue.size])
    }

    /// Ready when the client may be heard.
    pub(crate) fn poll_may_be_read(&self, cx: &Context<'_>) -> Poll<()> {
        let throttling = self.is_half_full();
        self.throttling.set(throttling);
        if throttling || self.closed_by_room.get() {
            self.wait(cx);
            return Poll::Pending;
        }
        Poll::Ready(())
    }

    /// Writes what the socket did not take at first, for as long as there is something. Ready when the client is
    /// gone or the connection is to end.
    pub(crate) fn poll_closing(self: &Rc<Self>, cx: &mut Context<'_>) -> Poll<Option<CloseReason>> {
        self.write_blocked(cx);
        match &*self.closing.borrow() {
            _ if self.is_broken() => Poll::Ready(None),
            Some(reason) => Poll::Ready(Some(reason.clone())),
            None => {
                self.wait(cx);
                Poll::Pending
            }
        }
    }

    /// Writes what the socket did not take at first, as far as it takes that now.
    fn write_blocked(self: &Rc<Self>, cx: &mut Context<'_>) {
        while self.is_blocked() && !self.is_broken() && self.stream.poll_writable(cx).is_ready() {
            self.write();
        }
    }

    /// Writes everything. Ready when it has been, or the client is gone.
    pub(crate) fn poll_written(self: &Rc<Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            let wants_more = self.write_step();
            if self.is_broken() {
                return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
            }
            if self.is_empty() && !self.is_blocked() {
                return Poll::Ready(Ok(()));
            }
            if wants_more {
                // Others go first.
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            if self.is_held_back() {
                self.wait_for_release(cx);
                return Poll::Pending;
            }
            if self.stream.poll_writable(cx).is_pending() {
                return Poll::Pending;
            }
        }
    }

    fn is_broken(&self) -> bool {
        self.output.get() == Output::Broken
    }

    /// Returns whether messages are held back: the thread's rooms are kept on disk.
    fn is_gated(&self) -> bool {
        self.output.get() == Output::HeldBack
    }

    fn is_blocked(&self) -> bool {
        self.blocked.get().is_some()
    }

    fn set_blocked(self: &Rc<Self>, is_blocked: bool) {
        match (self.blocked.get(), is_blocked) {
            (None, true) => self.blocked.set(Some(self.buffers.slow_clients.add(self))),
            (Some(key), false) => {
                self.blocked.set(None);
                self.buffers.slow_clients.remove(key);
            }
            (None, false) | (Some(_), true) => {}
        }
    }

    fn wait(&self, cx: &Context<'_>) {
        let mut waker = self.waker.borrow_mut();
        match &mut *waker {
            Some(waker) => waker.clone_from(cx.waker()),
            None => *waker = Some(cx.waker().clone()),
        }
    }

    /// Wakes the connection's task to look at what is to be done.
    pub(crate) fn wake(&self) {
        self.wake_closing();
        if let Some(waker) = self.waker.borrow_mut().take() {
            waker.wake();
        }
    }
}

/// Probes a client that waits, and that nothing is read from.
impl OnReadable for Outbox {
    fn on_readable(self: Rc<Self>) {
        self.probe();
    }
}

impl Drop for Outbox {
    fn drop(&mut self) {
        if let Some(session) = self.session.get_mut() {
            self.buffers.kept_messages.remove(session.key());
        }
        if let Some(key) = self.blocked.get() {
            self.buffers.slow_clients.remove(key);
        }
    }
}
