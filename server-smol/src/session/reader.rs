use std::{
    io, mem,
    panic::{AssertUnwindSafe, catch_unwind},
    rc::Rc,
};

use stateroom_core::{MessagePayload, engine::EngineFactory};

use crate::{
    close::CloseReason,
    memory::{Buffer, Incoming, OutOfMemory},
    metrics::Count,
    reactor::OnReadable,
    room::{Event, Outcome, Room, Submitted},
    thread::{Budget, QUANTUM, Reader, Thread},
    websocket::{Item, Opcode, Violation},
    wire::Frame,
};

use super::{
    confirmations::Sent,
    connection::{Connection, End, Next},
};

/// The number of bytes that are read at a time between two messages. Bytes that are not handled at once are kept, and
/// take memory.
const BETWEEN_MESSAGES: usize = 16 << 10;

/// The number of bytes that take as long as another message.
const LIKE_ANOTHER: usize = 2 << 10;

/// The most units of input that a reader with little input handles at a time: a read, and a few messages.
const LITTLE: u32 = 8;

/// The work of a reader in one pass.
struct Share<'a> {
    units: u32,
    /// Those of them that were for input, and not for deliveries.
    input: u32,
    messages: usize,
    budget: &'a Budget,
}

impl Share<'_> {
    /// Counts so many units of input, and what it took to deliver so many messages.
    fn spend(&mut self, input: usize, deliveries: usize) {
        let [input, units] =
            [input, input + deliveries].map(|units| u32::try_from(units).unwrap_or(u32::MAX));
        self.input = self.input.saturating_add(input);
        self.units = self.units.saturating_add(units);
        self.budget.spend(units);
    }

    /// Returns whether others go on first.
    fn is_over(&self) -> bool {
        self.units >= QUANTUM || self.budget.is_over()
    }
}

/// The bytes that have been read and not handled.
#[derive(Debug)]
pub(super) struct Backlog {
    bytes: Buffer<Incoming>,
    /// The number of bytes that have been handled.
    handled: usize,
}

impl Backlog {
    pub(super) fn new(bytes: Buffer<Incoming>) -> Self {
        Self { bytes, handled: 0 }
    }
}

/// A message that waits for the room.
#[derive(Debug)]
pub(super) struct Held {
    is_text: bool,
    bytes: Buffer<Incoming>,
}

impl Held {
    pub(super) fn payload(&self) -> MessagePayload<'_> {
        match str::from_utf8(&self.bytes) {
            Ok(text) if self.is_text => MessagePayload::Text(text),
            _ => MessagePayload::Bytes(&self.bytes),
        }
    }
}

/// The records of a room that wait while messages are handled. When this is dropped, even by a panic, they are added.
struct WaitingRecords<'a, F: EngineFactory>(&'a Rc<Room<F>>);

impl<F: EngineFactory> Drop for WaitingRecords<'_, F> {
    fn drop(&mut self) {
        self.0.add_waiting();
    }
}

impl<F: EngineFactory> Connection<F> {
    /// Makes the connection read soon, because something may have come that nobody has reported.
    pub(super) fn read_soon(self: &Rc<Self>) {
        if !self.is_scheduled.replace(true) {
            let reader: Rc<Self> = Rc::clone(self);
            self.room.thread().scheduler.read_later(reader);
        }
    }

    /// Makes the task wait for what this connection waits for, and then read on. Nobody else notices meanwhile that the client
    /// has gone.
    fn pause(&self) {
        // Of one that has gone, nobody need find out. Thousands may go at once.
        if !matches!(*self.next.borrow(), Some(Next::End(_))) {
            self.socket.outbox.probe();
        }
        self.is_paused.set(true);
        self.rates().into_iter().for_each(|rates| rates.pause(self.room.thread().clock.now()));
        self.socket.outbox.wake();
    }

