//! The signals that tell the command to end.

use std::io;
#[cfg(unix)]
use std::{io::Read as _, os::unix::net::UnixStream};

#[cfg(unix)]
use signal_hook::{
    consts::{SIGINT, SIGTERM},
    low_level::pipe,
};

/// Receives signals from now on.
#[derive(Debug)]
pub(crate) struct Signals {
    /// Each signal is a byte in it.
    #[cfg(unix)]
    bytes: UnixStream,
    #[cfg(not(unix))]
    signals: async_signal::Signals,
}

impl Signals {
    /// # Errors
    /// The system does not let the process handle signals.
    #[cfg(unix)]
    pub(crate) fn new() -> io::Result<Self> {
        let (bytes, handler) = UnixStream::pair()?;
        for signal in [SIGTERM, SIGINT] {
            pipe::register(signal, handler.try_clone()?)?;
        }
        Ok(Self { bytes })
    }

    /// Blocks until a signal has arrived.
    #[cfg(unix)]
    pub(crate) fn wait(mut self) -> io::Result<()> {
        self.bytes.read_exact(&mut [0])
    }

    /// # Errors
    /// The system does not let the process handle signals.
    #[cfg(not(unix))]
    pub(crate) fn new() -> io::Result<Self> {
        async_signal::Signals::new([async_signal::Signal::Int]).map(|signals| Self { signals })
    }

    /// Blocks until a signal has arrived.
    #[cfg(not(unix))]
    pub(crate) fn wait(mut self) -> io::Result<()> {
        use smol::stream::StreamExt as _;
        smol::block_on(self.signals.next()).transpose().map(drop)
    }
}
