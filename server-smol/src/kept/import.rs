use std::{error::Error, fmt};

use sha2::{Digest as _, Sha256};
use stateroom_host_min::{Program, Recording, RecordingError, RecordingHeader, RecordingStart};

use crate::room::{Base, RoomId};

/// A room from a file, before it is added to the others. Its events since its base have run again, and had the same outcomes.
#[derive(Debug)]
pub(crate) struct Import {
    pub(crate) id: RoomId,
    pub(crate) module_hash: [u8; 32],
    pub(crate) module: Box<[u8]>,
    pub(crate) base: Base,
}

/// The reason why a file cannot become a room. The text names the place in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImportError(String);

impl Import {
    /// Reads the file of a room, which [`export`](super::export) has made. The room gets the id `id`, or keeps its own.
    pub(crate) fn read(file: &[u8], id: Option<&RoomId>) -> Result<Self, ImportError> {
        let recording = Recording::read(file).map_err(|error| match error {
            _ if file.is_empty() => ImportError("it is empty".to_owned()),
            RecordingError::NotARecording => {
                ImportError("it is no export of a room (`stateroom rooms export`)".to_owned())
            }
            RecordingError::Damaged => ImportError("its header is damaged or incomplete".to_owned()),
            error => ImportError(error.to_string()),
        })?;
        let header = &recording.header;
        let id = match id {
            Some(id) => id.clone(),
            None => RoomId::new(header.room_id).map_err(|reason| ImportError(reason.to_owned()))?,
        };
        if header.module.is_empty() {
            return Err(ImportError("it does not contain the room's module".to_owned()));
        }
        if header.module_hash[..] != *Sha256::digest(header.module) {
            return Err(ImportError(
                "its module is damaged: it has another SHA-256 than it should".to_owned(),
            ));
        }
        let program = Program::load_and_keep(header.module.into(), header.limits)
            .map_err(|error| ImportError(format!("its module cannot run: {error}")))?;
        let mut room =
            recording.start(&program).map_err(|error| ImportError(format!("its base: {error}")))?;
        let mut count: u64 = 0;
        for record in recording.records() {
            count += 1;
            let record = record.map_err(|error| match error {
                RecordingError::CutOff => ImportError(format!("it ends in the middle of event {count}")),
                _ => ImportError(format!("event {count} is damaged")),
            })?;
            let outcome = record.run(&mut room);
            if !outcome.agrees_with(&record.outcome) {
                let (here, there) = (outcome.result.to_string(), record.outcome.result.to_string());
                let difference = match here == there {
                    true => "has other effects here than it had".to_owned(),
                    false => format!("ended otherwise here than it did ({here} instead of {there})"),
                };
                return Err(ImportError(format!(
                    "event {count} {difference}: the file is damaged, or another version of the server wrote it"
                )));
            }
        }
        if !Recording::is_sealed(file) {
            return Err(ImportError(format!(
                "it has no seal after event {count}, or one that does not fit: it was cut off there, its bytes have changed, or it is no export"
            )));
        }
        let snapshot = room
            .snapshot_as(id.as_str())
            .map_err(|error| ImportError(format!("after event {count}: {error}")))?;
        let mut header = RecordingHeader::new(&program, id.as_str(), RecordingStart::Snapshot(&snapshot));
        header.module = &[];
        let mut bytes = Vec::new();
        header.write(&mut bytes);
        let base = Base { bytes, timer_due: room.timer_due() };
        Ok(Self { id, module_hash: program.hash(), module: recording.header.module.into(), base })
    }
}

impl fmt::Display for ImportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for ImportError {}
