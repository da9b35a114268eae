//! Server-sent events (WHATWG HTML, section 9.2): a response that goes on until one of its ends is closed.

use std::{
    fmt::Write as _,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use hyper::{
    Response,
    body::Bytes,
    header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue},
};
use smol::{
    channel::{Receiver, Sender, unbounded},
    stream::Stream as _,
};

use crate::reactor::Timer;

use super::Body;

/// The maximum size of the events that wait for a client, in bytes. Further ones are dropped and counted.
pub(super) const WAITING: usize = 256 << 10;

/// The maximum size of an event, in bytes. A larger one is sent, too, but then more than [`WAITING`] may wait.
pub(crate) const MOST_EVENT: usize = 64 << 10;

/// The bytes around the name and the data of an event.
const FRAME: usize = 16;

/// The time after which a comment is sent if there are no events. So a connection that is broken is found, and one that is in
/// order is not given up.
const HEARTBEAT: Duration = Duration::from_secs(10);

/// The time after which a browser connects again, in milliseconds.
const RETRY: &str = "retry: 1000\n\n";

/// The sender of a stream's events. It can be used from any thread.
#[derive(Debug, Clone)]
pub(crate) struct EventSender {
    sender: Sender<Bytes>,
    counts: Arc<Counts>,
}

/// The counts that both ends of a stream share.
#[derive(Debug, Default)]
struct Counts {
    /// The size of the events that wait, in bytes.
    waiting: AtomicUsize,
    /// The number of events that were dropped, and that the client does not know of.
    dropped: AtomicU64,
}

/// The stream of events, as it is sent to one client.
#[derive(Debug)]
pub(crate) struct EventStream {
    receiver: Pin<Box<Receiver<Bytes>>>,
    counts: Arc<Counts>,
    heartbeat: Timer,
}

/// Makes a response that consists of events, and the sender of these.
pub(crate) fn event_stream() -> (EventSender, Response<Body>) {
    let (sender, receiver) = unbounded();
    let sender = EventSender { sender, counts: Arc::default() };
    sender.push(Bytes::from_static(RETRY.as_bytes()));
    let stream = EventStream {
        receiver: Box::pin(receiver),
        counts: Arc::clone(&sender.counts),
        heartbeat: Timer::after(HEARTBEAT),
    };
    let mut response = Response::new(Body::from(stream));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    (sender, response)
}

/// Returns an event as it is sent.
pub(crate) fn encode_event(event: &str, data: &str) -> Bytes {
    let mut text = String::with_capacity(event.len() + data.len() + FRAME);
    _ = writeln!(text, "event: {event}");
    data.split(['\r', '\n']).for_each(|line| _ = writeln!(text, "data: {line}"));
    text.push('\n');
    text.into()
}

impl EventSender {
    /// Sends an event. If too many events wait, this one is dropped, and the client is told how many were.
    pub(crate) fn send(&self, event: &str, data: &str) {
        self.send_encoded(encode_event(event, data));
    }

    /// Sends the same event as others get. See [`send`](Self::send).
    pub(crate) fn send_encoded(&self, event: Bytes) {
        if self.is_full() {
            return self.note_dropped();
        }
        self.push(event);
    }

    fn push(&self, event: Bytes) {
        let size = event.len();
        self.counts.waiting.fetch_add(size, Ordering::Relaxed);
        if self.sender.try_send(event).is_err() {
            // The stream is closed: nobody misses it.
            self.counts.waiting.fetch_sub(size, Ordering::Relaxed);
        }
    }

    /// Counts an event that is not sent.
    pub(crate) fn note_dropped(&self) {
        self.counts.dropped.fetch_add(1, Ordering::Relaxed);
    }

    /// Ends the stream once the client has got the events that wait.
    pub(crate) fn close(&self) {
        self.sender.close();
    }

    /// Returns whether nobody receives the events any more.
    pub(crate) fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }

    /// Returns whether the next event would be dropped.
    pub(crate) fn is_full(&self) -> bool {
        self.counts.waiting.load(Ordering::Relaxed) > WAITING - MOST_EVENT
    }
}

