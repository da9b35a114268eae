use std::{
    fs, io,
    os::unix::{
        fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _},
        net::UnixListener,
    },
    path::{Path, PathBuf},
};

use rustix::{
    io::{Errno, FdFlags},
    net::{AddressFamily, SocketAddrUnix, SocketType},
};

use super::BACKLOG;

/// The file of a Unix socket that this process listens on. It is removed with this.
#[derive(Debug)]
pub(super) struct SocketFile {
    path: PathBuf,
    /// Its device and inode, which tell it from one that another program has put there since.
    identity: (u64, u64),
}

impl SocketFile {
    /// Listens on a path, for those whom `mode` permits. A socket that nobody listens on any more is replaced.
    ///
    /// # Errors
    /// The system refuses it, another program listens there, or there is a file that is no socket. `ServeError` says what to do.
    pub(super) fn bind(path: &Path, mode: u32) -> io::Result<(UnixListener, Self)> {
        // Another program that begins now waits until this one listens. In a directory that nobody may read, it does not.
        let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        let directory = fs::File::open(directory.unwrap_or(Path::new("."))).ok();
        directory.iter().for_each(|directory| _ = directory.lock());
        remove_stale(path)?;
        let address = SocketAddrUnix::new(path)?;
        let socket = rustix::net::socket(AddressFamily::UNIX, SocketType::STREAM, None)?;
        rustix::io::fcntl_setfd(&socket, FdFlags::CLOEXEC)?;
        rustix::net::bind(&socket, &address)?;
        // Before anybody can connect, which takes somebody who listens.
        fs::set_permissions(path, fs::Permissions::from_mode(mode))?;
        rustix::net::listen(&socket, BACKLOG)?;
        let metadata = fs::symlink_metadata(path)?;
        let listener = UnixListener::from(socket);
        Ok((listener, Self { path: path.to_owned(), identity: (metadata.dev(), metadata.ino()) }))
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let is_own = fs::symlink_metadata(&self.path)
            .is_ok_and(|metadata| (metadata.dev(), metadata.ino()) == self.identity);
        if is_own && let Err(error) = fs::remove_file(&self.path) {
            log::warn!("the socket {:?} cannot be removed: {error}", self.path);
        }
    }
}

/// Removes what a server has left that did not end by itself.
fn remove_stale(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
        Ok(found) if found.is_dir() => Err(io::ErrorKind::IsADirectory.into()),
        Ok(found) if !found.file_type().is_socket() => Err(io::ErrorKind::AlreadyExists.into()),
        Ok(_) => match connect(path) {
            Err(Errno::CONNREFUSED) => fs::remove_file(path),
            Ok(()) | Err(Errno::AGAIN | Errno::INPROGRESS) => Err(io::ErrorKind::AddrInUse.into()),
            Err(error) => Err(error.into()),
        },
    }
}

/// Connects to a socket, and does not wait where too many others do.
fn connect(path: &Path) -> Result<(), Errno> {
    let socket = rustix::net::socket(AddressFamily::UNIX, SocketType::STREAM, None)?;
    rustix::io::ioctl_fionbio(&socket, true)?;
    rustix::net::connect(&socket, &SocketAddrUnix::new(path)?)
}

#[cfg(test)]
mod tests {
    use std::{env, os::unix::net::UnixStream, process, thread};

    use super::*;

    /// Returns a path that nothing is at.
    fn path(name: &str) -> PathBuf {
        env::temp_dir().join(format!("stateroom-{name}-{}.sock", process::id()))
    }

    #[test]
    fn a_socket_is_for_those_of_its_mode_and_removed_at_the_end() {
        let path = path("own");
        let socket = SocketFile::bind(&path, 0o600).unwrap();
        assert_eq!(fs::symlink_metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(UnixStream::connect(&path).is_ok());
        let taken = SocketFile::bind(&path, 0o600).unwrap_err();
        assert_eq!(taken.kind(), io::ErrorKind::AddrInUse);
        drop(socket);
        assert!(!path.exists());
    }

    #[test]
    fn a_socket_that_many_wait_for_is_in_use() {
        let path = path("busy");
        let socket = rustix::net::socket(AddressFamily::UNIX, SocketType::STREAM, None).unwrap();
        rustix::net::bind(&socket, &SocketAddrUnix::new(&*path).unwrap()).unwrap();
        rustix::net::listen(&socket, 0).unwrap();
        let waiting: Vec<_> = (0..4).map(|_| connect(&path)).collect();
        assert!(waiting.contains(&Err(Errno::AGAIN)) || cfg!(not(target_os = "linux")), "{waiting:?}");
        assert_eq!(SocketFile::bind(&path, 0o600).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        fs::remove_file(&path).unwrap();
    }

    #[test]
    fn of_several_that_begin_at_once_one_listens() {
        let path = path("race");
        for _ in 0..20 {
            drop(UnixListener::bind(&path).unwrap());
            let bind = || SocketFile::bind(&path, 0o600);
            let all = thread::scope(|scope| {
                let all: Vec<_> = (0..4).map(|_| scope.spawn(bind)).collect();
                all.into_iter().map(|one| one.join().unwrap()).collect::<Vec<_>>()
            });
            assert_eq!(all.iter().flatten().count(), 1);
            assert!(UnixStream::connect(&path).is_ok());
        }
    }

    #[test]
    fn a_stale_socket_is_replaced_and_any_other_file_is_not() {
        let path = path("stale");
        drop(UnixListener::bind(&path).unwrap());
        assert!(path.exists());
        let socket = SocketFile::bind(&path, 0o600).unwrap();
        // Another program has taken its place.
        fs::remove_file(&path).unwrap();
        fs::write(&path, "precious").unwrap();
        drop(socket);
        assert_eq!(SocketFile::bind(&path, 0o600).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read(&path).unwrap(), b"precious");
        fs::remove_file(&path).unwrap();
    }
}
