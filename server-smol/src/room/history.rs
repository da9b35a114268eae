//! Rooms that are kept on disk: their histories in the journal, and how they come back from there.

use std::{
    cell::Cell,
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    rc::Rc,
    time::{Duration, Instant},
};

use stateroom_core::engine::{Durable, Engine as _, EngineFactory, Replayed, Restoration};

use crate::{
    journal::{History, Journal, LoadError, RoomNumber},
    log_line::About,
    memory::{OutOfMemory, Purpose},
    metrics::Count,
    thread::{Cut, Kind, TIME_SLICE},
};

use super::{
    CreateRoomError, EventLock, Outcome, Registry, Room, RoomId,
    durable_sessions::RestoredSessions,
    event::Event,
    session_notes::{self, next_noted},
};

/// A room's history in the journal: a base, and the events after it.
#[derive(Debug)]
pub(super) struct RoomHistory {
    number: RoomNumber,
    /// The size of the base in bytes.
    base: Cell<usize>,
    /// The bytes and the number of the events after it, and the fuel that they have used.
    bytes: Cell<usize>,
    events: Cell<u32>,
    fuel: Cell<u64>,
    /// The time at which the timer is due, as the journal knows it.
    due: Cell<Option<u64>>,
    /// True if the record of the next event may [wait](Room::defer_record).
    may_wait: Cell<bool>,
    /// About the bytes of the records that wait; 0 if there are none.
    waiting_bytes: Cell<usize>,
}

/// A room gets a new base when its events since the last one have this many times the size of that, but at least `BYTES`, and at most
/// `MOST_BYTES` or the size of the base. This bounds what is written for a room, and how much is read to restore it.
const TIMES_BASE: usize = 8;
const BYTES: usize = 4 << 10;
const MOST_BYTES: usize = 4 << 20;

/// A room also gets a new base after so many events, or if they have used so much fuel: about 20 ms of computing. This bounds the time
/// that it takes to restore the room. A larger base is worth more: the second number is for each KiB of it, and the third is the most.
const EVENTS: [usize; 3] = [1_000, 16, 50_000];
const FUEL: [usize; 3] = [20_000_000, 300_000, 500_000_000];

/// The most bytes of records that wait: a room keeps memory for so many between two events.
const MOST_WAITING: usize = 2 << 10;
/// More than the usual size of a record without its message, in bytes.
const RECORD: usize = 24;

/// Returns a limit for a base of this size.
fn limit([least, for_kib, most]: [usize; 3], base: usize) -> usize {
    (least + (base >> 10).saturating_mul(for_kib)).min(most)
}

impl RoomHistory {
    fn new(number: RoomNumber, base: usize) -> Self {
        Self {
            number,
            base: Cell::new(base),
            bytes: Cell::new(0),
            events: Cell::new(0),
            fuel: Cell::new(0),
            due: Cell::new(None),
            may_wait: Cell::new(false),
            waiting_bytes: Cell::new(0),
        }
    }

    /// Counts an event that has used so much fuel.
    fn count(&self, fuel: u64) {
        self.events.set(self.events.get() + 1);
        self.fuel.set(self.fuel.get() + fuel);
    }

    /// Returns whether it is time for a new base.
    fn is_long(&self) -> bool {
        let base = self.base.get();
        self.bytes.get() > (TIMES_BASE * base).clamp(BYTES, MOST_BYTES.max(base))
            || self.events.get() as usize >= limit(EVENTS, base)
            || self.fuel.get() >= limit(FUEL, base) as u64
    }

    /// Adds a [note](crate::journal::is_note).
    pub(super) fn add_note(&self, journal: &Journal, note: &[u8]) {
        journal.add(|entries| entries.event(self.number, None, note));
        self.bytes.set(self.bytes.get() + note.len());
    }

