use std::sync::{Arc, PoisonError, RwLock};

use stateroom_core::engine::{EngineContext, EngineFactory, Renewal};
use stateroom_host_min::{Program, Trap};

use super::{guest_room::GuestRoom, recording::Budget};

/// The program that the rooms of a server run. It can be replaced while they do.
#[derive(Debug)]
pub(crate) struct Deployment {
    current: RwLock<Arc<Release>>,
    /// The memory for recordings, if rooms are recorded.
    pub(super) recordings: Option<Arc<Budget>>,
}

/// A program that has been deployed.
#[derive(Debug)]
pub(super) struct Release {
    pub(super) program: Program,
    /// True if rooms that exist already start afresh with it.
    pub(super) is_reset: bool,
}

impl Deployment {
    /// Deploys a first program. The recordings of all rooms may take so many bytes; 0: rooms are not recorded.
    pub(super) fn new(program: Program, recordings: usize) -> Arc<Self> {
        Arc::new(Self {
            current: RwLock::new(Arc::new(Release { program, is_reset: false })),
            recordings: (recordings > 0).then(|| Arc::new(Budget::new(recordings))),
        })
    }

    /// Deploys another program. New rooms run it. Rooms that exist [are renewed](EngineFactory::renew).
    pub(crate) fn replace(&self, program: Program) {
        self.release(Release { program, is_reset: false });
    }

    /// Makes all rooms start afresh when they are renewed.
    pub(crate) fn reset(&self) {
        let program = self.current().program.clone();
        self.release(Release { program, is_reset: true });
    }

    fn release(&self, release: Release) {
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(release);
    }

    fn current(&self) -> Arc<Release> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Builds the rooms of a [`Deployment`].
#[derive(Debug, Clone)]
pub(super) struct GuestFactory(pub(super) Arc<Deployment>);

impl EngineFactory for GuestFactory {
    type Engine = GuestRoom;
    type Error = Trap;

    fn build(&self, room_id: &str, context: &impl EngineContext) -> Result<GuestRoom, Trap> {
        GuestRoom::new(self.0.current(), room_id, self.0.recordings.as_ref(), context)
    }

    fn room_size(&self) -> usize {
        self.0.current().program.room_size()
    }

    fn renew(&self, room: &mut GuestRoom, context: &impl EngineContext) -> Renewal {
        room.renew(&self.0.current(), context)
    }

    fn cancel_renewal(&self, room: &mut GuestRoom) {
        room.cancel_renewal();
    }
}