impl EventStream {
    /// Ready with the next event or comment, or with nothing at the end.
    pub(super) fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        if let Poll::Ready(event) = self.receiver.as_mut().poll_next(cx) {
            self.heartbeat = Timer::after(HEARTBEAT);
            self.counts.waiting.fetch_sub(event.as_ref().map_or(0, Bytes::len), Ordering::Relaxed);
            return Poll::Ready(event);
        }
        // It was full before, so those that were dropped come behind all others.
        let dropped = self.counts.dropped.swap(0, Ordering::Relaxed);
        if dropped > 0 {
            return Poll::Ready(Some(format!("event: dropped\ndata: {dropped}\n\n").into()));
        }
        if Pin::new(&mut self.heartbeat).poll(cx).is_pending() {
            return Poll::Pending;
        }
        self.heartbeat = Timer::after(HEARTBEAT);
        Poll::Ready(Some(Bytes::from_static(b":\n\n")))
    }
}

impl Drop for EventStream {
    fn drop(&mut self) {
        // The senders may stay for days, and with them the events.
        self.receiver.close();
        while let Ok(event) = self.receiver.try_recv() {
            self.counts.waiting.fetch_sub(event.len(), Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{rc::Rc, task::Waker};

    use hyper::body::{Body as _, Buf as _};

    use super::*;
    use crate::reactor::{Clock, ClockSource, Reactor, VirtualClock, block_on};

    /// Returns the events that a client has got, and whether that was the end.
    fn received(response: &mut Response<Body>) -> (String, bool) {
        let mut text = String::new();
        loop {
            let cx = &mut Context::from_waker(Waker::noop());
            match Pin::new(response.body_mut()).poll_frame(cx) {
                Poll::Pending => return (text, false),
                Poll::Ready(None) => return (text, true),
                Poll::Ready(Some(frame)) => {
                    let piece = frame.unwrap().into_data().unwrap();
                    text.push_str(str::from_utf8(piece.chunk()).unwrap());
                }
            }
        }
    }

    #[test]
    fn a_client_gets_events_until_either_side_ends() {
        block_on(async {
            let (sender, mut response) = event_stream();
            assert!(!response.body().is_end_stream());
            sender.send("room", "{}");
            assert_eq!(received(&mut response), ("retry: 1000\n\nevent: room\ndata: {}\n\n".into(), false));
            sender.clone().send("build", "1");
            sender.close();
            assert_eq!(received(&mut response), ("event: build\ndata: 1\n\n".into(), true));
            let (sender, response) = event_stream();
            assert!(!sender.is_closed());
            sender.send("room", &"a".repeat(WAITING));
            assert!(sender.is_full());
            drop(response);
            assert!(sender.is_closed() && !sender.is_full(), "nothing waits for nobody");
            sender.send("room", "{}");
            assert_eq!(sender.counts.waiting.load(Ordering::Relaxed), 0);
        });
    }

    #[test]
    fn a_client_that_is_too_slow_hears_how_much_it_has_missed() {
        block_on(async {
            let (sender, mut response) = event_stream();
            let long = "a".repeat(WAITING);
            for _ in 0..3 {
                sender.send("room", &long);
            }
            assert!(sender.is_full());
            let (text, _) = received(&mut response);
            assert_eq!(text.matches("event: ").count(), 2);
            assert!(text.ends_with("event: dropped\ndata: 2\n\n"), "without another event");
            sender.send("room", "b");
            assert_eq!(received(&mut response).0, "event: room\ndata: b\n\n");
            // As long as no event is too large, neither is what waits.
            let event = encode_event("room", &"a".repeat(MOST_EVENT - 2 * FRAME));
            (0..10).for_each(|_| sender.send_encoded(event.clone()));
            let (text, _) = received(&mut response);
            assert!((WAITING - 2 * MOST_EVENT..=WAITING + FRAME * 2).contains(&text.len()), "{}", text.len());
        });
    }

    #[test]
    fn data_cannot_begin_another_event() {
        block_on(async {
            let (sender, mut response) = event_stream();
            received(&mut response);
            sender.send("a", "1\n\nevent: b\r2");
            let expected = "event: a\ndata: 1\ndata: \ndata: event: b\ndata: 2\n\n";
            assert_eq!(received(&mut response).0, expected);
        });
    }

    #[test]
    fn a_stream_without_events_has_a_heartbeat() {
        let moved = VirtualClock::new();
        let clock = Rc::new(Clock::new(ClockSource::Virtual(moved.clone())));
        let poller = Reactor::new().unwrap().enter(&clock);
        let (_sender, mut response) = event_stream();
        received(&mut response);
        for _ in 0..2 {
            moved.advance(HEARTBEAT);
            poller.wait(false);
            assert_eq!(received(&mut response), (":\n\n".into(), false));
        }
    }
}
