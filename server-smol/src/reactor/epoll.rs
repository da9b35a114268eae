use std::{
    cell::RefCell,
    future::Future,
    io,
    os::fd::{AsFd, OwnedFd},
    pin::pin,
    rc::Rc,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use rustix::{
    buffer::spare_capacity,
    event::{Timespec, epoll},
};
use slab::Slab;

use super::{notifier::Notifier, stream::Source, timer::Timers};

/// How many events one look at the sockets can bring. More are seen by the next one.
const EVENTS: usize = 256;

/// The longest wait: who is woken too early waits again. One of some weeks takes a system call that older systems do not
/// have, and would fail there at once, over and over.
const LONGEST_WAIT: Duration = Duration::from_secs(24 * 60 * 60);

/// What the notifier is known by. Sockets are known by their index, which is smaller.
const NOTIFIER: u64 = u64::MAX;

thread_local! {
    /// The reactor that runs on this thread.
    static CURRENT: RefCell<Option<Rc<Sockets>>> = const { RefCell::new(None) };
}

/// What a thread needs to serve sockets, before it does.
#[derive(Debug)]
pub(crate) struct Reactor {
    epoll: OwnedFd,
    notifier: Arc<Notifier>,
}

/// The sockets and timers of this thread.
#[derive(Debug)]
pub(super) struct Sockets {
    epoll: OwnedFd,
    sources: RefCell<Slab<Rc<Source>>>,
    pub(super) timers: Timers,
}

impl Reactor {
    /// # Errors
    /// There are no more file descriptors.
    pub(crate) fn new() -> io::Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let notifier = Notifier::new()?;
        let flags = epoll::EventFlags::IN | epoll::EventFlags::ET;
        epoll::add(&epoll, &notifier, epoll::EventData::new_u64(NOTIFIER), flags)?;
        Ok(Self { epoll, notifier })
    }

    /// Runs a future to its end on this thread, with the thread's streams and timers, and `after` each time that it
    /// has been polled.
    ///
    /// The sockets are looked at after each time that the future has been polled. It is not polled again before,
    /// however often it was woken.
    pub(crate) fn block_on<T>(self, future: impl Future<Output = T>, after: impl Fn()) -> T {
        let Self { epoll, notifier } = self;
        let sockets = Rc::new(Sockets { epoll, sources: RefCell::default(), timers: Timers::default() });
        CURRENT.set(Some(Rc::clone(&sockets)));
        let waker = Waker::from(Arc::clone(&notifier));
        let mut cx = Context::from_waker(&waker);
        let mut events = Vec::with_capacity(EVENTS);
        let mut future = pin!(future);
        loop {
            if notifier.take_woken() {
                let polled = future.as_mut().poll(&mut cx);
                after();
                if let Poll::Ready(output) = polled {
                    CURRENT.set(None);
                    return output;
                }
            }
            let timeout = match (notifier.begin_wait(), sockets.timers.next()) {
                (false, _) => Some(Timespec::default()),
                (true, None) => None,
                (true, Some(next)) => Some(wait_until(next, Instant::now())),
            };
            events.clear();
            let looked = epoll::wait(&sockets.epoll, spare_capacity(&mut events), timeout.as_ref());
            notifier.end_wait();
            if let Err(error) = looked
                && error != rustix::io::Errno::INTR
            {
                // There is nothing left in what it is called with that could be wrong.
                log::error!("cannot wait for sockets: {error}");
            }
            sockets.wake(&events);
            sockets.timers.fire();
        }
    }
}

impl Sockets {
    /// Those of this thread.
    ///
    /// # Panics
    /// There is no reactor on this thread.
    pub(super) fn current() -> Rc<Self> {
        CURRENT.with_borrow(|current| current.clone()).expect("streams and timers are used within `block_on`")
    }

    /// Watches a socket for whatever happens to it, once and for all.
    pub(super) fn add(&self, socket: impl AsFd) -> io::Result<Rc<Source>> {
        let mut sources = self.sources.borrow_mut();
        let entry = sources.vacant_entry();
        let flags =
            epoll::EventFlags::IN | epoll::EventFlags::OUT | epoll::EventFlags::RDHUP | epoll::EventFlags::ET;
        epoll::add(&self.epoll, socket, epoll::EventData::new_u64(entry.key() as u64), flags)?;
        let source = Rc::new(Source::new(entry.key()));
        entry.insert(Rc::clone(&source));
        Ok(source)
    }

    /// Forgets a socket, which is closed next: that ends the watch.
    pub(super) fn remove(&self, source: &Source) {
        self.sources.borrow_mut().try_remove(source.key);
    }

    fn wake(&self, events: &[epoll::Event]) {
        let sources = self.sources.borrow();
        for event in events {
            // No source comes or goes meanwhile: what is woken runs later.
            let key = event.data.u64();
            if let Some(source) = usize::try_from(key).ok().and_then(|key| sources.get(key)) {
                source.wake(event.flags);
            }
        }
    }
}

/// How long to wait for what is due next.
fn wait_until(next: Instant, now: Instant) -> Timespec {
    let wait = next.saturating_duration_since(now).min(LONGEST_WAIT);
    Timespec::try_from(wait).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_wait_is_longer_than_every_system_can_wait() {
        let now = Instant::now();
        let wait = |seconds| wait_until(now + Duration::from_secs(seconds), now).tv_sec;
        assert_eq!((wait(0), wait(60)), (0, 60));
        // The largest timer of a guest, and a room that may stay empty for a year.
        for seconds in [u64::from(u32::MAX) / 1_000, 365 * 24 * 60 * 60] {
            assert!(wait(seconds) < i64::from(i32::MAX) / 1_000);
        }
        assert_eq!(wait_until(now, now + Duration::from_secs(1)).tv_sec, 0);
    }
}
