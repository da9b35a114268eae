use std::{
    future::Future,
    io,
    net::TcpStream,
    pin::Pin,
    task::{Context, Poll},
};

use async_io::Async;
use smol::io::{AsyncRead, AsyncWrite};

pub(crate) use async_io::Timer;

/// The runtime's reactor.
#[derive(Debug)]
pub(crate) struct Reactor(());

impl Reactor {
    #[allow(clippy::unnecessary_wraps, reason = "it fails elsewhere")]
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self(()))
    }

    /// Runs a future to its end on this thread.
    pub(crate) fn block_on<T>(self, future: impl Future<Output = T>) -> T {
        async_io::block_on(future)
    }
}

/// A TCP connection.
#[derive(Debug)]
pub(crate) struct Stream(Async<TcpStream>);

impl Stream {
    pub(crate) fn new(stream: TcpStream) -> io::Result<Self> {
        Async::new_nonblocking(stream).map(Self)
    }

    pub(crate) fn get_ref(&self) -> &TcpStream {
        self.0.get_ref()
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_read(cx, bytes)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_close(cx)
    }
}
