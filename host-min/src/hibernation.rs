//! A room while it hibernates, and the steps of hibernation.

use alloc::{boxed::Box, vec::Vec};
use core::{mem, ops::Range};

use stateroom_core::engine::Hibernation;

use crate::{
    Program, Step, Trap,
    construction::Construction,
    effects::Arena,
    image::WINDOW,
    live::Live,
    presence::Presence,
    snapshot::{RANDOM, put_pieces},
};

/// A room without its instance: the changes that its events have made.
pub(crate) struct Hibernated {
    pub(crate) id: Box<str>,
    pub(crate) program: Program,
    pub(crate) started: bool,
    pub(crate) presence: Presence,
    /// The result of its last event, or the trap that happened when the room was woken.
    pub(crate) last: Result<Step, Trap>,
    pub(crate) effects: Arena,
    pub(crate) memory_size: usize,
    /// Its state, or `None` if it could not be woken.
    pub(crate) saved: Option<Box<Saved>>,
}

/// The stored state of a room: a snapshot without the part that is the program's.
#[derive(Debug)]
pub(crate) struct Saved {
    pub(crate) memory_size: usize,
    /// The number of pieces in which its memory differs from a new room's, and those pieces as a snapshot has
    /// them. The memory is compared window by window.
    pub(crate) pieces: usize,
    pub(crate) memory: Vec<Box<[u8]>>,
    /// The size of all pieces, in bytes.
    pub(crate) memory_held: usize,
    /// The state of its random generator. `rest` is the part of a snapshot after the memory.
    pub(crate) random: [u8; RANDOM],
    pub(crate) rest: Box<[u8]>,
}

/// The progress of a hibernation that is not finished.
#[derive(Debug, Default)]
pub(crate) struct HibernationProgress {
    /// The address up to which its memory has been compared.
    compared: usize,
    pieces: usize,
    memory: Vec<Box<[u8]>>,
    /// The number of bytes that have been found to be different.
    changed: usize,
    found: Vec<Range<usize>>,
    /// The result, if hibernation was cancelled and the stored pieces are being freed.
    abandoned: Option<Hibernation>,
}

/// The number of windows that are freed in one step. The system needs as long for this as for a few page
/// faults.
const GIVEN_BACK: usize = 8;

/// The space in bytes with which a part of a stored state begins, before it shrinks to what it needs.
///
/// Most parts fit. And from this size on, glibc's `malloc` merges all small blocks that are free (`malloc_consolidate`). When
/// 100,000 rooms had hibernated without, the next large block took 7 ms.
const USUAL: usize = 1 << 10;

impl Saved {
    /// Returns its size in bytes.
    pub(crate) fn held(&self) -> usize {
        let windows = self.memory.capacity() * size_of::<Box<[u8]>>();
        size_of::<Self>() + windows + self.memory_held + self.rest.len()
    }

    /// Copies another window. Returns the copy after the last window.
    pub(crate) fn copy_step(&self, progress: &mut HibernationProgress) -> Option<Self> {
        if let Some(window) = self.memory.get(progress.memory.len()) {
            progress.changed += window.len();
            progress.memory.push(window.clone());
        }
        (progress.memory.len() == self.memory.len()).then(|| Self {
            memory_size: self.memory_size,
            pieces: self.pieces,
            memory: mem::take(&mut progress.memory),
            memory_held: self.memory_held,
            random: self.random,
            rest: self.rest.clone(),
        })
    }
}

impl HibernationProgress {
    /// Compares a window of the room's memory, and keeps a copy of the differences. Returns true if it was
    /// the last window.
    fn compare(&mut self, room: &Live) -> bool {
        // A room that does not have all its memory yet has changed none of it.
        if room.construction.is_some() {
            return true;
        }
        let memory = room.memory();
        self.found.clear();
        room.program.image().differences(memory, self.compared, &mut self.found);
        if !self.found.is_empty() {
            self.changed += self.found.iter().map(ExactSizeIterator::len).sum::<usize>();
            let mut window = Vec::with_capacity(USUAL);
            put_pieces(&self.found, memory, &mut window);
            self.pieces += self.found.len();
            if self.memory.is_empty() {
                // A small room has one.
                self.memory.reserve_exact(1);
            }
            self.memory.push(window.into());
        }
        self.compared += WINDOW;
        self.compared >= memory.len()
    }

