use std::{
    ffi::OsString,
    fs::{self, OpenOptions},
    io::{self, Write as _},
    path::Path,
    process,
};

/// Writes a file that only its owner can read. When this returns it is on the disk. If it fails, what was there before is still there.
pub(super) fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let path = match fs::canonicalize(path) {
        // A pipe or a device stays what it is.
        Ok(path) if !path.is_file() => return OpenOptions::new().write(true).open(path)?.write_all(bytes),
        Ok(path) => path,
        Err(error) if error.kind() == io::ErrorKind::NotFound => path.to_owned(),
        Err(error) => return Err(error),
    };
    let name = path.file_name().ok_or(io::ErrorKind::IsADirectory)?;
    let mut new = OsString::from(".");
    new.push(name);
    new.push(format!(".{}.new", process::id()));
    let new = path.with_file_name(new);
    let written = write(&new, bytes).and_then(|()| fs::rename(&new, &path));
    if written.is_err() {
        // The first error says what is wrong.
        let _ = fs::remove_file(&new);
    }
    written?;
    let directory = path.parent().filter(|parent| parent.components().next().is_some());
    sync_directory(directory.unwrap_or(Path::new(".")))
}

fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

#[cfg(unix)]
fn sync_directory(path: &Path) -> io::Result<()> {
    fs::File::open(path)?.sync_all()
}

/// The system does not open directories, and makes names durable by itself.
#[cfg(not(unix))]
fn sync_directory(_: &Path) -> io::Result<()> {
    Ok(())
}

#[cfg(all(test, unix))]
mod tests {
    use std::{env, os::unix::fs::PermissionsExt as _};

    use super::*;

    #[test]
    fn a_file_is_replaced_whole_and_is_private() {
        let directory = env::temp_dir().join(format!("stateroom-rooms-file-{}", process::id()));
        fs::create_dir(&directory).expect("it can be made");
        let path = directory.join("room");
        fs::write(&path, b"the old one").expect("it can be written");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).expect("it is ours");
        replace(&path, b"the new one").expect("it can be replaced");
        assert_eq!(fs::read(&path).expect("it is there"), b"the new one");
        let mode = fs::metadata(&path).expect("it is there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        // A name that is too long together with what is added.
        let long = directory.join("x".repeat(250));
        fs::write(&long, b"the old one").expect("it can be written");
        assert!(replace(&long, b"the new one").is_err());
        assert_eq!(fs::read(&long).expect("it is there"), b"the old one");
        replace(Path::new("/dev/null"), b"nothing").expect("it takes everything");
        assert!(!Path::new("/dev/null").is_file());
        let files = fs::read_dir(&directory).expect("it is a directory").count();
        assert_eq!(files, 2, "nothing else is left");
        fs::remove_dir_all(&directory).expect("it is ours");
    }
}
