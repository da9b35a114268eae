//! The recordings of rooms, in memory and in files.

mod file;
mod recorder;
mod room_recording;

pub(in crate::guests) use recorder::{BoxedRecorder, Recorder};
pub(in crate::guests) use room_recording::{Recordings, RoomRecording};
