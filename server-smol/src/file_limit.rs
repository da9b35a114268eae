use std::io;

/// Returns true if an operation has failed because the process, or the system, may have no more open files.
pub(crate) fn is_reached(error: &io::Error) -> bool {
    #[cfg(unix)]
    {
        use rustix::io::Errno;

        [Errno::MFILE, Errno::NFILE].iter().any(|errno| error.raw_os_error() == Some(errno.raw_os_error()))
    }
    #[cfg(not(unix))]
    {
        let _ = error;
        false
    }
}
