//! The signals that tell the process to end, and to load its files again.

use std::io;

#[cfg(not(unix))]
pub(super) use other::Caught;
#[cfg(unix)]
pub(super) use unix::Caught;

/// The signals of a process that serves. From the moment when they are caught, SIGHUP does not end the process, and SIGTERM and SIGINT
/// end it only when the server runs, which then ends in the order that it should. A second one of these ends the process at once,
/// with the exit status 143 (SIGTERM) or 130 (SIGINT).
#[cfg(feature = "wasm")]
#[derive(Debug)]
pub struct Signals {
    pub(super) end: Caught,
    pub(super) reload: Caught,
}

#[cfg(feature = "wasm")]
impl Signals {
    /// Catches the signals from now on, for [`Server::serve_guests`](crate::Server::serve_guests). A program should do this before it
    /// reads anything that SIGHUP lets it read again.
    ///
    /// # Errors
    /// The system does not let the process handle signals.
    pub fn catch() -> io::Result<Self> {
        Ok(Self { end: Caught::end()?, reload: Caught::reload()? })
    }
}

/// Waits for a signal to end.
pub(super) async fn end(signals: &Caught) {
    if let Err(error) = signals.next().await {
        log::error!("cannot wait for signals, and ends: {error}");
    }
    log::info!("shutting down");
}

#[cfg(unix)]
mod unix {
    use std::{
        cell::{OnceCell, RefCell},
        future::poll_fn,
        os::unix::net::UnixStream,
        sync::{Arc, atomic::AtomicBool},
    };

    use signal_hook::{
        consts::{SIGINT, SIGTERM},
        flag,
        low_level::pipe,
    };

    use super::io;
    use crate::reactor::Stream;

    /// The exit status of a process that a signal ends, as shells say it, is this and the number of the signal.
    const ENDED_BY: i32 = 128;

    /// Signals that have come, from now on: each is a byte in a socket.
    #[derive(Debug)]
    pub(in crate::server) struct Caught {
        /// The socket, until somebody waits for the first signal.
        socket: RefCell<Option<UnixStream>>,
        stream: OnceCell<Stream>,
    }

    impl Caught {
        /// Catches the signals that tell the process to end.
        pub(in crate::server) fn end() -> io::Result<Self> {
            // The second one ends it here, in the handler: whatever its threads do.
            let is_second = Arc::<AtomicBool>::default();
            for signal in [SIGTERM, SIGINT] {
                flag::register_conditional_shutdown(signal, ENDED_BY + signal, Arc::clone(&is_second))?;
            }
            for signal in [SIGTERM, SIGINT] {
                flag::register(signal, Arc::clone(&is_second))?;
            }
            Self::of(&[SIGTERM, SIGINT])
        }

        /// Catches the signal that tells the process to load its files again.
        #[cfg(feature = "wasm")]
        pub(super) fn reload() -> io::Result<Self> {
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

        /// Waits for a signal, on a thread that a reactor serves. Those that have come meanwhile are one.
        pub(in crate::server) async fn next(&self) -> io::Result<()> {
            if let Some(socket) = self.socket.take() {
                let _ = self.stream.set(Stream::new(Box::new(socket))?);
            }
            // There is none if it could not be made the first time.
            let signals = self.stream.get().ok_or(io::ErrorKind::NotConnected)?;
            let mut has_come = false;
            loop {
                match signals.try_read(&mut [0; 64]) {
                    Err(error) if error.kind() != io::ErrorKind::WouldBlock => return Err(error),
                    Err(_) if has_come => return Ok(()),
                    Err(_) => poll_fn(|cx| signals.poll_readable(cx)).await,
                    // Its other end is open for as long as the process runs.
                    Ok(_) => has_come = true,
                }
            }
        }
    }
}

#[cfg(not(unix))]
mod other {
    use std::{cell::RefCell, future::poll_fn};

    use async_signal::{Signal, Signals};
    use smol::stream::StreamExt as _;

    use super::io;

    /// Signals that have come, from now on.
    #[derive(Debug)]
    pub(in crate::server) struct Caught(RefCell<Signals>);

    impl Caught {
        /// Catches the signals that tell the process to end.
        pub(in crate::server) fn end() -> io::Result<Self> {
            Signals::new([Signal::Int]).map(RefCell::new).map(Self)
        }

        /// Catches nothing: there is no such signal.
        #[cfg(feature = "wasm")]
        pub(super) fn reload() -> io::Result<Self> {
            Signals::new([] as [Signal; 0]).map(RefCell::new).map(Self)
        }

        /// Waits for a signal.
        pub(in crate::server) async fn next(&self) -> io::Result<()> {
            poll_fn(|cx| self.0.borrow_mut().poll_next(cx)).await.transpose().map(drop)
        }
    }
}
