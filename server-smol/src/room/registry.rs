use std::{
    cell::{Cell, OnceCell, RefCell},
    collections::{BTreeMap, HashMap},
    fmt,
    ops::Bound,
    rc::{Rc, Weak},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Instant,
};

use stateroom_core::{ClientId, engine::EngineFactory};

use crate::{
    close::CloseReason,
    log_line::{About, debug_about},
    memory::{Need, Reclaim, Stage},
    metrics::Count,
    subnet::Subnet,
    thread::Thread,
    wire::Outbox,
};

use super::{
    Resumable, Room, RoomId, WaitingSession, dormant::DormantTimers, lock::EventLock, opening::OpeningEnd,
    trace::Subscriptions, waiting_sessions::WaitingSessions,
};

/// The rooms of a thread.
pub(crate) struct Registry<F: EngineFactory> {
    factory: Arc<F>,
    thread: Rc<Thread>,
    rooms: RefCell<BTreeMap<RoomId, Rc<Room<F>>>>,
    /// The empty rooms, in the order in which they end if others need space.
    empty: RefCell<BTreeMap<EmptyKey, Rc<Room<F>>>>,
    last_emptied: Cell<u64>,
    /// The reason why the server shuts down, if it does.
    shut_down: OnceCell<CloseReason>,
    counts: Arc<RoomCounts>,
    waiting_sessions: Rc<WaitingSessions>,
    /// The time at which the thread began to serve.
    pub(crate) started: Cell<Instant>,
    /// Lets a session go on that a room has brought from the disk. It waits for its client until this time.
    pub(crate) continue_session: OnceCell<ContinueSession<F>>,
    /// The rooms that are being opened.
    pub(super) opening: RefCell<HashMap<RoomId, OpeningEnd>>,
    /// The rooms on disk that cannot be restored, in the order of their ids.
    pub(super) quarantined: RefCell<Vec<RoomId>>,
    pub(super) dormant: DormantTimers,
    /// Those who listen to what happens in rooms.
    pub(super) subscriptions: Subscriptions,
    /// Tells the other threads to [end an empty room](Self::end_empty_room).
    tell_others: Box<dyn Fn()>,
}

/// See [`Registry::continue_session`].
pub(crate) type ContinueSession<F> = Box<dyn Fn(Rc<Room<F>>, Rc<Resumable>, Instant)>;

/// The number of the rooms of all threads.
#[derive(Debug, Default)]
pub(crate) struct RoomCounts {
    rooms: AtomicUsize,
    /// The number of empty rooms among them.
    empty: AtomicUsize,
    /// The number of empty rooms that are to end for rooms of other threads.
    unwanted: AtomicUsize,
}

/// The order in which empty rooms end: first those that nobody has ever entered, then those that have been empty for
/// longest.
pub(super) type EmptyKey = (bool, u64);

/// The reason why a room was not created.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CreateRoomError {
    Exists,
    /// The room's service could not be made, or has failed.
    Failed,
    TooMany,
    OutOfMemory,
}

impl From<CreateRoomError> for CloseReason {
    fn from(error: CreateRoomError) -> Self {
        match error {
            CreateRoomError::Exists | CreateRoomError::Failed => Self::RoomFailed(None),
            CreateRoomError::TooMany => Self::TooManyRooms,
            CreateRoomError::OutOfMemory => Self::OutOfMemory,
        }
    }
}

/// A room, as the operator sees it.
#[derive(Debug)]
pub(crate) struct RoomStatus {
    pub(crate) id: RoomId,
    pub(crate) clients: Vec<ClientId>,
    pub(crate) hibernates: bool,
}

impl<F: EngineFactory> Registry<F> {
    pub(crate) fn new(
        factory: Arc<F>,
        thread: Rc<Thread>,
        counts: Arc<RoomCounts>,
        tell_others: impl Fn() + 'static,
    ) -> Rc<Self> {
        let waiting_sessions = WaitingSessions::new(&thread.settings);
        let registry = Rc::new(Self {
            started: Cell::new(thread.clock.now()),
            continue_session: OnceCell::new(),
            factory,
            thread,
            rooms: RefCell::default(),
            empty: RefCell::default(),
            last_emptied: Cell::new(0),
            shut_down: OnceCell::new(),
            counts,
            waiting_sessions,
            opening: RefCell::default(),
            quarantined: RefCell::default(),
            dormant: DormantTimers::default(),
            subscriptions: Subscriptions::default(),
            tell_others: Box::new(tell_others),
        });
        let empty_rooms: Weak<Self> = Rc::downgrade(&registry);
        registry.thread.memory.register(Stage::EmptyRooms, empty_rooms);
        registry
    }

