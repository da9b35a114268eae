use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use stateroom_host_min::{Program, RecordingHeader, RecordingStart};

use crate::room::RoomId;

/// The extension of the names of recordings.
const EXTENSION: &str = "recording";

/// The longest part of a room's id in the name of a file, in bytes.
const NAME: usize = 100;

/// The size of the largest file, in bytes. Clients decide how much is recorded, and others need the disk, too.
const LARGEST: u64 = 1 << 30;

/// A file with the recording of a room that is going on.
#[derive(Debug)]
pub(in crate::guests) struct RecordingFile {
    file: File,
    path: PathBuf,
    /// The number of bytes that it may still grow by.
    left: u64,
}

impl RecordingFile {
    /// Creates a file. `now_ms` is a part of its name.
    ///
    /// # Errors
    /// The file cannot be written. The error names it.
    pub(in crate::guests) fn create(
        directory: &Path,
        program: &Program,
        room_id: &str,
        start: RecordingStart<'_>,
        now_ms: u64,
    ) -> io::Result<Self> {
        let path = directory.join(format!("{}-{now_ms}.{EXTENSION}", name(room_id)));
        let file = create(directory, &path).map_err(|error| named(&path, &error))?;
        let mut recording = Self { file, path, left: LARGEST };
        let mut header = Vec::new();
        RecordingHeader::new(program, room_id, start).write(&mut header);
        recording.add(&header)?;
        Ok(recording)
    }

    /// Returns where it is.
    pub(in crate::guests) fn path(&self) -> &Path {
        &self.path
    }

    /// Adds records.
    ///
    /// # Errors
    /// They cannot be written, or the file would be too large. The error names the file.
    pub(in crate::guests) fn add(&mut self, records: &[u8]) -> io::Result<()> {
        let left = self.left.checked_sub(records.len() as u64);
        let too_large = || io::Error::new(io::ErrorKind::FileTooLarge, "it would be larger than 1 GiB");
        self.left = left.ok_or_else(too_large).map_err(|error| named(&self.path, &error))?;
        self.file.write_all(records).map_err(|error| named(&self.path, &error))
    }
}

/// Writes the recording of a room that has failed. It replaces the one of the room's last failure. Returns its path.
pub(in crate::guests) fn write_failure(
    directory: &Path,
    room_id: &str,
    recording: &[u8],
) -> io::Result<PathBuf> {
    let path = directory.join(format!("{}.failed.{EXTENSION}", name(room_id)));
    // If there is none, it need not be removed.
    let _ = fs::remove_file(&path);
    create(directory, &path)
        .and_then(|mut file| file.write_all(recording))
        .map_err(|error| named(&path, &error))?;
    Ok(path)
}

/// Creates a file that did not exist, and its directory. Only this user can read them, because they contain what clients have sent.
fn create(directory: &Path, path: &Path) -> io::Result<File> {
    let (mut directories, mut options) = (DirBuilder::new(), OpenOptions::new());
    directories.recursive(true);
    options.write(true).create_new(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
        directories.mode(0o700);
        options.mode(0o600);
    }
    directories.create(directory)?;
    options.open(path)
}

fn named(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("cannot write `{}`: {error}", path.display()))
}

/// Returns a room's id as a part of a file's name: percent-encoded, so that it is in the directory, whatever it is.
fn name(room_id: &str) -> String {
    let mut name = RoomId::new(room_id).map_or_else(|_| String::new(), |id| id.to_path().to_string());
    name.truncate(NAME);
    // A file whose name begins with a dot is hidden.
    name.strip_prefix('.').map(|rest| format!("%2E{rest}")).unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_does_not_become_too_large() {
        let path = std::env::temp_dir().join(format!("stateroom-{}.recording", std::process::id()));
        let file = File::create(&path).unwrap();
        let mut recording = RecordingFile { file, path: path.clone(), left: 10 };
        recording.add(b"01234567").unwrap();
        let error = recording.add(b"890").unwrap_err().to_string();
        assert!(error.contains(".recording`: it would be larger than 1 GiB"), "{error}");
        recording.add(b"89").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"0123456789");
        fs::remove_file(path).unwrap();
    }

    #[test]
    fn names_are_those_of_files_in_the_directory() {
        for (id, expected) in [("lobby", "lobby"), ("../a", "%2E.%2Fa"), (".", "%2E"), ("a b", "a%20b")] {
            assert_eq!(name(id), expected);
        }
        assert_eq!(name(&"✓".repeat(170)).len(), NAME);
    }
}
