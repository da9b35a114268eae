//! The recordings of rooms, in a server without the feature for them: there are none.

use std::sync::Arc;

use stateroom_core::engine::EngineContext;
use stateroom_host_min::{Program, Record, RecordsPosition, Room};

use crate::settings;

/// The recordings of all rooms.
#[derive(Debug)]
pub(super) struct Recordings(());

/// The recorder of a room. There is no value of it.
#[derive(Debug)]
pub(super) struct Recorder(Never);

/// The recording of a room. There is no value of it.
#[derive(Debug)]
pub(super) struct RoomRecording(Never);

/// A type without values.
#[derive(Debug)]
enum Never {}

impl Recordings {
    pub(super) fn new(_: settings::Recordings) -> Arc<Self> {
        Arc::new(Self(()))
    }
}

/// A recorder as rooms hold it. It is in no box, so that the compiler sees that there is none.
pub(super) type BoxedRecorder = Recorder;

impl Recorder {
    #[inline]
    pub(super) fn new(
        _: &Arc<Recordings>,
        _: &mut Room,
        _: &Program,
        _seed: [u8; 32],
        _: &impl EngineContext,
    ) -> Option<Self> {
        None
    }

    pub(super) fn memory(&self) -> Option<&RoomRecording> {
        match self.0 {}
    }

    pub(super) fn add_records(&mut self, _: &[u8], _: &Room, _: &impl EngineContext) {
        match self.0 {}
    }

    pub(super) fn report_failure(&self, _room_id: &str, _: &Program, _: &impl EngineContext) {
        match self.0 {}
    }

    pub(super) fn go_on(&mut self, _: RoomRecording, _: &Room, _: &Program, _: &impl EngineContext) {
        match self.0 {}
    }

    pub(super) fn go_on_from_snapshot(&mut self, _: &mut Room, _: &Program, _: &impl EngineContext) {
        match self.0 {}
    }

    pub(super) fn restart(&mut self, _: &mut Room, _: &Program, _seed: [u8; 32], _: &impl EngineContext) {
        match self.0 {}
    }
}

impl RoomRecording {
    pub(super) fn replayed(&self, _seed: [u8; 32]) -> Self {
        match self.0 {}
    }

    pub(super) fn whole_since(&self) -> Option<[u8; 32]> {
        match self.0 {}
    }

    pub(super) fn next(&self, _: RecordsPosition) -> Option<(Record, RecordsPosition)> {
        match self.0 {}
    }

    pub(super) fn add(&mut self, _records: &[u8], _: &Room) {
        match self.0 {}
    }

    pub(super) fn file(&self, _: &Program, _room_id: &str) -> Option<Vec<u8>> {
        match self.0 {}
    }
}
