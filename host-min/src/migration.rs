use alloc::{boxed::Box, vec::Vec};
use core::{error::Error, fmt, mem};

use crate::{
    Event, Program, Room, SnapshotError, Step, Trap,
    construction::Construction,
    hibernation::{HibernationProgress, Saved},
    live::Live,
    snapshot::resting,
};

/// Moves the state of a room to another program: the guest saves it, and the guest of the other program loads it.
///
/// A copy of the room runs `stateroom_save`; the room itself does not change. Then a new room of the other program runs
/// [`Event::Init`], whose effects are dropped, and `stateroom_load`, whose effects are those of the
/// [result](Self::advance). Each of these calls may use as much fuel as an event. The new room has the clients and the timer of the
/// old one, unless `stateroom_load` sets or cancels the timer.
///
/// ```
/// use stateroom_host_min::{Migration, MigrationError, Program, Room};
///
/// fn migrate(room: &Room, program: &Program, now_ms: u64) -> Result<Room, MigrationError> {
///     let seed = [7; 32]; // from the system's random source
///     let mut migration = Migration::begin(room, program, seed, now_ms)?;
///     loop {
///         // A server lets other rooms run here.
///         if let Some(room) = migration.advance(room)? {
///             return Ok(room);
///         }
///     }
/// }
/// ```
pub struct Migration {
    program: Program,
    seed: [u8; 32],
    now_ms: u64,
    stage: Stage,
}

enum Stage {
    /// The room is copied, window by window.
    Copying(HibernationProgress),
    /// The copy gets its memory, and saves its state.
    Saving(Box<Live>),
    /// The new room begins. The bytes are the state.
    Beginning(Box<Live>, Vec<u8>),
    Loading(Box<Live>),
    Over,
}

/// The reason why a room cannot be migrated. The room stays as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum MigrationError {
    /// The room's program cannot save a state.
    DoesNotSave,
    /// The other program cannot load a state.
    DoesNotLoad,
    /// The room is not between two events.
    Room(SnapshotError),
    /// There is not enough memory for a copy of the room.
    Copy(Trap),
    /// The room's program failed to save its state.
    Save(Trap),
    /// The other program failed in its first event, or failed to load the state.
    Load(Trap),
}

impl Migration {
    /// Begins to migrate a room. `seed` is the seed of the new room's random numbers. `now_ms` is the time in milliseconds since the
    /// Unix epoch.
    ///
    /// # Errors
    /// See [`MigrationError`].
    pub fn begin(
        room: &Room,
        program: &Program,
        seed: [u8; 32],
        now_ms: u64,
    ) -> Result<Self, MigrationError> {
        if !room.program().saves_state() {
            return Err(MigrationError::DoesNotSave);
        }
        if !program.loads_state() {
            return Err(MigrationError::DoesNotLoad);
        }
        let _ = resting(room.last()).map_err(MigrationError::Room)?;
        let stage = Stage::Copying(HibernationProgress::default());
        Ok(Self { program: program.clone(), seed, now_ms, stage })
    }

    /// Does one step, of at most one slice. Returns the new room after the last one. `room` is the one that it began with, and has had
    /// no event since then.
    ///
    /// # Errors
    /// See [`MigrationError`].
    pub fn advance(&mut self, room: &Room) -> Result<Option<Room>, MigrationError> {
        match mem::replace(&mut self.stage, Stage::Over) {
            Stage::Copying(mut progress) => {
                self.stage = match room.copy_step(&mut progress) {
                    None => Stage::Copying(progress),
                    Some(saved) => Stage::Saving(self.begin_copy(room, saved)?),
                };
                Ok(None)
            }
            Stage::Saving(mut copy) => {
                self.stage = match step(&mut copy).map_err(MigrationError::Save)? {
                    Step::Suspended => Stage::Saving(copy),
                    _ => {
                        let saved = copy.take_saved();
                        self.begin_room(room.id(), saved).map_err(MigrationError::Load)?
                    }
                };
                Ok(None)
            }
            Stage::Beginning(mut new, saved) => {
                self.stage = match step(&mut new).map_err(MigrationError::Load)? {
                    Step::Suspended => Stage::Beginning(new, saved),
                    _ => {
                        new.presence = room.presence().clone();
                        let loading = new.begin_load(&saved, self.now_ms);
                        // The result is read in the next step.
                        let _ = loading.ok_or(MigrationError::DoesNotLoad)?;
                        Stage::Loading(new)
                    }
                };
                Ok(None)
            }
            Stage::Loading(mut new) => match step(&mut new).map_err(MigrationError::Load)? {
                Step::Suspended => {
                    self.stage = Stage::Loading(new);
                    Ok(None)
                }
                _ => Ok(Some(Room::from(*new))),
            },
            Stage::Over => Ok(None),
        }
    }

    /// Makes a copy of the room from its state, which begins to save.
    fn begin_copy(&self, room: &Room, saved: Saved) -> Result<Box<Live>, MigrationError> {
        let construction = Construction::waking(Box::new(saved));
        let copy = room.program().live(room.id(), [0; 32], construction);
        let mut copy = copy.map_err(MigrationError::Copy)?;
        copy.started = room.started();
        // The result is read in the next step.
        let _ = copy.begin_save(self.now_ms).ok_or(MigrationError::DoesNotSave)?;
        Ok(Box::new(copy))
    }

    fn begin_room(&self, id: &str, saved: Vec<u8>) -> Result<Stage, Trap> {
        let mut room = self.program.live(id, self.seed, self.program.construction())?;
        // The result is read in the next step.
        let _ = room.handle(Event::Init, self.now_ms);
        Ok(Stage::Beginning(Box::new(room), saved))
    }

    /// Returns the approximate number of bytes that it takes now.
    #[must_use]
    pub fn memory_held(&self) -> usize {
        match &self.stage {
            Stage::Saving(room) | Stage::Loading(room) => room.held(),
            Stage::Beginning(room, saved) => room.held() + saved.capacity(),
            Stage::Copying(progress) => progress.held(),
            Stage::Over => 0,
        }
    }
}

/// Continues a call, if it is not over.
fn step(room: &mut Live) -> Result<Step, Trap> {
    if room.last() == Ok(Step::Suspended) { room.resume() } else { room.last().map_err(Trap::clone) }
}

impl fmt::Display for MigrationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DoesNotSave => f.write_str("its program does not save a state (`stateroom_save`)"),
            Self::DoesNotLoad => f.write_str("the new program does not load a state (`stateroom_load`)"),
            Self::Room(error) => error.fmt(f),
            Self::Copy(trap) => write!(f, "it cannot be copied: {trap}"),
            Self::Save(trap) => write!(f, "its state cannot be saved: {trap}"),
            Self::Load(trap) => write!(f, "its state cannot be loaded: {trap}"),
        }
    }
}

impl Error for MigrationError {}

impl fmt::Debug for Migration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stage = match self.stage {
            Stage::Copying(_) => "copying",
            Stage::Saving(_) => "saving",
            Stage::Beginning(..) => "beginning",
            Stage::Loading(_) => "loading",
            Stage::Over => "over",
        };
        f.debug_struct("Migration").field("stage", &stage).finish_non_exhaustive()
    }
}