    /// Notes that a session waits for another connection, until the result is dropped.
    pub(super) fn wait_for_client(&self, subnet: Subnet, outbox: &Rc<Outbox>) -> WaitingSession {
        self.waiting_sessions.add(subnet, outbox)
    }

    pub(super) fn factory(&self) -> &F {
        &self.factory
    }

    pub(crate) fn thread(&self) -> &Rc<Thread> {
        &self.thread
    }

    pub(crate) fn len(&self) -> usize {
        self.rooms.borrow().len()
    }

    pub(crate) fn find(&self, id: &RoomId) -> Option<Rc<Room<F>>> {
        self.rooms.borrow().get(id).map(Rc::clone)
    }

    /// Creates a room that does not exist.
    ///
    /// # Errors
    /// Returns an error if it exists, or if there is no space for it.
    pub(crate) fn create(self: &Rc<Self>, id: RoomId) -> Result<Rc<Room<F>>, CreateRoomError> {
        match self.find(&id) {
            Some(_) => Err(CreateRoomError::Exists),
            None => self.find_or_create(id),
        }
    }

    /// # Errors
    /// Returns an error if it does not exist, and there is no space for it.
    pub(crate) fn find_or_create(self: &Rc<Self>, id: RoomId) -> Result<Rc<Room<F>>, CreateRoomError> {
        if let Some(room) = self.find(&id) {
            return Ok(room);
        }
        if self.thread.journal().is_some_and(|journal| journal.is_filling()) {
            let line = || {
                format!(
                    "room {id} is not created: the rooms on disk need nearly all space (`--journal-size`)"
                )
            };
            self.thread.log.event(log::Level::Warn, About::room(id.as_str()), line);
            return Err(CreateRoomError::TooMany);
        }
        self.make_place(&id)?;
        // This may take as long as many messages.
        self.thread.look_at_clock();
        let room = Room::new(id.clone(), self);
        self.thread.look_at_clock();
        let room = room?;
        self.add(&room);
        self.thread.metrics.add(Count::RoomsCreated, 1);
        Ok(room)
    }

    /// Makes place for another room.
    pub(super) fn make_place(&self, id: &RoomId) -> Result<(), CreateRoomError> {
        // Several threads may be here at once, and go beyond the limit for a moment.
        if self.is_full() && !self.end_empty_room() {
            // Nobody has entered this one, nor has its service been made: it ends an empty room to make space for it.
            if self.counts.empty.load(Ordering::Relaxed) == 0 {
                debug_about!(About::room(id.as_str()), "room {id} would be one too many");
                return Err(CreateRoomError::TooMany);
            }
            self.counts.unwanted.fetch_add(1, Ordering::Relaxed);
            (self.tell_others)();
        }
        Ok(())
    }

    /// Adds a room that is not in the list.
    pub(super) fn add(&self, room: &Rc<Room<F>>) {
        self.counts.rooms.fetch_add(1, Ordering::Relaxed);
        self.rooms.borrow_mut().insert(room.id().clone(), Rc::clone(room));
        self.note_emptiness(room);
    }

