use alloc::{boxed::Box, format};

use crate::{
    Trap, TrapReason, hibernation::Saved, image::WINDOW, live::Live, module, module::GROWN, reader::Reader,
    snapshot::RestoreError,
};

/// The largest memory that gets its size in one step. This takes 0.1 ms, or 0.2 ms if the memory has to come
/// from the system.
const AT_ONCE: usize = 5 << 18;

/// The work before the first event of a room's instance: its memory must get its size and its contents. For a
/// few megabytes this takes milliseconds. So it is done in steps, and the room's event waits.
#[derive(Debug)]
pub(crate) struct Construction {
    /// The final size of the memory, in bytes.
    size: usize,
    /// The number of the image's runs that have been written.
    runs: usize,
    /// The state of the room before it hibernated, which is still to be written.
    saved: Option<Box<Saved>>,
}

impl Construction {
    /// Creates the construction of a room that has had no event.
    pub(crate) fn new(size: usize) -> Self {
        Self { size, runs: 0, saved: None }
    }

    /// Creates the construction of a room that has hibernated.
    pub(crate) fn waking(saved: Box<Saved>) -> Self {
        Self { size: saved.memory_size, runs: 0, saved: Some(saved) }
    }

    pub(crate) fn memory_size(&self) -> usize {
        self.size
    }

    /// Returns the number of bytes that it holds, in addition to the room's memory.
    pub(crate) fn held(&self) -> usize {
        self.saved.as_ref().map_or(0, |saved| saved.held())
    }

    /// Grows the memory by at most one piece, and writes about one window of it. Returns true if the
    /// construction is finished.
    fn step(&mut self, room: &mut Live) -> Result<bool, Trap> {
        if !grow(room, self.size)? {
            return Ok(false);
        }
        let program = room.program.clone();
        let mut written = 0;
        let memory = room.memory_mut();
        while let Some(run) = program.image().runs().get(self.runs) {
            if written >= WINDOW {
                return Ok(false);
            }
            memory[run.at..run.at + run.bytes.len()].copy_from_slice(&run.bytes);
            (self.runs, written) = (self.runs + 1, written + run.bytes.len());
        }
        let Some(saved) = &mut self.saved else { return Ok(true) };
        // From the end, so that each can be freed at once. Their order does not matter.
        while let Some(window) = saved.memory.pop_if(|_| written < WINDOW) {
            let mut pieces = Reader::new(&window);
            while pieces.left() > 0 {
                room.restore_piece(&mut pieces).map_err(unreadable)?;
            }
            saved.memory_held -= window.len();
            written += window.len();
        }
        if !saved.memory.is_empty() {
            return Ok(false);
        }
        room.restore_random(&mut Reader::new(&saved.random)).map_err(unreadable)?;
        room.restore_rest(&mut Reader::new(&saved.rest)).map_err(unreadable)?;
        Ok(true)
    }
}

impl Live {
    /// Does the first step of the work before events. For a small room it is also the last.
    pub(crate) fn construct(&mut self, mut construction: Construction) -> Result<(), Trap> {
        if !construction.step(self)? {
            self.construction = Some(Box::new(construction));
        }
        Ok(())
    }

    /// Does the next step. Returns true if the construction is finished.
    pub(crate) fn go_on_constructing(&mut self) -> Result<bool, Trap> {
        let Some(mut construction) = self.construction.take() else { return Ok(true) };
        let is_over = construction.step(self)?;
        if !is_over {
            self.construction = Some(construction);
        }
        Ok(is_over)
    }
}

/// Grows a memory by a piece, unless it already has this size. Returns true if it now has this size. A memory
/// of several pieces may be moved by the system each time its size doubles.
pub(crate) fn grow(room: &mut Live, size: usize) -> Result<bool, Trap> {
    let lacking = size - room.memory().len();
    if lacking == 0 {
        return Ok(true);
    }
    let page_log2 = room.program.layout().sizes.page_log2;
    // A memory that is not much larger than those of published guests gets its size at once, and no spare
    // capacity.
    let most = if size <= AT_ONCE { AT_ONCE } else { GROWN as usize };
    let pages = lacking.min(most) >> page_log2;
    let grown = room.store.data().memory.map(|memory| memory.grow(&mut room.store, pages as u64));
    // Within the limits this succeeds: see `program.rs`.
    if !matches!(grown, Some(Ok(_))) {
        return Err(Trap::new(module::START, TrapReason::OutOfMemory));
    }
    Ok(lacking <= most)
}

/// Makes the trap for a saved state that cannot be read. This does not happen, because this crate has written
/// it.
fn unreadable(error: RestoreError) -> Trap {
    let reason = format!("the room cannot be brought back: {error}");
    Trap::new(module::START, TrapReason::Wasm(reason))
}