    /// Writes a new base, and beside it the state of the room's sessions and the next id of a client, if that does not follow from the
    /// base. Returns false if there is no base, because the room is in the middle of an event.
    ///
    /// # Errors
    /// The base is too large.
    fn write_base(
        &self,
        journal: &Journal,
        durable: &mut dyn Durable,
        next_client: u32,
        sessions: Option<&[u8]>,
        now_ms: u64,
    ) -> Result<bool, TooLarge> {
        let due = durable.timer_due(now_ms);
        let Some(base) = base(durable) else { return Ok(false) };
        TooLarge::check(base.len(), journal)?;
        // If they are too large, they end with the server.
        let sessions = sessions.filter(|note| TooLarge::check(note.len(), journal).is_ok());
        // A room that has started afresh does not know who was in it before.
        let next_client = (next_client > durable.next_client().0).then(|| session_notes::next(next_client));
        journal.add(|entries| {
            entries.snapshot(self.number, due, &base);
            next_client.iter().for_each(|note| entries.event(self.number, None, note));
            sessions.iter().for_each(|note| entries.event(self.number, None, note));
        });
        self.base.set(base.len() + sessions.map_or(0, <[u8]>::len));
        self.bytes.set(0);
        self.events.set(0);
        self.fuel.set(0);
        self.due.set(due);
        Ok(true)
    }
}

/// An error: the state of a room, or an event, has too many bytes for the journal.
pub(super) struct TooLarge {
    size: usize,
    most: usize,
}

impl TooLarge {
    pub(super) fn check(size: usize, journal: &Journal) -> Result<(), Self> {
        let most = journal.max_entry();
        if size <= most { Ok(()) } else { Err(Self { size, most }) }
    }
}

impl fmt::Display for TooLarge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { size, most } = self;
        write!(
            f,
            "it has {size} bytes for the journal, which takes {most} at most: a quarter of `--journal-size`"
        )
    }
}

/// Returns the base of a room, if it is not in the middle of an event.
fn base(durable: &mut dyn Durable) -> Option<Vec<u8>> {
    let mut base = Vec::new();
    durable.write_base(&mut |piece| base.extend_from_slice(piece)).then_some(base)
}

impl<F: EngineFactory> Room<F> {
    /// Begins the history of a new room.
    pub(super) fn begin_history(&self, journal: &Journal) {
        let engine = &mut *self.engine.borrow_mut();
        let Some(durable) = engine.durable() else { return };
        // A new room is in no event.
        let base = base(durable).unwrap_or_default();
        let history = RoomHistory::new(journal.new_room(), base.len());
        journal.add(|entries| entries.create(history.number, self.id().as_str(), &base));
        let _ = self.history.set(Box::new(history));
    }

    /// Lets the record of the next event wait until [`add_waiting`](Self::add_waiting) is called. The event is a message of this size, and the
    /// same caller may have more: to add their records together is one copy and one look at the history instead of many.
    pub(crate) fn defer_record(self: &Rc<Self>, size: usize) {
        if let Some(history) = self.history.get()
            // The sessions note each record.
            && self.sessions.is_empty()
        {
            let size = size + RECORD;
            if history.waiting_bytes.get() + size > MOST_WAITING {
                self.add_waiting();
            }
            let waiting = history.waiting_bytes.get() + size;
            history.waiting_bytes.set(waiting);
            history.may_wait.set(waiting <= MOST_WAITING);
        }
    }

    /// Returns whether the room is kept on disk.
    pub(crate) fn has_history(&self) -> bool {
        self.history.get().is_some()
    }

    /// Adds the records that wait.
    #[inline(never)]
    pub(crate) fn add_waiting(self: &Rc<Self>) {
        if let Some(history) = self.history.get() {
            history.may_wait.set(false);
            if history.waiting_bytes.get() > 0 {
                // If somebody has it, the room is in an event.
                let lock = EventLock::try_acquire(self);
                self.add_records(history, &mut self.engine.borrow_mut(), lock.is_some());
            }
        }
    }

