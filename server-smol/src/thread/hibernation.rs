use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    fmt,
    future::poll_fn,
    ptr,
    rc::Rc,
    task::{Poll, Waker},
    time::{Duration, Instant},
};

use smol::future::or;

use crate::{
    memory::{Ledger, Need, Purpose, Reclaim},
    reactor::{Clock, Timer},
    settings::Settings,
};

use super::{Kind, Thread};

/// A thread's rooms that are awake, in the order in which they were last looked at. The one in front is looked at when it has
/// waited for a while: it hibernates, or it has had an event and waits for another while. So an idle room costs one look, and
/// a busy one no more than a look now and then; on the path of a message it is a flag.
///
/// A room that has just been woken, or that has been awake for a moment and was busy when it was looked at, is
/// [spared](SPARED_FOR) for a moment. Meanwhile it hibernates only for a room that exists already and needs the memory.
pub(crate) struct Hibernation {
    clock: Rc<Clock>,
    /// The time for which a room is left alone; zero, if none ever hibernates.
    after: Duration,
    /// The memory that the rooms of this thread may have together, in bytes.
    allowance: usize,
    /// The memory that they have.
    awake: Cell<usize>,
    /// The number of the thread's rooms that hibernate.
    hibernating: Cell<usize>,
    /// How often a room that was woken made others hibernate, and since when this is counted.
    wakings: Cell<Option<(Instant, u32)>>,
    /// The waiting rooms by their tickets. Those that have been here for longest are in front.
    queue: RefCell<BTreeMap<Ticket, Waiting>>,
    last_number: Cell<u64>,
    /// The room that is about to hibernate, piece by piece.
    current: RefCell<Option<Waiting>>,
    /// The waker of the task that goes through the queue, while there is nothing to do.
    waker: RefCell<Option<Waker>>,
}

/// The number of rooms that are woken within a minute, without enough memory for all, from which the log says so.
const MANY: u32 = 1_000;

/// The most work that one added room may cause. The unit is one check of a busy room. So many units take 0.1 ms, or 0.5 ms if
/// rooms hibernate: a step of hibernation counts as several units. All rooms may be busy, and there may be many.
const LOOKS: usize = 100;
const LIKE_LOOKS: usize = 6;

/// The time for which a room is spared. If a room that is in use hibernated for a new one, it would have to be woken again
/// at once. A new room is spared when it has been awake for as long as that, and has clients.
const SPARED_FOR: Duration = Duration::from_millis(100);

/// A room's place in the queue: the time until which it is spared, and a number.
type Ticket = (Instant, u64);

#[derive(Clone)]
struct Waiting {
    room: Rc<dyn Hibernate>,
    /// The time of the last look.
    since: Instant,
    /// The time at which it was created or woken.
    awake_since: Instant,
}

/// A room that can hibernate.
pub(crate) trait Hibernate {
    fn idle_state(&self) -> &IdleState;

    fn has_clients(&self) -> bool;

    /// Hibernates, or a bounded piece of it, unless it is busy or has been since the last time.
    fn hibernate(self: Rc<Self>) -> HibernateOutcome;
}

/// The state of a room that hibernation needs.
#[derive(Debug, Default)]
pub(crate) struct IdleState {
    /// Its place in the queue, if it has one.
    ticket: Cell<Option<Ticket>>,
    /// Its memory when it was looked at, in bytes.
    size: Cell<usize>,
    /// True if it has had an event since then.
    active: Cell<bool>,
    hibernates: Cell<bool>,
}

/// The result of a step towards hibernation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HibernateOutcome {
    Hibernates,
    /// The room takes more steps.
    Unfinished,
    /// The room stays as it is, until there is another event at least.
    Kept,
    /// The room has had an event, or has one. If the event is over, so many bytes could be reclaimed from the room.
    Busy(Option<usize>),
    Ended,
}

impl IdleState {
    /// Notes an event, which is nearly always all that there is to do. Otherwise [`Hibernation::add`] is due.
    pub(crate) fn touch(&self) -> bool {
        if self.active.get() {
            return false;
        }
        let waits = self.ticket.get().is_some();
        self.active.set(waits);
        !waits
    }

    /// Returns whether there has been an event since the last time.
    pub(crate) fn take_touched(&self) -> bool {
        self.active.take()
    }

    pub(crate) fn hibernates(&self) -> bool {
        self.hibernates.get()
    }
}

