use std::{
    future::{Future, poll_fn},
    io::{self, IoSlice, Read as _, Write as _},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    pin::pin,
    rc::Weak,
    task::{Context, Poll},
};

use async_io::Async;

use super::Listen;

pub(crate) use async_io::Timer;

/// The runtime's reactor.
#[derive(Debug)]
pub(crate) struct Reactor(());

impl Reactor {
    #[allow(clippy::unnecessary_wraps, reason = "it fails elsewhere")]
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self(()))
    }

    /// Runs a future to its end on this thread, and `after` each time that it has been polled.
    pub(crate) fn block_on<T>(self, future: impl Future<Output = T>, after: impl Fn()) -> T {
        let mut future = pin!(future);
        async_io::block_on(poll_fn(|cx| {
            let polled = future.as_mut().poll(cx);
            after();
            polled
        }))
    }
}

/// Where connections come in.
#[derive(Debug)]
pub(crate) struct Listener(Async<TcpListener>);

impl Listener {
    pub(crate) fn new(listener: TcpListener) -> io::Result<Self> {
        Async::new_nonblocking(listener).map(Self)
    }

    pub(crate) async fn accept(&self) -> io::Result<(Stream, SocketAddr)> {
        let (stream, address) = self.0.accept().await?;
        // Messages are small and must not wait for one another's acknowledgement.
        stream.get_ref().set_nodelay(true)?;
        Ok((Stream(stream), address))
    }
}

/// A TCP connection.
#[derive(Debug)]
pub(crate) struct Stream(Async<TcpStream>);

impl Stream {
    pub(crate) fn new(stream: TcpStream) -> io::Result<Self> {
        Async::new_nonblocking(stream).map(Self)
    }

    pub(crate) fn into_inner(self) -> io::Result<TcpStream> {
        self.0.into_inner()
    }

    pub(crate) fn try_read(&self, bytes: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.0.get_ref().read(bytes) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => return result,
            }
        }
    }

    pub(crate) fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.0.poll_readable(cx).map(drop)
    }

    /// Nobody is told but whoever waits.
    pub(crate) fn set_listener(&self, _listener: Weak<dyn Listen>) {}

    pub(crate) fn try_write(&self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        loop {
            match self.0.get_ref().write_vectored(pieces) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => return result,
            }
        }
    }

    pub(crate) fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.0.poll_writable(cx).map(drop)
    }

    /// Each write tries.
    pub(crate) fn assume_writable(&self) {}

    pub(crate) fn end_writing(&self) -> io::Result<()> {
        self.0.get_ref().shutdown(Shutdown::Write)
    }
}
