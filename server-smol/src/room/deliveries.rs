use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    rc::Rc,
};

use stateroom_core::{ClientId, MessageRecipient};

use crate::{
    close::CloseReason,
    memory::{Buffer, OutOfMemory},
    metrics::Count,
    thread::Thread,
    websocket::Opcode,
    wire::{Frame, Outbox, SharedFrame},
};

use super::roster::{Roster, among};

/// The number of messages or closes that are delivered in one step, in some 50 µs.
const STRETCH: usize = 256;

/// The number of bytes of a message that count as one more delivery, because they are copied and written.
const LIKE_ANOTHER: usize = 1 << 10;

/// A message to at most this many clients is delivered at once.
const FEW: usize = 64;

/// Delivers what a room's service sends: at once, if it is for few clients, and piece by piece otherwise.
#[derive(Debug)]
pub(super) struct Deliveries {
    thread: Rc<Thread>,
    /// The deliveries that have not reached all of their recipients, in order.
    pending: RefCell<VecDeque<Delivery>>,
    /// The number of messages and closes that have been delivered since others could run.
    count: Cell<usize>,
    /// True if there was no memory for a message to several clients.
    has_failed: Cell<bool>,
    /// True if something is pending, or has failed.
    is_special: Cell<bool>,
}

#[derive(Debug)]
struct Delivery {
    content: Content,
    recipient: MessageRecipient,
    /// The first client that may not have got it.
    next: ClientId,
}

#[derive(Debug)]
enum Content {
    Message(Rc<SharedFrame>),
    Close(CloseReason),
}

impl Content {
    fn deliver(&self, outbox: &Rc<Outbox>) {
        match self {
            Self::Message(frame) => outbox.push(&Frame::Shared(Rc::clone(frame))),
            Self::Close(reason) => outbox.close_by_room(reason.clone()),
        }
    }

    fn size(&self) -> usize {
        match self {
            Self::Message(frame) => (**frame).as_ref().len(),
            Self::Close(_) => 0,
        }
    }
}

impl Deliveries {
    pub(super) fn new(thread: Rc<Thread>) -> Self {
        Self {
            thread,
            pending: RefCell::default(),
            count: Cell::new(0),
            has_failed: Cell::new(false),
            is_special: Cell::new(false),
        }
    }

    /// Sends a message to clients of `roster`.
    // There are two callers, and for one of them it is a part of each message: a call would take 1 % more instructions.
    #[inline(always)]
    pub(super) fn send(&self, roster: &Roster, recipient: MessageRecipient, opcode: Opcode, payload: &[u8]) {
        let list = roster.borrow();
        if self.is_pending() || self.is_for_many(list.len(), recipient, payload.len()) {
            let frame = SharedFrame::new(opcode, payload, &self.thread.memory);
            drop(list);
            return self.add(roster, recipient, frame.map(Content::Message));
        }
        match recipient {
            MessageRecipient::Client(_) => {
                self.note(1, payload.len());
                let frame = Frame::new(opcode, payload);
                among(&list, recipient).for_each(|(_, outbox)| outbox.push(&frame));
            }
            MessageRecipient::Broadcast | MessageRecipient::EveryoneExcept(_) => {
                self.note(list.len(), payload.len());
                let buffers = &self.thread.buffers;
                let mut buffer: Buffer = buffers.take();
                self.thread.buffers.flush.set_for_many(list.len() > FEW);
                match Frame::for_several(opcode, payload, &mut buffer, &self.thread.memory) {
                    Ok(frame) => among(&list, recipient).for_each(|(_, outbox)| outbox.push(&frame)),
                    Err(OutOfMemory) => self.note_failed(),
                }
                self.thread.buffers.flush.set_for_many(false);
                buffers.give_back(buffer);
            }
        }
    }

    /// Closes the connections of clients of `roster`.
    pub(super) fn close(&self, roster: &Roster, recipient: MessageRecipient, reason: CloseReason) {
        self.add(roster, recipient, Ok(Content::Close(reason)));
    }

    fn add(&self, roster: &Roster, recipient: MessageRecipient, content: Result<Content, OutOfMemory>) {
        match content {
            Ok(content) => {
                let delivery = Delivery { content, recipient, next: ClientId(0) };
                self.pending.borrow_mut().push_back(delivery);
                self.is_special.set(true);
                self.go_on(roster);
            }
            Err(OutOfMemory) => self.note_failed(),
        }
    }

    /// Delivers some of what is pending.
    pub(super) fn go_on(&self, roster: &Roster) {
        let list = roster.borrow();
        let mut pending = self.pending.borrow_mut();
        while !self.is_enough()
            && let Some(Delivery { content, recipient, next }) = pending.front_mut()
        {
            let recipient = *recipient;
            if let MessageRecipient::Client(_) = recipient {
                self.note(1, content.size());
                among(&list, recipient).for_each(|(_, outbox)| content.deliver(outbox));
                pending.pop_front();
                continue;
            }
            let begin = list.partition_point(|(client, _)| *client < *next);
            // Each takes as long as its bytes, even the first.
            let left = STRETCH.saturating_sub(self.count.get()) / cost(1, content.size());
            let (stretch, rest) = list[begin..].split_at(list[begin..].len().min(left.max(1)));
            self.note(stretch.len().max(1), content.size());
            self.thread.buffers.flush.set_for_many(list.len() > FEW);
            among(stretch, recipient).for_each(|(_, outbox)| content.deliver(outbox));
            self.thread.buffers.flush.set_for_many(false);
            match rest.first() {
                Some((client, _)) => *next = *client,
                None => drop(pending.pop_front()),
            }
        }
    }

    /// Returns whether a message has so many recipients that others run before it is delivered to all.
    fn is_for_many(&self, clients: usize, recipient: MessageRecipient, size: usize) -> bool {
        !matches!(recipient, MessageRecipient::Client(_)) && cost(clients, size) > STRETCH
    }

    /// Counts the delivery of so many bytes to so many clients.
    fn note(&self, clients: usize, size: usize) {
        self.count.set(self.count.get() + cost(clients, size));
        self.thread.metrics.add(Count::MessagesSent, clients);
    }

    /// Begins to count anew.
    pub(super) fn reset(&self) {
        self.count.set(0);
    }

    /// Returns the number of deliveries since then, in messages.
    pub(super) fn count(&self) -> usize {
        self.count.get()
    }

    /// Returns whether so much has been delivered that others should run first.
    pub(super) fn is_enough(&self) -> bool {
        self.count.get() >= STRETCH
    }

    /// Returns whether something has not been delivered to all of its recipients.
    pub(super) fn is_pending(&self) -> bool {
        self.is_special.get() && !self.pending.borrow().is_empty()
    }

    fn note_failed(&self) {
        self.has_failed.set(true);
        self.is_special.set(true);
    }

    /// Returns whether nothing is pending, and nothing has failed, as nearly always.
    pub(super) fn is_ordinary(&self) -> bool {
        !self.is_special.get()
    }

    /// Begins anew: nothing is pending, and nothing has failed.
    pub(super) fn settle(&self) {
        self.is_special.set(false);
    }

    /// Forgets what is pending.
    pub(super) fn clear(&self) {
        self.pending.take();
    }

    /// Returns whether there was no memory for a message since the last time.
    pub(super) fn take_failed(&self) -> bool {
        self.has_failed.take()
    }
}

fn cost(clients: usize, size: usize) -> usize {
    clients * (1 + size / LIKE_ANOTHER)
}
