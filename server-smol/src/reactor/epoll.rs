use std::{
    cell::RefCell,
    future::Future,
    io,
    os::fd::{AsFd, OwnedFd},
    pin::pin,
    rc::Rc,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use rustix::{
    buffer::spare_capacity,
    event::{Timespec, epoll},
};
use slab::Slab;

use super::{
    alarm::Alarm,
    notifier::Notifier,
    stream::{Source, Watch},
    timer::Timers,
};

/// How many events one look at the sockets can bring. More are seen by the next one.
const EVENTS: usize = 256;

/// What the notifier and the alarm are known by. Sockets are known by their index, which is smaller.
const NOTIFIER: u64 = u64::MAX;
const ALARM: u64 = u64::MAX - 1;

thread_local! {
    /// The reactor that runs on this thread.
    static CURRENT: RefCell<Option<Rc<Sockets>>> = const { RefCell::new(None) };
}

/// What a thread needs to serve sockets, before it does.
#[derive(Debug)]
pub(crate) struct Reactor {
    epoll: OwnedFd,
    notifier: Arc<Notifier>,
    alarm: Alarm,
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
        let (notifier, alarm) = (Notifier::new()?, Alarm::new()?);
        let flags = epoll::EventFlags::IN | epoll::EventFlags::ET;
        epoll::add(&epoll, &notifier, epoll::EventData::new_u64(NOTIFIER), flags)?;
        epoll::add(&epoll, &alarm, epoll::EventData::new_u64(ALARM), flags)?;
        Ok(Self { epoll, notifier, alarm })
    }

    /// Runs a future to its end on this thread, with the thread's streams and timers, and `after` at the end of each
    /// round, which is everything that is done between two looks at the sockets.
    ///
    /// The future is polled once in a round at most, however often it was woken.
    pub(crate) fn block_on<T>(self, future: impl Future<Output = T>, after: impl Fn()) -> T {
        let Self { epoll, notifier, alarm } = self;
        let sockets = Rc::new(Sockets { epoll, sources: RefCell::default(), timers: Timers::default() });
        CURRENT.set(Some(Rc::clone(&sockets)));
        let waker = Waker::from(Arc::clone(&notifier));
        let mut cx = Context::from_waker(&waker);
        let mut events = Vec::with_capacity(EVENTS);
        let mut future = pin!(future);
        loop {
            let polled = if notifier.take_woken() { future.as_mut().poll(&mut cx) } else { Poll::Pending };
            after();
            if let Poll::Ready(output) = polled {
                CURRENT.set(None);
                return output;
            }
            alarm.set(sockets.timers.next());
            let timeout = (!notifier.begin_wait()).then(Timespec::default);
            events.clear();
            let looked = epoll::wait(&sockets.epoll, spare_capacity(&mut events), timeout.as_ref());
            notifier.end_wait();
            if let Err(error) = looked
                && error != rustix::io::Errno::INTR
            {
                // There is nothing left in what it is called with that could be wrong.
                log::error!("cannot wait for sockets: {error}");
            }
            for event in &events {
                match event.data.u64() {
                    NOTIFIER => {}
                    ALARM => {
                        alarm.note_rung();
                        sockets.timers.fire();
                    }
                    socket => sockets.tell(socket, event.flags),
                }
            }
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
    pub(super) fn watch(self: &Rc<Self>, socket: impl AsFd) -> io::Result<Watch> {
        let mut sources = self.sources.borrow_mut();
        let entry = sources.vacant_entry();
        let flags =
            epoll::EventFlags::IN | epoll::EventFlags::OUT | epoll::EventFlags::RDHUP | epoll::EventFlags::ET;
        epoll::add(&self.epoll, socket, epoll::EventData::new_u64(entry.key() as u64), flags)?;
        let source = Rc::new(Source::new(entry.key()));
        entry.insert(Rc::clone(&source));
        Ok(Watch { source, sockets: Rc::clone(self) })
    }

    /// Watches a socket no more that stays open.
    pub(super) fn let_go(&self, socket: impl AsFd) -> io::Result<()> {
        Ok(epoll::delete(&self.epoll, socket)?)
    }

    /// Forgets a socket. When it is closed the system does so, too.
    pub(super) fn forget(&self, source: &Source) {
        self.sources.borrow_mut().try_remove(source.key);
    }

    /// Tells a socket what has happened to it.
    fn tell(&self, socket: u64, flags: epoll::EventFlags) {
        // What listens to it may do anything, so that nothing is borrowed meanwhile.
        let source = usize::try_from(socket).ok().and_then(|key| self.sources.borrow().get(key).cloned());
        if let Some(source) = source {
            source.tell(flags);
        }
    }
}