    /// Takes a room that has ended out of the list, so that the next connection opens a fresh one.
    pub(super) fn remove(&self, room: &Rc<Room<F>>) {
        if let Some(key) = room.empty.take() {
            self.empty.borrow_mut().remove(&key);
            self.counts.empty.fetch_sub(1, Ordering::Relaxed);
        }
        let mut rooms = self.rooms.borrow_mut();
        if rooms.get(room.id()).is_some_and(|current| Rc::ptr_eq(current, room)) {
            rooms.remove(room.id());
            self.counts.rooms.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Notes whether anybody is in a room.
    pub(super) fn note_emptiness(&self, room: &Rc<Room<F>>) {
        let mut empty = self.empty.borrow_mut();
        match (room.empty.take(), room.is_empty()) {
            (Some(key), false) => {
                empty.remove(&key);
                self.counts.empty.fetch_sub(1, Ordering::Relaxed);
            }
            (None, true) => {
                self.last_emptied.set(self.last_emptied.get() + 1);
                let key = (room.was_entered(), self.last_emptied.get());
                room.empty.set(Some(key));
                empty.insert(key, Rc::clone(room));
                self.counts.empty.fetch_add(1, Ordering::Relaxed);
            }
            (key, _) => room.empty.set(key),
        }
    }

    /// Lets `sender` hear what happens in a room from now on, whether there is one now or later.
    #[cfg(feature = "built-in")]
    pub(crate) fn trace(&self, id: &RoomId, sender: crate::requests::EventSender) {
        self.subscriptions.add(id, sender);
        if let Some(room) = self.find(id) {
            self.subscriptions.attach(id, &room.context.trace);
        }
    }

    fn is_full(&self) -> bool {
        self.counts.rooms.load(Ordering::Relaxed) >= self.thread.settings.max_rooms
    }

    /// Ends an empty room, where there are as many rooms as there may be. Answers whether there is a place now.
    fn end_empty_room(&self) -> bool {
        !self.is_full() || self.end_emptiest("there are as many rooms as there may be (`--max-rooms`)")
    }

    /// Ends an empty room for a room of another thread, unless a third thread has done so.
    pub(crate) fn end_empty_room_for_others(&self) {
        let unwanted = &self.counts.unwanted;
        let claim = |number: usize| number.checked_sub(1);
        if self.is_full()
            && unwanted.fetch_update(Ordering::Relaxed, Ordering::Relaxed, claim).is_ok()
            && !self.end_empty_room()
        {
            unwanted.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Ends the empty room that is first in this order. Returns whether there was one.
    fn end_emptiest(&self, why: &str) -> bool {
        // Rooms on disk whose clients leave because the server shuts down are not empty.
        if self.thread.journal().is_some() && self.shut_down_reason().is_some() {
            return false;
        }
        // Rooms that are in the middle of an event cannot be ended here.
        let emptiest = self.empty.borrow().values().find(|room| !room.lock.is_taken()).map(Rc::clone);
        let Some(room) = emptiest else { return false };
        if self.leave_memory(&room) {
            return true;
        }
        if room.was_entered() {
            let line = || format!("room {} ends, and its state is lost: {why}", room.id());
            self.thread.log.event(log::Level::Warn, room.about(), line);
        } else {
            debug_about!(room.about(), "room {}, which nobody has entered, ends: {why}", room.id());
        }
        room.end(&CloseReason::RoomEnded);
        true
    }

    /// Lets a room leave memory, if it can come back from the disk.
    pub(super) fn leave_memory(&self, room: &Rc<Room<F>>) -> bool {
        let lock = EventLock::try_acquire(room);
        lock.is_some() && room.may_leave_memory() && room.leave_memory(&mut room.engine.borrow_mut())
    }

    /// Returns up to `most` rooms in the order of their ids, those after `after`.
    pub(crate) fn list(&self, after: Option<&RoomId>, most: usize) -> Vec<RoomStatus> {
        let rooms = self.rooms.borrow();
        let begin = after.map_or(Bound::Unbounded, Bound::Excluded);
        rooms
            .range::<RoomId, _>((begin, Bound::Unbounded))
            .take(most)
            .map(|(_, room)| room.status())
            .collect()
    }

    /// Returns the first room behind the one with this id, in the order of their ids.
    pub(super) fn next(&self, after: Option<&RoomId>) -> Option<Rc<Room<F>>> {
        let begin = after.map_or(Bound::Unbounded, Bound::Excluded);
        let rooms = self.rooms.borrow();
        rooms.range::<RoomId, _>((begin, Bound::Unbounded)).next().map(|(_, room)| Rc::clone(room))
    }

    /// Returns the reason why the server shuts down, if it does.
    pub(crate) fn shut_down_reason(&self) -> Option<&CloseReason> {
        self.shut_down.get()
    }

    /// Lets nobody else come, as the server shuts down for this reason.
    pub(crate) fn begin_shut_down(&self, reason: &CloseReason) {
        self.shut_down.get_or_init(|| reason.clone());
    }

    /// Returns the outboxes of all clients, room by room, in the order of the rooms' ids.
    pub(crate) fn outboxes(&self) -> Vec<Weak<Outbox>> {
        let rooms = self.rooms.borrow();
        rooms.values().flat_map(|room| room.everybody()).map(|outbox| Rc::downgrade(&outbox)).collect()
    }

    /// Closes the connections of all clients.
    pub(crate) fn shut_down(&self, reason: &CloseReason) {
        self.rooms.borrow().values().for_each(|room| room.shut_down(reason));
    }
}

/// Rooms that have been empty for longest end where memory has run out.
impl<F: EngineFactory> Reclaim for Registry<F> {
    fn reclaim(&self, _: Need) -> bool {
        self.end_emptiest("the server has no memory left (`--max-total-memory`)")
    }
}

impl<F: EngineFactory> fmt::Debug for Registry<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registry").field("rooms", &self.len()).finish_non_exhaustive()
    }
}