impl Hibernation {
    pub(super) fn new(settings: &Settings, clock: Rc<Clock>) -> Self {
        Self {
            clock,
            after: settings.hibernate_after,
            allowance: settings.awake_memory / settings.threads.max(1),
            awake: Cell::new(0),
            hibernating: Cell::new(0),
            wakings: Cell::new(None),
            queue: RefCell::default(),
            last_number: Cell::new(0),
            current: RefCell::default(),
            waker: RefCell::default(),
        }
    }

    /// Hibernates rooms that have been idle for long enough, or for longest if memory is scarce, a piece of one at a
    /// time.
    pub(crate) async fn run(&self, thread: &Thread) {
        if self.after.is_zero() {
            return;
        }
        loop {
            let left = self.due_in(&thread.memory);
            if left.is_zero() {
                let _granted = thread.scheduler.acquire(Kind::Slice).await;
                // That may have taken a while.
                if self.due_in(&thread.memory).is_zero() {
                    self.step();
                }
            } else {
                // A room that comes meanwhile is due later than that, unless memory gets scarce.
                let alarm = async {
                    Timer::after(left).await;
                };
                let woken = poll_fn(|cx| match self.due_in(&thread.memory).is_zero() {
                    true => Poll::Ready(()),
                    false => {
                        self.waker.replace(Some(cx.waker().clone()));
                        Poll::Pending
                    }
                });
                or(alarm, woken).await;
            }
        }
    }

    /// Sees to it that rooms hibernate where memory is scarce.
    pub(super) fn attend(&self, memory: &Ledger) {
        if memory.is_scarce() && self.front().is_some_and(|(spared, _)| spared <= self.clock.now()) {
            self.wake();
        }
    }