    /// Returns whether more is to be read: the connection goes on, nothing that was read before waits for something, and
    /// the client reads its answers.
    fn may_read(&self) -> bool {
        !self.has_ended.get()
            && !self.is_in_event.get()
            && self.next.borrow().is_none()
            && self.socket.outbox.may_be_read()
    }

    /// Reads and handles what has come, as much as is this one's share. Returns whether there may be more.
    fn read_some(&self) -> bool {
        let Thread { scheduler, buffers, memory, metrics, .. } = &**self.room.thread();
        let mut share = Share { units: 0, input: 0, messages: 0, budget: &scheduler.budget };
        buffers.flush.set_urgent(!self.reads_much.get());
        let has_more = self.read_share(&mut share);
        buffers.flush.set_urgent(false);
        if memory.take_reclaimed() {
            scheduler.budget.look();
        }
        self.reads_much.set(share.input > LITTLE);
        metrics.add(Count::MessagesReceived, share.messages);
        has_more
    }

    fn read_share(&self, share: &mut Share<'_>) -> bool {
        while self.may_read() {
            let next = self.read_once(share);
            if let Some(Next::Read) = next {
                // There is nothing to drop, which the compiler does not see.
                mem::forget(next);
                if self.backlog_is_empty() && !self.socket.stream().may_have_more() {
                    return false;
                }
                if share.is_over() {
                    return true;
                }
                continue;
            }
            match next {
                Some(next) => _ = self.next.replace(Some(next)),
                None => return false,
            }
        }
        self.pause();
        false
    }

