use alloc::boxed::Box;
use core::str;

use stateroom_core::{LogLevel, MessageRecipient};
use wasmi::{Caller, Error, Val};

use crate::{
    TrapReason,
    bincode::Malformed,
    imports::Paused,
    state::{GuestMemory, State, random_cost},
};

/// The number of bytes that an import reads or writes in one step. If there are more, the guest is suspended.
pub(crate) const PIECE: u32 = 64 << 10;

/// The work of an import, which is done piece by piece while the guest that called it is suspended.
#[derive(Debug)]
pub(crate) struct Operation {
    what: What,
    /// The bytes of the guest's memory that are left.
    at: u32,
    len: u32,
    /// The number of bytes that were among the effects' text, or their bytes, before.
    begin: usize,
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum What {
    SendText(MessageRecipient),
    SendBytes(MessageRecipient),
    /// [`SendText`](Self::SendText), for a guest made for Stateroom 0.4.
    RecvText(MessageRecipient),
    Log(LogLevel),
    /// Adds to the state that is saved.
    Save,
    Random,
    /// [`Random`](Self::Random), with an answer as WASI has it.
    WasiRandom,
}

impl Operation {
    /// Begins an operation that is too large for one step. The guest's call continues when it is over.
    #[cold]
    pub(crate) fn begin(mut caller: Caller<'_, State>, what: What, at: u32, len: u32) -> Error {
        let cost = if what.is_random() { random_cost(len) } else { len };
        let begun = GuestMemory::of(&mut caller, cost).and_then(|(memory, state)| {
            memory.bytes(at, len)?;
            Self::begin_of(what, at, len, state)
        });
        match begun {
            Ok(()) => Paused.into(),
            Err(reason) => reason.into(),
        }
    }

    /// Begins as [`begin`](Self::begin) does, with bytes that are in the memory and have been paid for.
    pub(crate) fn begin_of(what: What, at: u32, len: u32, state: &mut State) -> Result<(), TrapReason> {
        let (size, limit) = (len as usize, state.limits.message_size);
        if size > limit && (what.is_random() || matches!(what, What::Log(_))) {
            return Err(TrapReason::MessageTooLarge { size, limit });
        }
        match what {
            What::Random | What::WasiRandom => {}
            What::Save => _ = state.admit_saved(size)?,
            _ => state.effects.admit(size, &state.limits)?,
        }
        let begin = state.effects.end(matches!(what, What::SendBytes(_)));
        state.operation = Some(Box::new(Self { what, at, len, begin }));
        Ok(())
    }

    /// Does one piece. Returns true if it was the last.
    pub(crate) fn step(&mut self, memory: &mut [u8], state: &mut State) -> Result<bool, TrapReason> {
        let size = self.len.min(PIECE) as usize;
        let piece = memory.get_mut(self.at as usize..).and_then(|rest| rest.get_mut(..size));
        // They were there when it began, and memories do not shrink.
        let Some(piece) = piece else {
            return Err(TrapReason::OutOfBounds { at: self.at, len: self.len, memory: memory.len() });
        };
        let done = match self.what {
            What::SendText(_) | What::RecvText(_) | What::Log(_) => {
                let text = self.text(piece)?;
                state.effects.extend_text(text);
                text.len()
            }
            What::SendBytes(_) => {
                state.effects.extend_bytes(piece);
                size
            }
            What::Save => {
                state.admit_saved(size)?.extend_from_slice(piece);
                size
            }
            What::Random | What::WasiRandom => {
                state.random.fill(piece);
                size
            }
        };
        (self.at, self.len) = (self.at + done as u32, self.len - done as u32);
        if self.len > 0 {
            return Ok(false);
        }
        match self.what {
            What::SendText(recipient) | What::RecvText(recipient) => {
                state.effects.end_text(recipient, self.begin);
            }
            What::SendBytes(recipient) => state.effects.end_bytes(recipient, self.begin),
            What::Log(level) => state.effects.end_log(level, self.begin),
            What::Save | What::Random | What::WasiRandom => {}
        }
        Ok(true)
    }

    /// Returns the text of a piece, without a character that continues in the next piece.
    fn text<'a>(&self, piece: &'a [u8]) -> Result<&'a str, TrapReason> {
        let is_last = piece.len() == self.len as usize;
        str::from_utf8(piece).or_else(|error| match error.error_len() {
            None if !is_last => Ok(str::from_utf8(&piece[..error.valid_up_to()]).unwrap_or_default()),
            _ if matches!(self.what, What::RecvText(_)) => Err(Malformed::NotUtf8.into()),
            _ => Err(TrapReason::NotUtf8),
        })
    }

    /// Returns the results of the import when it is over.
    pub(crate) fn results(&self) -> &'static [Val] {
        match self.what {
            What::WasiRandom => &[Val::I32(0)],
            _ => &[],
        }
    }
}

impl What {
    fn is_random(self) -> bool {
        matches!(self, Self::Random | Self::WasiRandom)
    }
}