    fn wake(&self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    /// Returns how long it is until there is something to do.
    fn due_in(&self, memory: &Ledger) -> Duration {
        if self.current.borrow().is_some() {
            return Duration::ZERO;
        }
        let first =
            self.queue.borrow().first_key_value().map(|((spared, _), waiting)| (*spared, waiting.since));
        let now = self.clock.now();
        match first {
            None => self.after,
            Some((spared, _)) if memory.is_scarce() => spared.saturating_duration_since(now),
            Some((_, since)) => self.after.saturating_sub(now.duration_since(since)),
        }
    }

    /// Adds a room that could give back so many bytes. If the rooms here then have too much memory, those that have
    /// been idle for longest hibernate at once. So a client that opens rooms faster than they become idle pays for
    /// that, and nobody else.
    pub(crate) fn add(&self, room: Rc<dyn Hibernate>, size: usize) {
        let idle = room.idle_state();
        if self.after.is_zero() {
            // It need not ask again.
            idle.active.set(true);
            return;
        }
        let has_woken = self.note(idle, false);
        let now = self.clock.now();
        let spared = if has_woken || self.is_current(&*room) { self.spared_until(now) } else { now };
        self.put(Waiting { room, since: now, awake_since: now }, size, spared);
        if has_woken && self.awake.get() > self.allowance {
            self.warn_of_wakings();
        }
        // Each is looked at once at most: those that have been busy are left alone for this time.
        let mut left = self.queue.borrow().len();
        let mut looks = 0;
        while looks < LOOKS
            && self.awake.get() > self.allowance
            && (self.current.borrow().is_some() || left > 0)
        {
            left -= usize::from(self.current.borrow().is_none());
            let Some(outcome) = self.step() else { break };
            looks += match outcome {
                HibernateOutcome::Busy(_) | HibernateOutcome::Ended => 1,
                _ => LIKE_LOOKS,
            };
        }
        if self.current.borrow().is_some() {
            self.wake();
        }
    }

    /// Returns whether this is the room that is about to hibernate.
    fn is_current(&self, room: &dyn Hibernate) -> bool {
        let current = self.current.borrow();
        current.as_ref().is_some_and(|current| ptr::addr_eq(Rc::as_ptr(&current.room), room))
    }

    fn spared_until(&self, now: Instant) -> Instant {
        now + SPARED_FOR.min(self.after)
    }

    /// Returns the ticket of the room in front.
    fn front(&self) -> Option<Ticket> {
        self.queue.borrow().first_key_value().map(|(ticket, _)| *ticket)
    }

    /// Forgets a room that has ended.
    pub(crate) fn remove(&self, idle: &IdleState) {
        self.note(idle, false);
        if let Some(ticket) = idle.ticket.take() {
            self.awake.set(self.awake.get() - idle.size.get());
            self.queue.borrow_mut().remove(&ticket);
        }
    }

    /// Takes a step with the room in front, or goes on with the one that was in front before. It leaves the queue, or waits
    /// anew. Answers what it came to; nothing where there was none.
    fn step(&self) -> Option<HibernateOutcome> {
        // One that has been woken since waits in the queue by itself.
        let current = self.current.take().filter(|waiting| waiting.room.idle_state().ticket.get().is_none());
        let next = || {
            let (_, first) = self.queue.borrow_mut().pop_first()?;
            let idle = first.room.idle_state();
            idle.ticket.take();
            self.awake.set(self.awake.get() - idle.size.get());
            Some(first)
        };
        let waiting = current.or_else(next)?;
        let room = Rc::clone(&waiting.room);
        let outcome = Rc::clone(&room).hibernate();
        match outcome {
            HibernateOutcome::Hibernates => {
                self.note(room.idle_state(), true);
            }
            HibernateOutcome::Unfinished => {
                self.current.replace(Some(waiting));
            }
            HibernateOutcome::Busy(size) => {
                // It may have come in by itself since the last step.
                if room.idle_state().ticket.get().is_none() {
                    let size = size.unwrap_or(room.idle_state().size.get());
                    let now = self.clock.now();
                    let is_new = now.duration_since(waiting.awake_since) < SPARED_FOR;
                    let spared = if is_new || !room.has_clients() { now } else { self.spared_until(now) };
                    self.put(Waiting { since: now, ..waiting }, size, spared);
                }
            }
            HibernateOutcome::Kept | HibernateOutcome::Ended => {}
        }
        Some(outcome)
    }

    pub(super) fn clear(&self) {
        self.queue.take();
        self.current.take();
    }

    /// Returns whether there may be a room that hibernates for a charge with this purpose.
    pub(crate) fn can_reclaim(&self, purpose: Purpose) -> bool {
        let may_hibernate = |(spared, _)| purpose > Purpose::New || spared <= self.clock.now();
        !self.after.is_zero() && (self.current.borrow().is_some() || self.front().is_some_and(may_hibernate))
    }

    /// Returns how many of the thread's rooms hibernate.
    pub(crate) fn hibernating(&self) -> usize {
        self.hibernating.get()
    }

    /// Returns how much memory the rooms have that are awake, in bytes.
    pub(crate) fn awake(&self) -> usize {
        self.awake.get()
    }

    /// Notes whether a room hibernates. Answers whether it did.
    fn note(&self, idle: &IdleState, hibernates: bool) -> bool {
        let did = idle.hibernates.replace(hibernates);
        match (did, hibernates) {
            (false, true) => self.hibernating.set(self.hibernating.get() + 1),
            (true, false) => self.hibernating.set(self.hibernating.get() - 1),
            _ => {}
        }
        did
    }

    /// Lets the operator know, once a minute at most, where rooms are woken all the time for which others have to hibernate.
    fn warn_of_wakings(&self) {
        let now = self.clock.now();
        let minute =
            self.wakings.get().filter(|(since, _)| now.duration_since(*since) < Duration::from_secs(60));
        let (since, count) = minute.unwrap_or((now, 0));
        self.wakings.set(Some((since, count + 1)));
        if count + 1 == MANY {
            log::warn!(
                "{MANY} rooms were woken within a minute, and others had to hibernate for them, which makes messages \
                 slower: the rooms in use have more memory together than may be awake (`--max-awake-memory`)"
            );
        }
    }

    fn put(&self, waiting: Waiting, size: usize, spared: Instant) {
        let number = self.last_number.get() + 1;
        self.last_number.set(number);
        let ticket = (spared, number);
        let idle = waiting.room.idle_state();
        idle.ticket.set(Some(ticket));
        idle.size.set(size);
        self.awake.set(self.awake.get() + size);
        self.queue.borrow_mut().insert(ticket, waiting);
    }
}

/// Idle rooms hibernate at once where memory has run out.
impl Reclaim for Hibernation {
    fn reclaim(&self, need: Need) -> bool {
        self.can_reclaim(need.purpose) && self.step().is_some()
    }
}

impl fmt::Debug for Hibernation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let waiting = self.queue.borrow().len();
        f.debug_struct("Hibernation")
            .field("awake", &self.awake)
            .field("waiting", &waiting)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reactor::{ClockSource, VirtualClock};

