use std::rc::Rc;

use crate::{
    memory::{Buffer, Incoming},
    websocket::{Opcode, Violation},
};

use super::{
    Inflaters,
    inflater::{Inflater, TAIL},
};

/// The part of a decoder that inflates messages, if the client may compress them.
#[derive(Debug, Default)]
pub(in crate::websocket) struct Inflation(Option<Box<State>>);

#[derive(Debug)]
struct State {
    inflaters: Rc<Inflaters>,
    /// True if the message that has begun to come is compressed.
    is_compressed: bool,
    /// Inflates the message that has come.
    inflater: Option<Inflater>,
}

impl Inflation {
    /// Lets the client compress messages.
    pub(in crate::websocket) fn with(inflaters: Rc<Inflaters>) -> Self {
        Self(Some(Box::new(State { inflaters, is_compressed: false, inflater: None })))
    }

    /// Returns whether the message that comes is compressed.
    pub(in crate::websocket) fn is_compressed(&self) -> bool {
        self.0.as_ref().is_some_and(|state| state.is_compressed)
    }

    /// Notes that a frame begins with a byte that has reserved bits. Returns false if it is not the first frame of a compressed message.
    #[cold]
    pub(in crate::websocket) fn begin(&mut self, first: u8) -> bool {
        const FIRST: [u8; 2] = [0x40 | Opcode::Text as u8, 0x40 | Opcode::Binary as u8];
        let Some(state) = &mut self.0 else { return false };
        state.is_compressed |= FIRST.contains(&(first & 0x7f));
        FIRST.contains(&(first & 0x7f))
    }

    /// Returns the most bytes that the message that comes may have before it is inflated, if it may have `limit`. What cannot be
    /// compressed becomes a little larger.
    pub(in crate::websocket) fn limit(&self, limit: usize) -> usize {
        if self.is_compressed() { limit.saturating_add(limit / 8 + 64) } else { limit }
    }

    /// Begins to inflate a message that has come.
    ///
    /// # Errors
    /// There is no memory for it.
    pub(in crate::websocket) fn start(&mut self, message: &mut Buffer<Incoming>) -> Result<(), Violation> {
        if let Some(state) = &mut self.0 {
            message.reserve_exact(TAIL.len())?;
            message.extend(&TAIL)?;
            state.inflater = Some(state.inflaters.take()?);
        }
        Ok(())
    }

    /// Inflates some of the message. Returns the work that it took, about in messages of usual size. `None` if it was complete before.
    ///
    /// # Errors
    /// The message is not valid, or too large.
    pub(in crate::websocket) fn step(
        &mut self,
        message: &[u8],
        limit: usize,
    ) -> Result<Option<u32>, Violation> {
        let inflater = self.0.as_mut().and_then(|state| state.inflater.as_mut());
        inflater.map_or(Ok(None), |inflater| inflater.step(message, limit))
    }

    /// Returns the message, which is complete.
    pub(in crate::websocket) fn message(&self) -> &[u8] {
        let inflater = self.0.as_ref().and_then(|state| state.inflater.as_ref());
        inflater.map_or(&[], Inflater::output)
    }

    /// Forgets the message.
    pub(in crate::websocket) fn forget(&mut self) {
        if let Some(state) = &mut self.0 {
            state.is_compressed = false;
            state.inflater.take().into_iter().for_each(|inflater| state.inflaters.give_back(inflater));
        }
    }
}