    /// Handles what was read before, or reads once and handles what that brings. Nothing where nothing has come.
    fn read_once(&self, share: &mut Share<'_>) -> Option<Next<F>> {
        // Nearly always there is none, and to look costs less than to take.
        if !self.backlog_is_empty()
            && let Some(backlog) = self.backlog.take()
        {
            return Some(self.read_backlog(backlog, share));
        }
        let mut input = self.socket.buffers.input();
        let most = self.decoder.borrow().remaining().clamp(BETWEEN_MESSAGES, input.len());
        match self.socket.try_read(&mut input[..most]) {
            Ok(0) => Some(Next::End(End::Gone)),
            Ok(size) => {
                self.was_heard.set(true);
                if self.counts.is_some() && !self.may_send_bytes(size) {
                    return Some(Next::End(End::Close(CloseReason::TooManyBytes)));
                }
                share.spend(1 + self.socket.stream().work(size) / LIKE_ANOTHER, 0);
                self.room.thread().metrics.add(Count::BytesReceived, size);
                let mut input = &mut input[..size];
                let next = self.handle(&mut input, share);
                if input.is_empty() {
                    return Some(next);
                }
                let mut bytes = Buffer::new(self.socket.buffers.ledger());
                Some(match bytes.reserve_exact(input.len()).and_then(|()| bytes.extend(input)) {
                    Ok(()) => {
                        self.backlog.replace(Some(Backlog::new(bytes)));
                        next
                    }
                    Err(OutOfMemory) => self.end_without_memory(next),
                })
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => None,
            Err(_) => Some(Next::End(End::Gone)),
        }
    }

    /// Ends the connection, as there is no memory for what was read. An event that has begun comes to its end.
    fn end_without_memory(&self, next: Next<F>) -> Next<F> {
        self.socket.outbox.close(CloseReason::OutOfMemory);
        match next {
            Next::FinishEvent(_) => next,
            _ => Next::End(End::Close(CloseReason::OutOfMemory)),
        }
    }

    /// Handles what was read before.
    fn read_backlog(&self, backlog: Backlog, share: &mut Share<'_>) -> Next<F> {
        let Backlog { mut bytes, handled } = backlog;
        let mut input = &mut bytes[handled..];
        let next = self.handle(&mut input, share);
        let left = input.len();
        if left > 0 {
            let handled = bytes.len() - left;
            self.backlog.replace(Some(Backlog { bytes, handled }));
        }
        next
    }

    /// Handles bytes as far as that goes without waiting, and without taking too long. What is left stays in `input`.
    fn handle(&self, input: &mut &mut [u8], share: &mut Share<'_>) -> Next<F> {
        let waiting = self.room.has_history().then(|| WaitingRecords(&self.room));
        let outbox = &self.socket.outbox;
        let mut decoder = self.decoder.borrow_mut();
        let is_counted = self.counts.is_some();
        loop {
            let payload = match decoder.next(input) {
                Ok(None) => return Next::Read,
                Ok(Some(Item::Message(payload))) => payload,
                Ok(Some(Item::Ping(data))) => {
                    if !self.may_send_message() {
                        return Next::End(End::Close(CloseReason::TooManyMessages));
                    }
                    outbox.push(&Frame::new(Opcode::Pong, data));
                    share.spend(1, 0);
                    if share.is_over() || outbox.is_half_full() {
                        return Next::Read;
                    }
                    continue;
                }
                Ok(Some(Item::Pong)) => {
                    share.spend(1, 0);
                    if share.is_over() {
                        return Next::Read;
                    }
                    continue;
                }
                Ok(Some(Item::Inflating(work))) => {
                    share.spend(work as usize, 0);
                    if share.is_over() {
                        // It goes on without anything more of the client.
                        let nothing = Buffer::new(self.socket.buffers.ledger());
                        self.backlog.replace(Some(Backlog::new(nothing)));
                        return Next::Read;
                    }
                    continue;
                }
                Ok(Some(Item::Close(code))) => return Next::End(End::Close(CloseReason::ByClient(code))),
                Err(violation) => return Next::End(End::Close(self.closed_for(violation))),
            };
            let payload = match is_counted {
                false => payload,
                true => match self.count(payload) {
                    None => return Next::End(End::Close(CloseReason::TooManyMessages)),
                    Some(Sent::Message(payload)) => payload,
                    Some(Sent::Confirmation(received)) => {
                        outbox.confirm(received);
                        share.spend(1, 0);
                        if share.is_over() {
                            return Next::Read;
                        }
                        continue;
                    }
                    Some(Sent::Invalid) => return Next::End(End::Close(CloseReason::ProtocolError)),
                },
            };
            self.messages.set(self.messages.get().wrapping_add(1));
            share.messages += 1;
            if waiting.is_some() {
                self.room.defer_record(payload.data().len());
            }
            let submitted = self.room.submit(Event::Message(self.client, outbox, payload));
            let next = if let Submitted::Over(Outcome::Done) = submitted {
                // There is nothing to drop, which the compiler does not see.
                mem::forget(submitted);
                if is_counted {
                    self.confirm();
                }
                share.spend(1, self.room.deliveries());
                if !share.is_over() && !outbox.is_half_full() {
                    continue;
                }
                Next::Read
            } else {
                self.next_after(submitted, payload)
            };
            // Nobody knows when there is something to read again.
            decoder.forget_what_is_read();
            return next;
        }
    }

    /// Returns what is next after a message that has been submitted, unless it is over and all is well.
    fn next_after(&self, submitted: Submitted<'_, F>, payload: MessagePayload<'_>) -> Next<F> {
        match submitted {
            Submitted::Over(Outcome::Done) => Next::Read,
            Submitted::Over(Outcome::Refused) => Next::End(End::Close(CloseReason::MessageRefused)),
            Submitted::Over(Outcome::Ended) => Next::RoomEnded,
            Submitted::Unfinished(lock) => Next::FinishEvent(lock),
            Submitted::Busy(_) => match self.hold(payload) {
                Ok(held) => Next::WaitForRoom(held),
                Err(OutOfMemory) => Next::End(End::Close(CloseReason::OutOfMemory)),
            },
        }
    }

    /// Counts a message, unless it is a control message of a resumable session. Returns `None` if it is one too many.
    #[cold]
    #[inline(never)]
    fn count<'a>(&self, payload: MessagePayload<'a>) -> Option<Sent<'a>> {
        let confirmations = self.confirmations();
        let sent = confirmations.map_or(Sent::Message(payload), |_| Sent::new(payload));
        if let Sent::Message(payload) = &sent {
            if !self.may_send_message() {
                return None;
            }
            confirmations.into_iter().for_each(|confirmations| confirmations.add(payload.data().len()));
        }
        Some(sent)
    }

    /// Counts a message or a ping. Returns false if it is one too many.
    fn may_send_message(&self) -> bool {
        self.rates().is_none_or(|rates| rates.take_message(self.room.thread().clock.now()))
    }

    /// Counts bytes. Returns false if they are too many.
    #[cold]
    #[inline(never)]
    fn may_send_bytes(&self, number: usize) -> bool {
        self.rates().is_none_or(|rates| rates.take_bytes(number, self.room.thread().clock.now()))
    }

    /// Confirms the client's messages if it is time, and if its session is resumable.
    #[cold]
    #[inline(never)]
    pub(super) fn confirm(&self) {
        if let Some(confirmations) = self.confirmations()
            && confirmations.take_due()
        {
            self.socket.outbox.push_control(&confirmations.received().to_string());
        }
    }

    /// Returns the reason for which a client is closed that broke the protocol.
    #[cold]
    fn closed_for(&self, violation: Violation) -> CloseReason {
        match violation {
            Violation::TooLarge => {
                let thread = self.room.thread();
                let limit = thread.settings.message_size;
                // Those who develop the room want to know which limit it is.
                CloseReason::MessageTooLarge(thread.settings.show_failures.then(|| {
                    let words = format!(
                        "the message is too large: {limit} bytes are the limit (`--max-message-size`)"
                    );
                    let line =
                        || format!("room {}: client {} is closed: {words}", self.room.id(), self.client);
                    thread.log.event(log::Level::Warn, self.about(), line);
                    words.into()
                }))
            }
            Violation::Utf8 => CloseReason::NotUtf8,
            #[cfg(feature = "compression")]
            Violation::Deflate => CloseReason::NotDeflate,
            Violation::Protocol => CloseReason::ProtocolError,
            Violation::OutOfMemory => CloseReason::OutOfMemory,
        }
    }

    fn backlog_is_empty(&self) -> bool {
        self.backlog.borrow().is_none()
    }

    /// Keeps a message for which the room has no time now.
    fn hold(&self, payload: MessagePayload<'_>) -> Result<Held, OutOfMemory> {
        let (is_text, payload) = match payload {
            MessagePayload::Text(text) => (true, text.as_bytes()),
            MessagePayload::Bytes(bytes) => (false, bytes),
        };
        let mut bytes = Buffer::new(self.socket.buffers.ledger());
        bytes.reserve_exact(payload.len())?;
        bytes.extend(payload)?;
        Ok(Held { is_text, bytes })
    }

    /// Counts the messages that have been begun. `None` if no message waits for data from the client.
    pub(super) fn unfinished_message(&self) -> Option<u32> {
        let waits_for_client = self.backlog_is_empty() && self.may_read();
        (waits_for_client && self.decoder.borrow().is_in_message()).then(|| self.messages.get())
    }
}

impl<F: EngineFactory> Reader for Connection<F> {
    fn read(self: Rc<Self>) -> bool {
        let read = catch_unwind(AssertUnwindSafe(|| self.read_some()));
        // It was a fault of this crate, and has been printed. Nobody but this client is to suffer, as in a task.
        let has_more = read.unwrap_or_else(|_| {
            self.next.replace(Some(Next::End(End::Gone)));
            self.socket.outbox.wake();
            false
        });
        self.is_scheduled.set(has_more);
        has_more
    }

    fn reads_much(&self) -> bool {
        self.reads_much.get()
    }
}

impl<F: EngineFactory> OnReadable for Connection<F> {
    fn on_readable(self: Rc<Self>) {
        if !self.is_scheduled.replace(true) {
            let thread = Rc::clone(self.room.thread());
            thread.scheduler.on_readable(self);
        }
    }
}
