use std::{
    cell::{OnceCell, RefCell, RefMut},
    rc::Rc,
};

use crate::{
    memory::{Buffer, Ledger},
    metrics::Metrics,
};

#[cfg(feature = "compression")]
use super::Compression;
use super::{FlushList, Gate, KeptMessages, SlowClients};

/// The most that is read at a time, in bytes.
const INPUT: usize = 64 << 10;
/// The maximum number of buffers that are kept for outboxes, the maximum size of each, and the part of the memory that
/// they may have together.
const SPARE: usize = 64;
const SPARE_SIZE: usize = 64 << 10;
const SPARE_PART: usize = 32;

/// The buffers that the connections of a thread share, so that a connection between two messages holds none: the
/// bytes that are read into, spare buffers for what is about to be written, and the lists of connections with
/// something to write and of those whose sockets take nothing.
#[derive(Debug)]
pub(crate) struct Buffers {
    input: RefCell<Box<[u8]>>,
    spare: RefCell<Vec<Buffer>>,
    most_spare: usize,
    pub(crate) flush: FlushList,
    pub(crate) slow_clients: Rc<SlowClients>,
    pub(crate) kept_messages: Rc<KeptMessages>,
    /// Set if the thread's rooms are kept on disk.
    pub(crate) gate: OnceCell<Gate>,
    /// Set if clients may agree to compressed messages.
    #[cfg(feature = "compression")]
    pub(crate) compression: OnceCell<Compression>,
    ledger: Rc<Ledger>,
    /// Counts what is written, and the ends of connections.
    pub(crate) metrics: Metrics,
}

impl Buffers {
    pub(crate) fn new(ledger: Rc<Ledger>) -> Self {
        Self {
            input: RefCell::new(vec![0; INPUT].into()),
            spare: RefCell::default(),
            most_spare: (ledger.limit() / SPARE_PART / SPARE_SIZE).min(SPARE),
            flush: FlushList::default(),
            slow_clients: Rc::default(),
            kept_messages: Rc::default(),
            gate: OnceCell::new(),
            #[cfg(feature = "compression")]
            compression: OnceCell::new(),
            ledger,
            metrics: Metrics::new(),
        }
    }

    /// Returns the bytes to read into, for as long as it takes to handle them.
    pub(crate) fn input(&self) -> RefMut<'_, Box<[u8]>> {
        self.input.borrow_mut()
    }

    /// Returns an empty buffer.
    #[inline]
    pub(crate) fn take(&self) -> Buffer {
        self.spare.borrow_mut().pop().unwrap_or_else(|| Buffer::new(&self.ledger))
    }

    /// Takes a buffer back.
    #[inline]
    pub(crate) fn give_back(&self, mut buffer: Buffer) {
        let mut spare = self.spare.borrow_mut();
        if spare.len() < self.most_spare && (1..=SPARE_SIZE).contains(&buffer.capacity()) {
            buffer.clear();
            spare.push(buffer);
        }
    }

    pub(crate) fn ledger(&self) -> &Rc<Ledger> {
        &self.ledger
    }
}
