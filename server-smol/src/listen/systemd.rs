use std::io;

use listenfd::ListenFd;

use super::Socket;

/// Takes the sockets that were passed to this process (`LISTEN_FDS` and `LISTEN_PID`), and clears the variables.
///
/// # Errors
/// There are none, or one of them is no socket for connections.
pub(super) fn take() -> io::Result<Vec<Socket>> {
    let mut passed = ListenFd::from_env();
    if passed.len() == 0 {
        return Err(io::Error::new(
            io::ErrorKind::NotFound,
            "no sockets were passed to this process (`LISTEN_FDS`); start it with a `.socket` unit",
        ));
    }
    (0..passed.len()).filter_map(|index| take_one(&mut passed, index).transpose()).collect()
}

fn take_one(passed: &mut ListenFd, index: usize) -> io::Result<Option<Socket>> {
    if let Ok(listener) = passed.take_tcp_listener(index) {
        return Ok(listener.map(Socket::Tcp));
    }
    match passed.take_unix_listener(index) {
        Ok(listener) => Ok(listener.map(Socket::Unix)),
        Err(_) => Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!(
                "file descriptor {} that was passed is neither a TCP socket nor a Unix socket for streams: use \
                 `ListenStream=`",
                index + 3
            ),
        )),
    }
}
