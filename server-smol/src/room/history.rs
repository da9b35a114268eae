//! Rooms that are kept on disk: their histories in the journal, and how they come back from there.

use std::{
    cell::Cell,
    panic::{AssertUnwindSafe, catch_unwind},
    rc::Rc,
    time::{Duration, Instant},
};

use stateroom_core::engine::{Durable, Engine as _, EngineFactory, Restoration};

use crate::{
    journal::{History, Journal, RoomNumber},
    memory::OutOfMemory,
    thread::{Cut, Kind, TIME_SLICE},
};

use super::{CreateRoomError, Outcome, Registry, Room, RoomId, event::Event, opening::Opening};

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
}

/// A room gets a new base when its events since the last one have this many times the size of that, but at least so many bytes; or
/// if there are so many events; or if they have used so much fuel, which is about 20 ms. This bounds the time that it takes to
/// restore the room, and what is written for it.
const TIMES_BASE: usize = 8;
const BYTES: usize = 4 << 10;
const EVENTS: u32 = 1_000;
const FUEL: u64 = 20_000_000;

impl RoomHistory {
    fn new(number: RoomNumber, base: usize) -> Self {
        Self {
            number,
            base: Cell::new(base),
            bytes: Cell::new(0),
            events: Cell::new(0),
            fuel: Cell::new(0),
            due: Cell::new(None),
        }
    }

    fn add(&self, bytes: usize, fuel: u64) {
        self.bytes.set(self.bytes.get() + bytes);
        self.events.set(self.events.get() + 1);
        self.fuel.set(self.fuel.get() + fuel);
    }

    /// Returns whether it is time for a new base.
    fn is_long(&self) -> bool {
        self.bytes.get() > BYTES.max(TIMES_BASE * self.base.get())
            || self.events.get() >= EVENTS
            || self.fuel.get() >= FUEL
    }

