//! The signals that tell the process to end.

use std::io;

#[cfg(not(unix))]
pub(super) use other::Signals;
#[cfg(unix)]
pub(super) use unix::Signals;

#[cfg(unix)]
mod unix {
    use std::{future::poll_fn, os::unix::net::UnixStream};

    use signal_hook::{
        consts::{SIGINT, SIGTERM},
        low_level::pipe,
    };

    use super::io;
    use crate::reactor::Stream;

    /// Signals that have come, from now on: each is a byte in a socket.
    #[derive(Debug)]
    pub(in crate::server) struct Signals(UnixStream);

    impl Signals {
        /// # Errors
        /// The system does not let the process handle signals.
        pub(in crate::server) fn new() -> io::Result<Self> {
            let (signals, handler) = UnixStream::pair()?;
            signals.set_nonblocking(true)?;
            for signal in [SIGTERM, SIGINT] {
                pipe::register(signal, handler.try_clone()?)?;
            }
            Ok(Self(signals))
        }

        /// Waits for a signal, on a thread that a reactor serves.
        pub(in crate::server) async fn next(self) -> io::Result<()> {
            let signals = Stream::new(Box::new(self.0))?;
            loop {
                match signals.try_read(&mut [0]) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                        poll_fn(|cx| signals.poll_readable(cx)).await;
                    }
                    read => return read.map(drop),
                }
            }
        }
    }
}

#[cfg(not(unix))]
mod other {
    use async_signal::Signal;
    use smol::stream::StreamExt as _;

    use super::io;

    /// Signals that have come, from now on.
    #[derive(Debug)]
    pub(in crate::server) struct Signals(async_signal::Signals);

    impl Signals {
        /// # Errors
        /// The system does not let the process handle signals.
        pub(in crate::server) fn new() -> io::Result<Self> {
            async_signal::Signals::new([Signal::Int]).map(Self)
        }

        /// Waits for a signal.
        pub(in crate::server) async fn next(mut self) -> io::Result<()> {
            self.0.next().await.transpose().map(drop)
        }
    }
}
