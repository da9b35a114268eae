use std::{
    cell::Cell,
    convert::Infallible,
    fmt,
    future::{Future, poll_fn},
    pin::{Pin, pin},
    rc::Rc,
    task::{Context, Poll},
    time::SystemTime,
};

use httpdate::fmt_http_date;
use hyper::{
    Request, Response,
    body::Incoming,
    header::{DATE, HeaderValue},
    server::conn::http1::{Builder, Parts},
    service::Service,
};

use super::{Body, Peer, Socket};

/// The rules that a listener has for its connections.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Protocol {
    /// The largest head of a request, in bytes.
    pub(crate) head_size: usize,
    /// True if a connection is for more than one request.
    pub(crate) keep_alive: bool,
}

/// The requests of one connection that are answered before others go on: in some 0.2 ms.
const AT_A_STRETCH: usize = 8;

/// Hands requests from the library to whoever answers them, and the answers back. There is one request at a time.
///
/// If the library called for the answers itself, it would be compiled again for each kind of answers.
struct Exchange {
    peer: Rc<dyn Peer>,
    request: Cell<Option<Request<Incoming>>>,
    answer: Cell<Option<Response<Body>>>,
    /// True if a request has come whose answer has not been taken.
    is_asked: Cell<bool>,
    /// True if there is an answer.
    is_answered: Cell<bool>,
}

/// Takes requests from the library.
struct Asking<'a>(&'a Exchange);

/// Waits for the answer to a request. It is polled when there is one.
struct Answer<'a>(&'a Exchange);

/// Answers the requests of a connection until its last one is answered, or until it becomes something else. The connection is
/// then the result, with what has been read of it beyond the requests.
///
/// # Errors
/// The peer is gone, or has sent something that is not HTTP.
pub(crate) async fn serve(
    socket: Socket,
    protocol: Protocol,
    answer: impl AsyncFn(Request<Incoming>) -> Response<Body>,
) -> hyper::Result<(Socket, Vec<u8>)> {
    let exchange = Exchange::new(Rc::clone(&socket.peer));
    // Each is pinned where it is made: moving it would double the memory of a connection.
    let mut served = pin!(serve_library(socket, protocol, &exchange));
    let mut answering = pin!(async {
        loop {
            let request = poll_fn(|_| exchange.poll_request()).await;
            exchange.answer.set(Some(answer(request).await));
            exchange.is_answered.set(true);
        }
    });
    poll_fn(|cx| {
        for _ in 0..AT_A_STRETCH {
            if let Poll::Ready(served) = served.as_mut().poll(cx) {
                return Poll::Ready(served);
            }
            if exchange.is_asked.get() {
                // It has no end.
                _ = answering.as_mut().poll(cx);
            }
            if !exchange.is_answered.get() {
                return Poll::Pending;
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await
}

async fn serve_library(
    socket: Socket,
    protocol: Protocol,
    exchange: &Exchange,
) -> hyper::Result<(Socket, Vec<u8>)> {
    let mut connection = Builder::new()
        .header_read_timeout(None)
        // The library's stays as it is while the clock is behind it.
        .auto_date_header(false)
        .max_buf_size(protocol.head_size)
        .keep_alive(protocol.keep_alive)
        .serve_connection(socket, Asking(exchange));
    poll_fn(|cx| connection.poll_without_shutdown(cx)).await?;
    let Parts { io: socket, read_buf, .. } = connection.into_parts();
    // Where this fails, whoever uses the connection next notices.
    _ = poll_fn(|cx| socket.poll_flushed(cx)).await;
    Ok((socket, read_buf.to_vec()))
}

impl Exchange {
    fn new(peer: Rc<dyn Peer>) -> Self {
        Self {
            peer,
            request: Cell::default(),
            answer: Cell::default(),
            is_asked: Cell::default(),
            is_answered: Cell::default(),
        }
    }

    fn poll_request(&self) -> Poll<Request<Incoming>> {
        self.request.take().map_or(Poll::Pending, Poll::Ready)
    }
}

impl<'a> Service<Request<Incoming>> for Asking<'a> {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Answer<'a>;

    fn call(&self, request: Request<Incoming>) -> Answer<'a> {
        self.0.peer.note_request(&request);
        self.0.request.set(Some(request));
        self.0.is_asked.set(true);
        Answer(self.0)
    }
}

impl Future for Answer<'_> {
    type Output = Result<Response<Body>, Infallible>;

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(mut answer) = self.0.answer.take() else { return Poll::Pending };
        date().into_iter().for_each(|date| _ = answer.headers_mut().insert(DATE, date));
        self.0.is_asked.set(false);
        self.0.is_answered.set(false);
        Poll::Ready(Ok(answer))
    }
}

/// Returns the time as a header. The text is made once in a second, because that takes more instructions than a message.
fn date() -> Option<HeaderValue> {
    thread_local!(static LAST: Cell<(u64, [u8; 29])> = const { Cell::new((0, [0; 29])) });
    let now = SystemTime::now();
    let second = now.duration_since(SystemTime::UNIX_EPOCH).ok()?.as_secs();
    let (last, mut date) = LAST.get();
    if last != second {
        date = fmt_http_date(now).as_bytes().try_into().ok()?;
        LAST.set((second, date));
    }
    HeaderValue::from_bytes(&date).ok()
}

impl fmt::Debug for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exchange").field("is_asked", &self.is_asked).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::Write as _,
        net::{TcpListener, TcpStream},
        task::Waker,
    };

    use hyper::StatusCode;

    use super::*;
    use crate::{
        memory::Ledger,
        reactor::{Stream, block_on},
        requests::text,
        wire::Buffers,
    };

    struct Anybody;

    impl Peer for Anybody {}

    #[test]
    fn who_asks_many_times_at_once_lets_others_go_on_in_between() {
        const REQUESTS: usize = 3 * AT_A_STRETCH;
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (stream, _) = listener.accept().unwrap();
        stream.set_nonblocking(true).unwrap();
        client.write_all(&b"GET / HTTP/1.1\r\nHost: a\r\n\r\n".repeat(REQUESTS)).unwrap();
        block_on(async {
            let stream = Stream::new(stream).unwrap();
            poll_fn(|cx| stream.poll_readable(cx)).await;
            let buffers = Rc::new(Buffers::new(Ledger::new(usize::MAX)));
            let socket = Socket { stream, buffers, peer: Rc::new(Anybody) };
            let answered = Cell::new(0);
            let protocol = Protocol { head_size: 8 << 10, keep_alive: true };
            let mut served = pin!(serve(socket, protocol, async |_| {
                answered.set(answered.get() + 1);
                text(StatusCode::OK, "hello")
            }));
            let mut before = 0;
            while answered.get() < REQUESTS {
                assert!(served.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
                assert!(answered.get() - before <= AT_A_STRETCH);
                before = answered.get();
            }
        });
    }
}