    /// Writes a new base. Returns false if there is none, because the room is in the middle of an event.
    fn write_base(&self, journal: &Journal, durable: &mut dyn Durable) -> bool {
        let due = durable.timer_due();
        let Some(base) = base(durable) else { return false };
        journal.add(|entries| entries.snapshot(self.number, due, &base));
        self.base.set(base.len());
        self.bytes.set(0);
        self.events.set(0);
        self.fuel.set(0);
        self.due.set(due);
        true
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

    /// Adds the record of the room's event to its history, if the event has ended.
    #[inline]
    pub(super) fn note_in_history(&self, engine: &mut F::Engine, is_over: bool) {
        if let Some(history) = self.history.get() {
            self.add_record(history, engine, is_over);
        }
    }

    #[cold]
    #[inline(never)]
    fn add_record(&self, history: &RoomHistory, engine: &mut F::Engine, is_over: bool) {
        // An event that has begun goes on, even if the room has ended meanwhile.
        if self.ended.get() {
            return;
        }
        let fuel = engine.fuel_used().unwrap_or(0);
        let (Some(journal), Some(durable)) = (self.thread().journal(), engine.durable()) else { return };
        let due = durable.timer_due();
        durable.take_record(&mut |record| {
            let timer = (due != history.due.replace(due)).then_some(due);
            journal.add(|entries| entries.event(history.number, timer, record));
            history.add(record.len(), fuel);
        });
        if is_over && history.is_long() {
            history.write_base(journal, durable);
        }
    }

    /// Begins the history anew, as the room runs another module.
    pub(super) fn renew_history(&self, engine: &mut F::Engine) {
        if let Some(history) = self.history.get()
            && let (Some(journal), Some(durable)) = (self.thread().journal(), engine.durable())
        {
            history.write_base(journal, durable);
        }
    }

    /// Ends the history, as the room ends.
    pub(super) fn end_history(&self) {
        if let (Some(history), Some(journal)) = (self.history.get(), self.thread().journal()) {
            journal.add(|entries| entries.end(history.number));
        }
    }

    /// Returns whether the room can leave memory: nobody is here, and it can come back from the disk.
    pub(super) fn may_leave_memory(&self) -> bool {
        self.history.get().is_some() && self.is_empty() && self.vacancy.borrow().is_none()
    }

    /// Lets the room leave memory. Returns false if it is in the middle of an event. The caller has its lock.
    pub(super) fn leave_memory(self: &Rc<Self>, engine: &mut F::Engine) -> bool {
        let (Some(history), Some(journal)) = (self.history.get(), self.thread().journal()) else {
            return false;
        };
        let Some(durable) = engine.durable() else { return false };
        if history.is_long() && !history.write_base(journal, durable) {
            return false;
        }
        self.leave_registry(history.due.get());
        true
    }

    /// Makes a room of its history. It has no clients: those that were in it get their `disconnect`.
    async fn restore(
        registry: &Rc<Registry<F>>,
        id: &RoomId,
        history: History,
    ) -> Result<Rc<Self>, CreateRoomError> {
        registry.make_place(id)?;
        let thread = Rc::clone(registry.thread());
        let room = Self::build(id.clone(), registry, |context| {
            registry.factory().restore(id.as_str(), &history.base, &history.records, context)
        })?;
        let restored = async {
            let mut begin = Instant::now();
            loop {
                if begin.elapsed() >= TIME_SLICE {
                    drop(thread.scheduler.acquire(Kind::Slice).await);
                    begin = Instant::now();
                }
                let engine = &mut *room.engine.borrow_mut();
                let Some(durable) = engine.durable() else { return Err("it cannot be kept".to_owned()) };
                let step = catch_unwind(AssertUnwindSafe(|| match durable.restore_step() {
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
        let members = {
            let engine = &mut *room.engine.borrow_mut();
            let Some(durable) = engine.durable() else { return Err(CreateRoomError::Failed) };
            room.initialized.set(durable.started());
            room.next_client.set(durable.next_client().0);
            let own = RoomHistory::new(history.number, history.base.len());
            own.bytes.set(history.records.len());
            own.events.set(history.events);
            own.due.set(durable.timer_due());
            durable.timer_due().into_iter().for_each(|due| registry.dormant.remove(due, id));
            let _ = room.history.set(Box::new(own));
            durable.clients().to_vec()
        };
        room.settle_memory(&room.engine.borrow()).map_err(|OutOfMemory| CreateRoomError::OutOfMemory)?;
        // It is as good as any other from now on.
        room.is_new.set(false);
        // Nobody else knows the room yet. If this is given up, nothing of the room may go on.
        let mut unfinished = Unfinished(Some(Rc::clone(&room)));
        for client in members {
            if room.handle(Event::Disconnect(client)).await == Outcome::Ended {
                return Err(CreateRoomError::Failed);
            }
        }
        unfinished.0 = None;
        room.set_restored_timer();
        registry.add(&room);
        if room.idle.touch() {
            room.queue_for_hibernation(&room.engine.borrow());
        }
        Ok(room)
    }

    /// Sets the timer that the room had. If it is overdue, it fires at once.
    fn set_restored_timer(self: &Rc<Self>) {
        // A `disconnect` may have set it.
        if self.timer.borrow().is_none()
            && let Some(due) = self.history.get().and_then(|history| history.due.get())
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

/// A room that is being restored. If it is not finished when this is dropped, it never runs again.
struct Unfinished<F: EngineFactory>(Option<Rc<Room<F>>>);

impl<F: EngineFactory> Drop for Unfinished<F> {
    fn drop(&mut self) {
        if let Some(room) = &self.0 {
            room.leave_registry(None);
        }
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
        let _opening = loop {
            if let Some(room) = self.find(id) {
                return Ok(Some(room));
            }
            match Opening::begin(self, id) {
                Ok(opening) => break opening,
                // Another task opens it.
                Err(other) => _ = other.recv().await,
            }
        };
        if self.is_quarantined(id) {
            return Err(CreateRoomError::Failed.into());
        }
        if let Some(journal) = self.thread().journal() {
            match journal.load(id.as_str()).await {
                Ok(None) => {}
                Ok(Some(history)) => return Ok(Some(Room::restore(self, id, history).await?)),
                Err(reason) => {
                    self.quarantine(id, &reason);
                    return Err(CreateRoomError::Failed.into());
                }
            }
        }
        create()
    }

    /// Notes that a room on disk cannot be used. It stays as it is there.
    fn quarantine(&self, id: &RoomId, reason: &str) {
        let line = || {
            format!(
                "room {id} cannot be restored, and nobody can enter it until the server starts again: {}",
                Cut::new(reason)
            )
        };
        self.thread().log.event(log::Level::Error, line);
        let mut quarantined = self.quarantined.borrow_mut();
        if let Err(index) = quarantined.binary_search(id) {
            quarantined.insert(index, id.clone());
        }
    }
}
