//! Passes data to the guest, and clears it afterwards.

use wasmi::TypedResumableCall;

use super::{
    Live,
    calls::CallState,
    suspended::{Pending, Suspended},
};
use crate::{
    Step, Trap, TrapReason,
    image::WINDOW,
    interface::{Call, Function},
    module::LARGE,
    state::span,
};

impl Live {
    /// Gives data to the guest, with `head` bytes before it. First the guest's allocator returns the address,
    /// unless the data fits into the inbox.
    pub(super) fn hand_over(&mut self, call: &Call, head: usize, data: &[u8]) -> Result<Step, Trap> {
        let too_large = call.message && data.len() > self.store.data().limits.message_size;
        let Some(len) = u32::try_from(head + data.len()).ok().filter(|_| !too_large) else {
            return refused(call, head + data.len());
        };
        if let Some(at) = self.inbox(len) {
            return self.deliver(call, data, at);
        }
        match self.interface.malloc.call_resumable(&mut self.store, len) {
            // Nearly always; whatever else it is takes a hundred bytes, which are not moved about for that.
            Ok(TypedResumableCall::Finished(at)) => self.deliver(call, data, at),
            result => match self.outcome(self.interface.malloc_name, result)? {
                CallState::Returned(at) => self.deliver(call, data, at),
                CallState::Paused(suspended) => {
                    self.suspend(Suspended::Malloc(suspended, Pending { call: *call, data: data.to_vec() }))
                }
            },
        }
    }

    /// Writes the data to the guest's address, and calls the export for the event.
    pub(super) fn deliver(&mut self, call: &Call, data: &[u8], at: u32) -> Result<Step, Trap> {
        let head = match &call.function {
            Function::Data(_, head) => head.bytes(),
            _ => &[],
        };
        // As the data has come this far, its length fits: see `hand_over`.
        let len = u32::try_from(head.len() + data.len()).unwrap_or(u32::MAX);
        let Some(place) = self.place(at, len) else {
            return refused(call, head.len() + data.len());
        };
        let (front, back) = place.split_at_mut(head.len());
        front.copy_from_slice(head);
        back.copy_from_slice(data);
        if len > LARGE && self.inbox_begin() == Some(at) {
            self.delivered = Some((at, len));
        }
        match &call.function {
            Function::Plain(function) => self.call(call.name, function, ()),
            Function::Client(function, client) => self.call(call.name, function, *client),
            Function::Data(function, _) => self.call(call.name, function, (at, len)),
            Function::ClientData(function, client) => self.call(call.name, function, (*client, at, len)),
        }
    }

    /// Returns the guest's inbox, if it has one and `len` bytes fit into it.
    pub(super) fn inbox(&self, len: u32) -> Option<u32> {
        let (begin, end) = self.inbox_bounds()?;
        (begin.checked_add(len)? <= end && end as usize <= self.memory().len()).then_some(begin)
    }

    pub(super) fn inbox_begin(&self) -> Option<u32> {
        self.inbox_bounds().map(|(begin, _)| begin)
    }

    /// Returns the two numbers that are the guest's inbox, in order or not.
    pub(super) fn inbox_bounds(&self) -> Option<(u32, u32)> {
        let at = self.program.inbox()? as usize;
        let [b0, b1, b2, b3, e0, e1, e2, e3] = *self.memory().get(at..)?.first_chunk()?;
        Some((u32::from_le_bytes([b0, b1, b2, b3]), u32::from_le_bytes([e0, e1, e2, e3])))
    }

    /// Clears large data in the guest's inbox after the event, one window at a time. Returns true if all is
    /// cleared. A hibernating room keeps all bytes that are not zero. If the guest has moved its inbox, it
    /// may still need the data, and the data is not cleared.
    #[cold]
    pub(super) fn clear(&mut self, at: u32, len: u32) -> bool {
        self.delivered = None;
        let rest = len.saturating_sub(WINDOW as u32);
        if self.inbox_begin() == Some(at)
            && let Some(place) = self.memory_mut().get_mut(at as usize..at as usize + len as usize)
        {
            place[rest as usize..].fill(0);
            self.delivered = (rest > 0).then_some((at, rest));
        }
        self.delivered.is_none()
    }

    /// Returns the guest's memory of `len` bytes at `at`, or `None` if this is not in its memory.
    pub(super) fn place(&mut self, at: u32, len: u32) -> Option<&mut [u8]> {
        if at == 0 && len as usize > self.program.space_at_zero() {
            return None;
        }
        self.memory_mut().get_mut(span(at, len)?)
    }
}

/// Returns the result if the guest has no space for data. A message is refused. Without other data, such as
/// the room's id, the room cannot continue.
fn refused(call: &Call, size: usize) -> Result<Step, Trap> {
    if call.message { Ok(Step::Refused) } else { Err(Trap::new(call.name, TrapReason::AllocFailed { size })) }
}
