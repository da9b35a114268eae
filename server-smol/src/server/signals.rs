//! The signals that tell the process to end, and to load its module again.

use std::io;

#[cfg(not(unix))]
pub(super) use other::Signals;
#[cfg(unix)]
pub(super) use unix::Signals;

#[cfg(unix)]
mod unix {
    use std::{
        cell::{OnceCell, RefCell},
        future::poll_fn,
        os::unix::net::UnixStream,
    };

    use signal_hook::{
        consts::{SIGINT, SIGTERM},
        low_level::pipe,
    };

    use super::io;
    use crate::reactor::Stream;

    /// Signals that have come, from now on: each is a byte in a socket.
    #[derive(Debug)]
    pub(in crate::server) struct Signals {
        /// The socket, until somebody waits for the first signal.
        socket: RefCell<Option<UnixStream>>,
        stream: OnceCell<Stream>,
    }

    impl Signals {
        /// Receives the signals that tell the process to end.
        ///
        /// # Errors
        /// The system does not let the process handle signals.
        pub(in crate::server) fn of_end() -> io::Result<Self> {
            Self::of(&[SIGTERM, SIGINT])
        }

        /// Receives the signals that tell the process to load its module again.
        ///
        /// # Errors
        /// The same.
        #[cfg(feature = "wasm")]
        pub(in crate::server) fn of_reload() -> io::Result<Self> {
            Self::of(&[signal_hook::consts::SIGHUP])
        }

        fn of(wanted: &[i32]) -> io::Result<Self> {
            let (signals, handler) = UnixStream::pair()?;
            signals.set_nonblocking(true)?;
            for signal in wanted {
                pipe::register(*signal, handler.try_clone()?)?;
            }
            Ok(Self { socket: RefCell::new(Some(signals)), stream: OnceCell::new() })
        }

        /// Waits for a signal, on a thread that a reactor serves.
        pub(in crate::server) async fn next(&self) -> io::Result<()> {
            if let Some(socket) = self.socket.take() {
                let _ = self.stream.set(Stream::new(Box::new(socket))?);
            }
            // There is none if it could not be made the first time.
            let signals = self.stream.get().ok_or(io::ErrorKind::NotConnected)?;
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
    use std::{cell::RefCell, future::poll_fn};

    use async_signal::Signal;
    use smol::stream::StreamExt as _;

    use super::io;

    /// Signals that have come, from now on.
    #[derive(Debug)]
    pub(in crate::server) struct Signals(RefCell<async_signal::Signals>);

    impl Signals {
        /// Receives the signals that tell the process to end.
        ///
        /// # Errors
        /// The system does not let the process handle signals.
        pub(in crate::server) fn of_end() -> io::Result<Self> {
            async_signal::Signals::new([Signal::Int]).map(RefCell::new).map(Self)
        }

        /// Receives nothing: there is no such signal.
        ///
        /// # Errors
        /// The same.
        #[cfg(feature = "wasm")]
        pub(in crate::server) fn of_reload() -> io::Result<Self> {
            async_signal::Signals::new([] as [Signal; 0]).map(RefCell::new).map(Self)
        }

        /// Waits for a signal.
        pub(in crate::server) async fn next(&self) -> io::Result<()> {
            poll_fn(|cx| self.0.borrow_mut().poll_next(cx)).await.transpose().map(drop)
        }
    }
}
