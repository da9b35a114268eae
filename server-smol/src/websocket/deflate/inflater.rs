use std::{cell::RefCell, fmt, rc::Rc};

use miniz_oxide::inflate::{
    TINFLStatus,
    core::{
        DecompressorOxide, decompress,
        inflate_flags::{TINFL_FLAG_HAS_MORE_INPUT, TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF},
    },
};

use crate::{
    memory::{Buffer, Charge, Incoming, Ledger, OutOfMemory, Purpose},
    websocket::Violation,
};

use super::END;

/// Inflates one message, step by step.
pub(super) struct Inflater {
    state: Box<DecompressorOxide>,
    /// The message, as far as it is inflated, and space.
    output: Buffer<Incoming>,
    /// The number of bytes of the compressed message that were read, and of those that came of them.
    read: usize,
    written: usize,
    is_done: bool,
    _charge: Charge,
}

/// The inflaters of a thread. One is kept for the next message.
#[derive(Debug)]
pub(crate) struct Inflaters {
    spare: RefCell<Option<Inflater>>,
    ledger: Rc<Ledger>,
}

/// Stands behind a compressed message: what its sender has left out, and an empty last block. It can be read up to its end only if
/// the message ends where a block ends.
pub(super) const TAIL: [u8; 9] = [END[0], END[1], END[2], END[3], 1, END[0], END[1], END[2], END[3]];

/// The most bytes that one step reads and writes. A few hundred bytes can contain a hundred tables, which take most of the time.
const READ: usize = 256;
const WRITTEN: usize = 16 << 10;

/// The least space for a message, and the most that is kept for the next one.
const LEAST: usize = 1 << 10;
const KEPT: usize = 64 << 10;

impl Inflaters {
    pub(crate) fn new(ledger: &Rc<Ledger>) -> Rc<Self> {
        Rc::new(Self { spare: RefCell::default(), ledger: Rc::clone(ledger) })
    }

    pub(super) fn take(&self) -> Result<Inflater, OutOfMemory> {
        if let Some(spare) = self.spare.take() {
            return Ok(spare);
        }
        Ok(Inflater {
            _charge: self.ledger.charge(size_of::<DecompressorOxide>(), Purpose::New)?,
            state: Box::default(),
            output: Buffer::new(&self.ledger),
            read: 0,
            written: 0,
            is_done: false,
        })
    }

    pub(super) fn give_back(&self, mut inflater: Inflater) {
        inflater.state.init();
        (inflater.read, inflater.written, inflater.is_done) = (0, 0, false);
        if inflater.output.capacity() > KEPT {
            drop(inflater.output.take());
        }
        self.spare.replace(Some(inflater));
    }
}

impl Inflater {
    /// Inflates some of `input`, a whole message with its [`TAIL`]. Returns the work that it took, about in messages of usual size.
    /// `None` if it was complete before.
    ///
    /// # Errors
    /// It has more than `limit` bytes, there is no memory for it, or it is no deflate stream.
    pub(super) fn step(&mut self, input: &[u8], limit: usize) -> Result<Option<u32>, Violation> {
        if self.is_done {
            return Ok(None);
        }
        if self.written == self.output.len() {
            // One byte more than there may be, to see whether there would be more.
            let wanted = (2 * self.written).max(LEAST).min(limit.saturating_add(1));
            self.output.extend_with_zeros(wanted - self.written)?;
        }
        let end = input.len().min(self.read + READ);
        let space = self.output.len().min(self.written + WRITTEN);
        let more = if end < input.len() { TINFL_FLAG_HAS_MORE_INPUT } else { 0 };
        let (status, read, written) = decompress(
            &mut self.state,
            &input[self.read..end],
            &mut self.output[..space],
            self.written,
            TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF | more,
        );
        self.read += read;
        self.written += written;
        if self.written > limit {
            return Err(Violation::TooLarge);
        }
        match status {
            // The client may have ended the message with a last block, and then need not have begun another one.
            TINFLStatus::Done if [0, TAIL.len()].contains(&(input.len() - self.read)) => self.is_done = true,
            TINFLStatus::Done => self.state.init(),
            TINFLStatus::NeedsMoreInput if more != 0 => {}
            TINFLStatus::HasMoreOutput => {}
            _ => return Err(Violation::Deflate),
        }
        Ok(Some((1 + read / 64 + written / 1024) as u32))
    }

    /// Returns the message.
    pub(super) fn output(&self) -> &[u8] {
        &self.output[..self.written]
    }
}

impl fmt::Debug for Inflater {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inflater")
            .field("read", &self.read)
            .field("written", &self.written)
            .finish_non_exhaustive()
    }
}