    /// Adds the records that wait, as the room is about to fail after an event. Returns false if it has failed with that.
    #[cold]
    pub(super) fn add_waiting_before_failure(self: &Rc<Self>, engine: &mut F::Engine) -> bool {
        let history = self.history.get().filter(|history| history.waiting_bytes.get() > 0);
        history.is_none_or(|history| self.add_records(history, engine, false))
    }

    /// Adds the record of the room's event to its history, if the event has ended, and the record may not [wait](Self::defer_record).
    /// Returns false if the room has failed.
    #[inline]
    pub(super) fn note_in_history(self: &Rc<Self>, engine: &mut F::Engine, is_over: bool) -> bool {
        self.history.get().is_none_or(|history| self.note_event(history, engine, is_over))
    }

    #[inline(never)]
    fn note_event(self: &Rc<Self>, history: &RoomHistory, engine: &mut F::Engine, is_over: bool) -> bool {
        if is_over {
            // While messages to many are delivered, the event ends several times.
            if !self.context.deliveries.is_pending() {
                history.count(engine.fuel_used().unwrap_or(0));
            }
            if history.may_wait.take() {
                return true;
            }
        }
        self.add_records(history, engine, is_over)
    }

    /// Adds the records of all events that have ended. Returns false if the room has failed.
    #[inline(never)]
    fn add_records(self: &Rc<Self>, history: &RoomHistory, engine: &mut F::Engine, is_over: bool) -> bool {
        history.waiting_bytes.set(0);
        let added = self.try_add_records(history, engine, is_over);
        if let Err(too_large) = &added {
            self.fail("too_large_for_disk", &too_large.to_string());
        }
        added.is_ok()
    }

    fn try_add_records(
        &self,
        history: &RoomHistory,
        engine: &mut F::Engine,
        is_over: bool,
    ) -> Result<(), TooLarge> {
        // An event that has begun goes on, even if the room has ended meanwhile.
        if self.ended.get() {
            return Ok(());
        }
        let (Some(journal), Some(durable)) = (self.thread().journal(), engine.durable()) else {
            return Ok(());
        };
        let due = durable.timer_due(self.thread().clock.unix_ms());
        // Only sessions need to know who has sent a message.
        let registry = if self.sessions.is_empty() { None } else { self.registry.upgrade() };
        let mut result = Ok(());
        durable.take_records(&mut |records| {
            result = TooLarge::check(records.len(), journal);
            if result.is_ok() {
                let timer = (due != history.due.replace(due)).then_some(due);
                journal.add(|entries| entries.join_event(history.number, timer, records));
                history.bytes.set(history.bytes.get() + records.len());
                if let Some(registry) = &registry {
                    let each = &mut |client| self.sessions.note_recorded(client);
                    registry.factory().each_sender(records, each);
                }
            }
        });
        result?;
        if is_over && history.is_long() && self.may_write_base() {
            self.write_base(history, journal, durable, self.note_of_sessions().as_deref())?;
        }
        Ok(())
    }

    /// [Writes a new base](RoomHistory::write_base).
    fn write_base(
        &self,
        history: &RoomHistory,
        journal: &Journal,
        durable: &mut dyn Durable,
        sessions: Option<&[u8]>,
    ) -> Result<bool, TooLarge> {
        let now_ms = self.thread().clock.unix_ms();
        history.write_base(journal, durable, self.next_client.get(), sessions, now_ms)
    }

    /// Returns whether the sessions are in the state that the last event has led to. If the server shuts down, they are not in the room
    /// any more, and go on after that nevertheless.
    fn may_write_base(&self) -> bool {
        (self.sessions.is_empty() || self.context.deliveries.is_ordinary()) && !self.is_shutting_down()
    }

