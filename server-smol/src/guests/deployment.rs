use std::sync::{Arc, PoisonError, RwLock};

use stateroom_core::engine::{EngineContext, EngineFactory, Renewal};
use stateroom_host_min::{Program, Trap};

use crate::settings;

use super::{guest_room::GuestRoom, recordings::Recordings};

/// The program that the rooms of a server run. It can be replaced while they do.
#[derive(Debug)]
pub(crate) struct Deployment {
    current: RwLock<Arc<Release>>,
    pub(super) recordings: Arc<Recordings>,
}

/// A program that has been deployed.
#[derive(Debug)]
pub(super) struct Release {
    pub(super) program: Program,
    /// True if rooms that exist already start afresh with it.
    pub(super) is_reset: bool,
}

impl Deployment {
    /// Deploys a first program.
    pub(crate) fn new(program: Program, recordings: settings::Recordings) -> Arc<Self> {
        Arc::new(Self {
            current: RwLock::new(Arc::new(Release { program, is_reset: false })),
            recordings: Recordings::new(recordings),
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
pub(crate) struct GuestFactory(pub(crate) Arc<Deployment>);

impl EngineFactory for GuestFactory {
    type Engine = GuestRoom;
    type Error = Trap;

    fn build(&self, room_id: &str, context: &impl EngineContext) -> Result<GuestRoom, Trap> {
        GuestRoom::new(self.0.current(), room_id, &self.0.recordings, context)
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
