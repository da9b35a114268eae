use alloc::{boxed::Box, vec::Vec};
use core::{error::Error, fmt, mem};

use crate::{Event, Program, RestoreError, Room, SnapshotError, Step, Trap, live::Live, presence::Presence};

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
///         if let Some(room) = migration.advance()? {
///             return Ok(room);
///         }
///     }
/// }
/// ```
pub struct Migration {
    program: Program,
    seed: [u8; 32],
    now_ms: u64,
    presence: Presence,
    stage: Stage,
}

enum Stage {
    /// The copy saves its state.
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
    /// The room cannot be copied.
    Copy(RestoreError),
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
        let snapshot = room.unchecked_snapshot().map_err(MigrationError::Room)?;
        let mut copy = room.program().restore_unchecked(&snapshot).map_err(MigrationError::Copy)?;
        let presence = mem::take(&mut copy.presence);
        let saving = copy.begin_save(now_ms).ok_or(MigrationError::DoesNotSave)?;
        // The result is read in the first step.
        let _ = saving;
        let stage = Stage::Saving(Box::new(copy));
        Ok(Self { program: program.clone(), seed, now_ms, presence, stage })
    }

    /// Does one step, of at most one slice. Returns the new room after the last one.
    ///
    /// # Errors
    /// See [`MigrationError`].
    pub fn advance(&mut self) -> Result<Option<Room>, MigrationError> {
        match mem::replace(&mut self.stage, Stage::Over) {
            Stage::Saving(mut copy) => {
                self.stage = match step(&mut copy).map_err(MigrationError::Save)? {
                    Step::Suspended => Stage::Saving(copy),
                    _ => {
                        let saved = copy.take_saved();
                        self.begin_room(&copy.id, saved).map_err(MigrationError::Load)?
                    }
                };
                Ok(None)
            }
            Stage::Beginning(mut room, saved) => {
                self.stage = match step(&mut room).map_err(MigrationError::Load)? {
                    Step::Suspended => Stage::Beginning(room, saved),
                    _ => {
                        room.presence = mem::take(&mut self.presence);
                        let loading = room.begin_load(&saved, self.now_ms);
                        // The result is read in the next step.
                        let _ = loading.ok_or(MigrationError::DoesNotLoad)?;
                        Stage::Loading(room)
                    }
                };
                Ok(None)
            }
            Stage::Loading(mut room) => match step(&mut room).map_err(MigrationError::Load)? {
                Step::Suspended => {
                    self.stage = Stage::Loading(room);
                    Ok(None)
                }
                _ => Ok(Some(Room::from(*room))),
            },
            Stage::Over => Ok(None),
        }
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
            Self::Copy(error) => error.fmt(f),
            Self::Save(trap) => write!(f, "its state cannot be saved: {trap}"),
            Self::Load(trap) => write!(f, "its state cannot be loaded: {trap}"),
        }
    }
}

impl Error for MigrationError {}

impl fmt::Debug for Migration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stage = match self.stage {
            Stage::Saving(_) => "saving",
            Stage::Beginning(..) => "beginning",
            Stage::Loading(_) => "loading",
            Stage::Over => "over",
        };
        f.debug_struct("Migration").field("stage", &stage).finish_non_exhaustive()
    }
}