    /// A room that always has the same size, and hibernates unless it is busy.
    #[derive(Default)]
    struct Large(IdleState, Cell<bool>);

    impl Hibernate for Large {
        fn idle_state(&self) -> &IdleState {
            &self.0
        }

        fn has_clients(&self) -> bool {
            self.1.get()
        }

        fn hibernate(self: Rc<Self>) -> HibernateOutcome {
            if self.0.take_touched() { HibernateOutcome::Busy(Some(1)) } else { HibernateOutcome::Kept }
        }
    }

    #[test]
    fn whoever_comes_does_not_wait_until_all_busy_rooms_have_been_looked_at() {
        const ROOMS: usize = 3 * LOOKS;
        let settings = Settings { awake_memory: ROOMS, ..Settings::default() };
        let hibernation = Hibernation::new(&settings, Rc::new(Clock::new(ClockSource::System)));
        let rooms: Vec<Rc<Large>> = (0..ROOMS).map(|_| Rc::default()).collect();
        for room in &rooms {
            let waiting: Rc<Large> = Rc::clone(room);
            hibernation.add(waiting, 1);
            assert!(!room.0.touch(), "it waits already");
        }
        let looked_at = || rooms.iter().filter(|room| !room.0.active.get()).count();
        assert_eq!(looked_at(), 0);
        for looks in 1..=3 {
            hibernation.add(Rc::<Large>::default(), 1);
            assert_eq!(looked_at(), looks * LOOKS);
        }
        // Now there are some that have been idle since, and one that goes is enough for one that comes.
        assert_eq!(hibernation.awake(), ROOMS + 3);
        hibernation.add(Rc::<Large>::default(), 1);
        assert_eq!(hibernation.awake(), ROOMS);
    }

    #[test]
    fn rooms_in_use_hibernate_only_for_rooms_that_exist() {
        let moved = VirtualClock::new();
        let clock = Rc::new(Clock::new(ClockSource::Virtual(moved.clone())));
        let hibernation = Hibernation::new(&Settings::default(), Rc::clone(&clock));
        let pass = |time| {
            moved.advance(time);
            clock.begin_pass();
        };
        let room = Rc::new(Large(IdleState::default(), Cell::new(true)));
        let waiting: Rc<Large> = Rc::clone(&room);
        hibernation.add(waiting, 1);
        let reclaims = |purpose| hibernation.reclaim(Need { missing: 1, purpose });
        // It is as new as those that want its memory.
        assert!(!room.0.touch() && reclaims(Purpose::NewRoom));
        pass(SPARED_FOR);
        assert!(!room.0.touch() && reclaims(Purpose::NewRoom), "it is looked at");
        for purpose in [Purpose::LargeMessage, Purpose::NewRoom, Purpose::New] {
            assert!(!reclaims(purpose), "it is in use");
        }
        pass(SPARED_FOR);
        assert!(!room.0.touch() && reclaims(Purpose::NewRoom), "it is looked at again");
        assert!(!reclaims(Purpose::NewRoom) && reclaims(Purpose::Running));
        assert!(!reclaims(Purpose::Running), "it is not there any more");
    }

    #[test]
    fn a_room_that_was_woken_is_spared_and_a_busy_one_without_clients_is_not() {
        let moved = VirtualClock::new();
        let clock = Rc::new(Clock::new(ClockSource::Virtual(moved.clone())));
        let hibernation = Hibernation::new(&Settings::default(), Rc::clone(&clock));
        let reclaims = |purpose| hibernation.reclaim(Need { missing: 1, purpose });
        let add = |room: &Rc<Large>| {
            let waiting: Rc<Large> = Rc::clone(room);
            hibernation.add(waiting, 1);
        };
        let empty = Rc::new(Large::default());
        add(&empty);
        moved.advance(SPARED_FOR);
        clock.begin_pass();
        // Its timer is an event, too.
        assert!(!empty.0.touch() && reclaims(Purpose::NewRoom), "it is looked at");
        assert!(reclaims(Purpose::NewRoom) && !reclaims(Purpose::NewRoom), "it is not there any more");
        let woken = Rc::new(Large::default());
        hibernation.note(&woken.0, true);
        add(&woken);
        assert!(!reclaims(Purpose::NewRoom));
        moved.advance(SPARED_FOR);
        clock.begin_pass();
        assert!(reclaims(Purpose::NewRoom));
    }
}