    /// Returns the number of bytes that it holds.
    pub(crate) fn held(&self) -> usize {
        self.memory.len().saturating_mul(WINDOW).min(self.changed)
    }

    /// Frees some of the stored pieces. Returns true if these were the last.
    fn give_back(&mut self) -> bool {
        self.memory.truncate(self.memory.len().saturating_sub(GIVEN_BACK));
        self.memory.is_empty()
    }
}

impl Live {
    /// Continues hibernation by one window. Does nothing if hibernation would free too little memory.
    pub(crate) fn hibernate_step(&mut self, last: Step) -> Result<Hibernated, Hibernation> {
        let mut progress = self.hibernation.take().unwrap_or_default();
        if let Some(outcome) = progress.abandoned {
            if progress.give_back() {
                return Err(outcome);
            }
        } else {
            let is_over = progress.compare(self);
            if progress.changed > self.reclaimable() / 2 {
                progress.abandoned = Some(Hibernation::Kept);
            } else if is_over {
                return Ok(self.hibernated(*progress, last));
            }
        }
        self.hibernation = Some(progress);
        Err(Hibernation::Unfinished)
    }

    /// Cancels hibernation, because an event has arrived. Each slice of the event then frees some of the
    /// stored pieces.
    #[cold]
    pub(crate) fn stay_awake(&mut self) {
        if let Some(progress) = &mut self.hibernation {
            progress.abandoned = Some(Hibernation::Unfinished);
            if progress.give_back() {
                self.hibernation = None;
            }
        }
    }

    pub(crate) fn hibernate(&mut self, last: Step) -> Hibernated {
        let mut progress = HibernationProgress::default();
        while !progress.compare(self) {}
        self.hibernated(progress, last)
    }

    /// Copies another window of the state. Returns the copy after the last window.
    pub(crate) fn copy_step(&self, progress: &mut HibernationProgress) -> Option<Saved> {
        progress.compare(self).then(|| self.saved(mem::take(progress)))
    }

    /// Returns the state, of which all windows have been compared.
    fn saved(&self, progress: HibernationProgress) -> Saved {
        let mut rest = Vec::with_capacity(USUAL);
        self.put_rest(&mut rest);
        Saved {
            memory_size: self.memory_size(),
            pieces: progress.pieces,
            memory_held: progress.memory.iter().map(|window| window.len()).sum(),
            memory: progress.memory,
            random: self.random(),
            rest: rest.into(),
        }
    }

    fn hibernated(&mut self, mut progress: HibernationProgress, last: Step) -> Hibernated {
        progress.memory.shrink_to_fit();
        let saved = self.saved(progress);
        let mut effects = mem::take(&mut self.store.data_mut().effects);
        effects.shrink();
        let mut presence = mem::take(&mut self.presence);
        presence.shrink();
        Hibernated {
            id: mem::take(&mut self.id),
            program: self.program.clone(),
            started: self.started,
            presence,
            memory_size: saved.memory_size,
            last: Ok(last),
            effects,
            saved: Some(Box::new(saved)),
        }
    }
}

impl Hibernated {
    /// Creates an instance. Its state is then restored in steps.
    pub(crate) fn wake(&mut self) -> Result<Box<Live>, Trap> {
        let last = self.last.clone()?;
        let construction =
            self.saved.take().map_or_else(|| self.program.construction(), Construction::waking);
        let mut live = self.program.live(&self.id, [0; 32], construction).inspect_err(|trap| {
            self.last = Err(trap.clone());
            self.effects = Arena::default();
        })?;
        live.started = self.started;
        live.presence = mem::take(&mut self.presence);
        live.rest(last);
        Ok(Box::new(live))
    }

    /// Returns its size in bytes.
    pub(crate) fn held(&self) -> usize {
        let saved = self.saved.as_ref().map_or(0, |saved| saved.held());
        size_of::<Self>() + self.id.len() + self.effects.held() + self.presence.held() + saved
    }
}