    /// Writes a new base if it is time for that, and the room is in no event.
    #[cold]
    pub(super) fn shorten_history(self: &Rc<Self>) {
        if let Some(history) = self.history.get()
            && history.is_long()
            && let Some(_lock) = EventLock::try_acquire(self)
            && self.may_write_base()
            && let (Some(journal), Some(durable)) =
                (self.thread().journal(), self.engine.borrow_mut().durable())
        {
            // If it is too large, the next event finds out.
            let _ = self.write_base(history, journal, durable, self.note_of_sessions().as_deref());
        }
    }

    /// Begins the history anew, as the room runs another module. If its new state has effects that are not in the history, sessions
    /// that are there [have to wait](Self::keep_sessions_again) for these.
    pub(super) fn renew_history(self: &Rc<Self>, engine: &mut F::Engine, has_effects: bool) {
        let is_settled = !has_effects && self.may_write_base();
        let sessions = if is_settled { self.note_of_sessions() } else { None };
        if let Some(history) = self.history.get()
            && let (Some(journal), Some(durable)) = (self.thread().journal(), engine.durable())
            && let Err(too_large) = self.write_base(history, journal, durable, sessions.as_deref())
        {
            self.fail("too_large_for_disk", &too_large.to_string());
        }
    }

    /// Begins the history anew with the sessions, if it was begun without them.
    pub(super) fn keep_sessions_again(self: &Rc<Self>) {
        if !self.sessions.is_empty() && !self.ended.get() {
            self.renew_history(&mut self.engine.borrow_mut(), false);
        }
    }

    /// Ends the history, as the room ends.
    pub(super) fn end_history(&self) {
        if let (Some(history), Some(journal)) = (self.history.get(), self.thread().journal()) {
            journal.add(|entries| entries.end(history.number));
        }
    }

    /// Returns the time at which the timer of the room is due, as the journal knows it.
    pub(super) fn timer_due_on_disk(&self) -> Option<u64> {
        self.history.get().and_then(|history| history.due.get())
    }

    /// Returns whether the room can leave memory: nobody is here, and it can come back from the disk.
    pub(super) fn may_leave_memory(&self) -> bool {
        self.history.get().is_some()
            && self.is_empty()
            && self.vacancy.borrow().is_none()
            // Its clients may come back after that.
            && !self.is_shutting_down()
    }

    /// Lets the room leave memory. Returns false if it is in the middle of an event. The caller has its lock.
    pub(super) fn leave_memory(self: &Rc<Self>, engine: &mut F::Engine) -> bool {
        let (Some(history), Some(journal)) = (self.history.get(), self.thread().journal()) else {
            return false;
        };
        let Some(durable) = engine.durable() else { return false };
        if history.is_long() && !self.write_base(history, journal, durable, None).unwrap_or(false) {
            return false;
        }
        self.leave_registry(history.due.get());
        true
    }

