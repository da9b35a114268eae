use std::sync::Arc;

use stateroom_core::engine::EngineContext;
use stateroom_host_min::{Program, RecordingStart, Room};

use crate::log_line::{self, About};

use super::{
    file::{RecordingFile, write_failure},
    room_recording::{Recordings, RoomRecording},
};

/// Records a room in memory, in a file, or in both.
#[derive(Debug)]
pub(in crate::guests) struct Recorder {
    recordings: Arc<Recordings>,
    memory: Option<RoomRecording>,
    file: Option<RecordingFile>,
}

/// A recorder as rooms hold it. Most rooms have none.
pub(in crate::guests) type BoxedRecorder = Box<Recorder>;

impl Recorder {
    /// Begins to record a new room. Returns `None` if it is not to be recorded.
    pub(in crate::guests) fn new(
        recordings: &Arc<Recordings>,
        room: &mut Room,
        program: &Program,
        seed: [u8; 32],
        context: &impl EngineContext,
    ) -> Option<BoxedRecorder> {
        let is_chosen = recordings.settings.rooms.iter().any(|id| id == room.id());
        let memory = RoomRecording::new(recordings, seed);
        if memory.is_none() && !is_chosen {
            return None;
        }
        room.start_recording();
        let mut recorder = Self { recordings: Arc::clone(recordings), memory, file: None };
        if is_chosen {
            recorder.open(room.id(), program, RecordingStart::New { seed }, context);
        }
        Some(Box::new(recorder))
    }

    pub(in crate::guests) fn memory(&self) -> Option<&RoomRecording> {
        self.memory.as_ref()
    }

    /// Adds the records of the room's last event, which is over.
    pub(in crate::guests) fn add_records(
        &mut self,
        records: &[u8],
        room: &Room,
        context: &impl EngineContext,
    ) {
        if let Some(file) = &mut self.file
            && let Err(error) = file.add(records)
        {
            context.warn(&format_args!("its recording has stopped: {error}"));
            self.file = None;
        }
        if let Some(memory) = &mut self.memory {
            memory.add(records, room);
        }
    }

    /// Writes the recording of a room that has failed, and says where it is.
    pub(in crate::guests) fn report_failure(
        &self,
        room_id: &str,
        program: &Program,
        context: &impl EngineContext,
    ) {
        if let Some(file) = &self.file {
            let path = file.path().display();
            context.warn(&format_args!("to run its events again: `stateroom replay {path}`"));
        }
        let settings = &self.recordings.settings;
        let memory = self.memory.as_ref().filter(|_| settings.failures);
        let Some(memory) = memory else { return };
        let Some(recording) = memory.file(program, room_id) else {
            return context.warn(&"there was no memory for its recording");
        };
        match write_failure(&settings.directory, room_id, &recording) {
            Ok(path) => {
                context.warn(&format_args!("to run its events again: `stateroom replay {}`", path.display()));
            }
            Err(error) => context.warn(&format_args!("its recording cannot be written: {error}")),
        }
    }

    /// Continues with another recording in memory, of a room that has taken the place of the one before.
    pub(in crate::guests) fn go_on(
        &mut self,
        mut memory: RoomRecording,
        room: &Room,
        program: &Program,
        context: &impl EngineContext,
    ) {
        // The one before gives its space back first.
        self.memory = None;
        memory.count(room);
        self.memory = Some(memory);
        self.reopen_from_snapshot(room, program, context);
    }

    /// Continues with a snapshot of a room that has taken the place of the one before, in another way than by its events.
    pub(in crate::guests) fn go_on_from_snapshot(
        &mut self,
        room: &mut Room,
        program: &Program,
        context: &impl EngineContext,
    ) {
        room.start_recording();
        if let Some(memory) = &mut self.memory {
            memory.go_on_from_snapshot(room);
        }
        self.reopen_from_snapshot(room, program, context);
    }

    /// Begins again, with a new room.
    pub(in crate::guests) fn restart(
        &mut self,
        room: &mut Room,
        program: &Program,
        seed: [u8; 32],
        context: &impl EngineContext,
    ) {
        room.start_recording();
        self.memory = self.memory.as_ref().map(|memory| memory.restarted(seed));
        if self.file.take().is_some() {
            self.open(room.id(), program, RecordingStart::New { seed }, context);
        }
    }

    /// Opens another file that begins with a snapshot of the room, if the room is recorded in a file.
    fn reopen_from_snapshot(&mut self, room: &Room, program: &Program, context: &impl EngineContext) {
        if self.file.take().is_some()
            && let Ok(snapshot) = room.snapshot()
        {
            self.open(room.id(), program, RecordingStart::Snapshot(&snapshot), context);
        }
    }

    /// Opens a file.
    fn open(
        &mut self,
        room_id: &str,
        program: &Program,
        start: RecordingStart<'_>,
        context: &impl EngineContext,
    ) {
        let directory = &self.recordings.settings.directory;
        match RecordingFile::create(directory, program, room_id, start, context.now_ms()) {
            Ok(file) => {
                if log::log_enabled!(log::Level::Info) {
                    let path = file.path().display();
                    let line = format_args!("room {room_id} is recorded in {path}");
                    log_line::write(module_path!(), log::Level::Info, &About::room(room_id), line);
                }
                self.file = Some(file);
            }
            Err(error) => context.warn(&format_args!("it is not recorded: {error}")),
        }
    }
}
