use std::{
    cell::RefCell,
    fmt, io,
    os::fd::{AsFd, OwnedFd},
    rc::Rc,
    sync::Arc,
    task::Waker,
};

use rustix::{
    buffer::spare_capacity,
    event::{Timespec, epoll},
};
use slab::Slab;

use super::{
    alarm::Alarm,
    clock::Clock,
    notifier::Notifier,
    stream::{Source, Watch},
    timer::{Timers, current_timers},
};

/// The maximum number of events of one `epoll_wait`. The next call returns the others.
const EVENTS: usize = 256;

/// The keys of the notifier and of the alarm. The key of a socket is its index, which is smaller.
const NOTIFIER: u64 = u64::MAX;
const ALARM: u64 = u64::MAX - 1;

thread_local! {
    /// The sockets of this thread.
    static CURRENT: RefCell<Option<Rc<Sockets>>> = const { RefCell::new(None) };
}

/// The resources that a thread needs to serve sockets, before it begins.
#[derive(Debug)]
pub(crate) struct Reactor {
    epoll: OwnedFd,
    notifier: Arc<Notifier>,
    alarm: Alarm,
}

/// A reactor at work: it waits for the sockets and timers of this thread.
pub(crate) struct Poller {
    sockets: Rc<Sockets>,
    timers: Rc<Timers>,
    notifier: Arc<Notifier>,
    alarm: Alarm,
    events: RefCell<Vec<epoll::Event>>,
}

/// The sockets of this thread.
#[derive(Debug)]
pub(super) struct Sockets {
    epoll: OwnedFd,
    sources: RefCell<Slab<Rc<Source>>>,
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

    /// Makes this the reactor of this thread, until the result is dropped.
    pub(crate) fn enter(self, clock: &Rc<Clock>) -> Poller {
        let Self { epoll, notifier, alarm } = self;
        let sockets = Rc::new(Sockets { epoll, sources: RefCell::default() });
        CURRENT.set(Some(Rc::clone(&sockets)));
        let timers = current_timers::enter(clock);
        clock.wake_when_moved(Waker::from(Arc::clone(&notifier)));
        Poller { sockets, timers, notifier, alarm, events: RefCell::new(Vec::with_capacity(EVENTS)) }
    }
}

impl Poller {
    /// Returns a waker that wakes this thread. [`take_woken`](Self::take_woken) then returns true.
    pub(crate) fn waker(&self) -> Waker {
        Waker::from(Arc::clone(&self.notifier))
    }

    /// Returns true if the [waker](Self::waker) was used since the last call.
    pub(crate) fn take_woken(&self) -> bool {
        self.notifier.take_woken()
    }

    /// Returns true if the [waker](Self::waker) was used since the last call of
    /// [`take_woken`](Self::take_woken).
    pub(crate) fn is_woken(&self) -> bool {
        self.notifier.is_woken()
    }

    /// Begins a pass: looks at the sockets, and waits for them if there is nothing else to do (`may_wait`).
    /// Calls the listeners of the ready sockets, and wakes the tasks whose timers are due.
    pub(crate) fn wait(&self, may_wait: bool) {
        let clock = self.timers.clock();
        if !clock.is_virtual() {
            self.alarm.set(self.timers.next());
        }
        let waits = may_wait && !clock.has_moved() && self.notifier.begin_wait();
        let timeout = (!waits).then(Timespec::default);
        let mut events = self.events.borrow_mut();
        events.clear();
        let looked = epoll::wait(&self.sockets.epoll, spare_capacity(&mut events), timeout.as_ref());
        self.notifier.end_wait();
        clock.begin_pass();
        if let Err(error) = looked
            && error != rustix::io::Errno::INTR
        {
            // It cannot fail in another way with these arguments.
            log::error!("cannot wait for sockets: {error}");
        }
        for event in &*events {
            match event.data.u64() {
                NOTIFIER => {}
                ALARM => {
                    self.alarm.note_rung();
                    // Those that are left make it ring again.
                    let _ = self.timers.fire();
                }
                socket => self.sockets.tell(socket, event.flags),
            }
        }
        if clock.is_virtual() && self.timers.fire() {
            self.waker().wake();
        }
    }
}

impl fmt::Debug for Poller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Poller").field("sockets", &self.sockets).finish_non_exhaustive()
    }
}

impl Drop for Poller {
    fn drop(&mut self) {
        CURRENT.set(None);
        current_timers::leave();
    }
}

impl Sockets {
    /// Returns the sockets of this thread.
    ///
    /// # Panics
    /// There is no reactor on this thread.
    pub(super) fn current() -> Rc<Self> {
        CURRENT
            .with_borrow(|current| current.clone())
            .expect("streams are used where a reactor has been entered")
    }

    /// Returns the descriptor that waits for them.
    pub(super) fn epoll(&self) -> &OwnedFd {
        &self.epoll
    }

    /// Registers a socket for all its events, edge-triggered. It is registered only once.
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

    /// Registers no socket: nothing ever happens.
    pub(super) fn watch_nothing(self: &Rc<Self>) -> Watch {
        let mut sources = self.sources.borrow_mut();
        let entry = sources.vacant_entry();
        let source = Rc::new(Source::new(entry.key()));
        entry.insert(Rc::clone(&source));
        Watch { source, sockets: Rc::clone(self) }
    }

    /// Stops watching a socket that stays open.
    pub(super) fn let_go(&self, socket: impl AsFd) -> io::Result<()> {
        Ok(epoll::delete(&self.epoll, socket)?)
    }

    /// Removes a socket that is closed. The system removes it from epoll by itself.
    pub(super) fn forget(&self, source: &Source) {
        self.sources.borrow_mut().try_remove(source.key);
    }

    /// Passes events to a socket.
    fn tell(&self, socket: u64, flags: epoll::EventFlags) {
        // The listener may use the sockets, so nothing is borrowed during the call.
        let source = usize::try_from(socket).ok().and_then(|key| self.sources.borrow().get(key).cloned());
        if let Some(source) = source {
            source.tell(flags);
        }
    }
}