    /// Makes a room of its history. Those that were in it get their `disconnect`, but for clients whose sessions wait.
    async fn restore(
        mut unfinished: Unfinished<'_, F>,
        history: History,
    ) -> Result<Rc<Self>, CreateRoomError> {
        let Unfinished { registry, id, .. } = unfinished;
        registry.make_place(id)?;
        let thread = Rc::clone(registry.thread());
        let room = Self::build(id.clone(), registry, |context| {
            registry.factory().restore(id.as_str(), &history.base, &history.records, context)
        })?;
        let until = registry.sessions_wait_until();
        let mut sessions = until.map(|_| RestoredSessions::new(&history.notes, &thread));
        let restored = async {
            let mut begin = Instant::now();
            loop {
                if begin.elapsed() >= TIME_SLICE {
                    drop(thread.scheduler.acquire(Kind::Slice).await);
                    begin = Instant::now();
                }
                let engine = &mut *room.engine.borrow_mut();
                let Some(durable) = engine.durable() else { return Err("it cannot be kept".to_owned()) };
                let mut watch =
                    sessions.as_mut().map(|sessions| |replayed: Replayed<'_>| sessions.watch(replayed));
                let watch = watch.as_mut().map(|watch| watch as &mut dyn FnMut(Replayed<'_>));
                let step = catch_unwind(AssertUnwindSafe(|| match durable.restore_step(watch) {
                    Restoration::Unfinished => Ok(false),
                    Restoration::Done => Ok(true),
                    Restoration::Failed(reason) => Err(reason.to_string()),
                }));
                match step {
                    Ok(Ok(false)) => {}
                    Ok(Ok(true)) => return Ok(()),
                    Ok(Err(reason)) => return Err(reason),
                    Err(_) => return Err("the engine panicked".to_owned()),
                }
            }
        };
        if let Err(reason) = restored.await {
            registry.quarantine(id, &reason);
            return Err(CreateRoomError::Failed);
        }
        if registry.shut_down_reason().is_some() {
            // Its clients may come back after that.
            return Err(CreateRoomError::Failed);
        }
        let members = {
            let engine = &mut *room.engine.borrow_mut();
            let Some(durable) = engine.durable() else { return Err(CreateRoomError::Failed) };
            room.initialized.set(durable.started());
            room.next_client.set(durable.next_client().max(next_noted(&history.notes)).0);
            // The sessions that were noted with the base are as much a part of it as they were then.
            let (noted, notes) = session_notes::sizes(&history.notes);
            let own = RoomHistory::new(history.number, history.base.len() + noted);
            own.bytes.set(history.records.len() + notes);
            own.events.set(history.events);
            own.fuel.set(durable.restored_fuel());
            own.due.set(durable.timer_due(room.thread().clock.unix_ms()));
            let _ = room.history.set(Box::new(own));
            durable.clients().to_vec()
        };
        room.settle_memory(&room.engine.borrow()).map_err(|OutOfMemory| CreateRoomError::OutOfMemory)?;
        // It is as good as any other from now on.
        room.is_new.set(false);
        // Nobody else knows the room yet. If this is given up, nothing of the room may go on.
        unfinished.room = Some(Rc::clone(&room));
        let waiting = sessions.map_or_else(Vec::new, |sessions| sessions.finish(&room));
        for client in members {
            if room.context.roster.contains(client) {
                continue;
            }
            if room.handle(Event::Disconnect(client)).await == Outcome::Ended {
                return Err(CreateRoomError::Failed);
            }
        }
        unfinished.is_over = true;
        room.set_restored_timer();
        registry.add(&room);
        registry.thread().metrics.add(Count::RoomsRestored, 1);
        room.arm_first_client_timer();
        if room.idle.touch() {
            room.queue_for_hibernation(&room.engine.borrow());
        }
        if let (Some(until), Some(go_on)) = (until, registry.continue_session.get()) {
            waiting.into_iter().for_each(|resumable| go_on(Rc::clone(&room), resumable, until));
        }
        match registry.shut_down_reason() {
            // All others have been told by now.
            Some(reason) => room.shut_down(reason),
            // No room loses its state because the server was started with another module, whatever the operator wants of rooms in memory.
            None if registry.factory().can_migrate(&room.engine.borrow()) => room.renew_restored().await,
            None => {}
        }
        Ok(room)
    }

    /// Sets the timer that the room had. If it is overdue, it fires at once.
    fn set_restored_timer(self: &Rc<Self>) {
        // A `disconnect` may have set it.
        if self.timer.borrow().is_none()
            && let Some(due) = self.timer_due_on_disk()
        {
            let clock = &self.thread().clock;
            let left = due.saturating_sub(clock.unix_ms());
            // One that is overdue is due since a moment.
            let begin = if left == 0 { clock.now().checked_sub(Duration::from_millis(1)) } else { None };
            self.began.set(begin);
            self.set_timer(u32::try_from(left.max(1)).unwrap_or(u32::MAX));
            self.began.set(None);
        }
    }
}

/// A room that is being restored. If it is not finished when this is dropped, it never runs again, and its timer waits on.
struct Unfinished<'a, F: EngineFactory> {
    registry: &'a Rc<Registry<F>>,
    id: &'a RoomId,
    /// The room, if it may have had events.
    room: Option<Rc<Room<F>>>,
    timer_due: Option<u64>,
    is_over: bool,
}

impl<'a, F: EngineFactory> Unfinished<'a, F> {
    fn begin(registry: &'a Rc<Registry<F>>, id: &'a RoomId, timer_due: Option<u64>) -> Self {
        timer_due.into_iter().for_each(|due| registry.dormant.remove(due, id));
        Self { registry, id, room: None, timer_due, is_over: false }
    }
}

impl<F: EngineFactory> Drop for Unfinished<'_, F> {
    fn drop(&mut self) {
        if self.is_over {
            return;
        }
        let timer_due = match &self.room {
            // It has ended by itself.
            Some(room) if room.ended.get() => None,
            None if self.registry.quarantined.borrow().contains(self.id) => None,
            Some(room) => {
                room.context.roster.clear();
                room.leave_registry(None);
                room.timer_due_on_disk()
            }
            None => self.timer_due,
        };
        timer_due.into_iter().for_each(|due| self.registry.add_dormant_again(due, self.id));
    }
}

impl<F: EngineFactory> Registry<F> {
    /// Returns whether rooms are kept on disk.
    pub(crate) fn is_durable(&self) -> bool {
        self.thread().journal().is_some()
    }

    /// Returns the room, if it is in memory or on disk. If it is neither, and `create` returns a room, that is the room from now on.
    pub(crate) async fn open<E: From<CreateRoomError>>(
        self: &Rc<Self>,
        id: &RoomId,
        create: impl FnOnce() -> Result<Option<Rc<Room<F>>>, E>,
    ) -> Result<Option<Rc<Room<F>>>, E> {
        let _opening = match self.find_or_open(id).await {
            Ok(room) => return Ok(Some(room)),
            Err(opening) => opening,
        };
        if self.is_quarantined(id) {
            return Err(CreateRoomError::Failed.into());
        }
        if let Some(journal) = self.thread().journal() {
            match journal.load(id.as_str()).await {
                Ok(None) => {}
                Ok(Some(mut history)) => {
                    let unfinished = Unfinished::begin(self, id, history.due);
                    let memory = self.thread().memory.charge(history.size(), Purpose::NewRoom);
                    let _memory = memory.map_err(|OutOfMemory| CreateRoomError::OutOfMemory)?;
                    history.loading = None;
                    return Ok(Some(Room::restore(unfinished, history).await?));
                }
                Err(error) => {
                    self.note_not_loaded(id, error);
                    return Err(CreateRoomError::Failed.into());
                }
            }
        }
        create()
    }

    /// Notes that the history of a room cannot be had, for now or until the next start.
    fn note_not_loaded(&self, id: &RoomId, error: LoadError) {
        match error {
            LoadError::Damaged(reason) => self.quarantine(id, &reason),
            LoadError::Unreadable(reason) => {
                let line = || format!("room {id} cannot be read from the disk at the moment: {reason}");
                self.thread().log.event(log::Level::Error, About::room(id.as_str()), line);
            }
            LoadError::Ending => {}
        }
    }

    /// Notes that a room on disk cannot be used. It stays as it is there.
    fn quarantine(&self, id: &RoomId, reason: &str) {
        let line = || {
            format!(
                "room {id} cannot be restored, and nobody can enter it until the server starts again and can, or it is deleted: {}",
                Cut::new(reason)
            )
        };
        self.thread().log.event(log::Level::Error, About::room(id.as_str()), line);
        let mut quarantined = self.quarantined.borrow_mut();
        if let Err(index) = quarantined.binary_search(id) {
            quarantined.insert(index, id.clone());
        }
    }
}
