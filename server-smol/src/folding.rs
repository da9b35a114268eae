use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    fmt,
    rc::Rc,
    time::{Duration, Instant},
};

use stateroom_sdk_core::engine::EngineFactory;

use crate::{reactor::Timer, room::Room, settings::Settings, turns::Turns};

/// A thread's rooms that could be folded. Each is looked at when it has been here for a while: then it is folded, or it
/// has had an event and stays for another while. So an idle room costs one look, and a busy one no more than a look
/// now and then; the way of a message is a flag.
pub(crate) struct Folding<F: EngineFactory> {
    /// How long a room is left alone; zero, if none is ever folded.
    after: Duration,
    /// How much memory the rooms here may have together.
    allowance: usize,
    /// How much they have.
    held: Cell<usize>,
    /// How many of the thread's rooms are folded.
    folded: Cell<usize>,
    /// How many rooms have come back for which others had to fold, and since when.
    comings: Cell<Option<(Instant, u32)>>,
    /// By their tickets, those in front which have been here for longest.
    queue: RefCell<BTreeMap<u64, Waiting<F>>>,
    last_ticket: Cell<u64>,
}

/// How many rooms that come back within a minute, where there is not enough memory for all, are worth a word.
const MANY: u32 = 1_000;

/// How many rooms are looked at for one that comes, in about 0.1 ms. They may all be busy, and there may be many.
const LOOKS: usize = 100;

struct Waiting<F: EngineFactory> {
    room: Rc<Room<F>>,
    since: Instant,
}

/// What a room notes for this.
#[derive(Debug, Default)]
pub(crate) struct Rest {
    /// Its place in the queue, if it has one.
    ticket: Cell<Option<u64>>,
    /// How much memory it had when it was looked at.
    size: Cell<usize>,
    /// Whether it has had an event since then.
    active: Cell<bool>,
    folded: Cell<bool>,
}

/// What a look at a room comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Look {
    Folded,
    /// Its service stays as it is, until there is another event at least.
    Kept,
    /// It has had an event, or has one. If the event is over, so much memory could be had of the room.
    Busy(Option<usize>),
    Ended,
}

impl Rest {
    /// Notes an event, which is nearly always all that there is to do. Otherwise [`Folding::add`] is due.
    pub(crate) fn disturb(&self) -> bool {
        if self.active.get() {
            return false;
        }
        let waits = self.ticket.get().is_some();
        self.active.set(waits);
        !waits
    }

    /// Whether the room has had an event since the last time.
    pub(crate) fn take_disturbed(&self) -> bool {
        self.active.take()
    }

    pub(crate) fn is_folded(&self) -> bool {
        self.folded.get()
    }
}

impl<F: EngineFactory> Folding<F> {
    pub(crate) fn new(settings: &Settings) -> Self {
        Self {
            after: settings.fold_after,
            allowance: settings.unfolded_memory / settings.threads.max(1),
            held: Cell::new(0),
            folded: Cell::new(0),
            comings: Cell::new(None),
            queue: RefCell::default(),
            last_ticket: Cell::new(0),
        }
    }

    /// Folds rooms that have been idle for long enough, one for each look at the sockets.
    pub(crate) async fn run(&self, turns: &Turns) {
        if self.after.is_zero() {
            return;
        }
        loop {
            let since = self.queue.borrow().first_key_value().map(|(_, waiting)| waiting.since);
            let left = since.map_or(self.after, |since| self.after.saturating_sub(since.elapsed()));
            if left.is_zero() {
                turns.wait().await;
                self.look();
            } else {
                // Whoever comes in meanwhile is due later than that.
                Timer::after(left).await;
            }
        }
    }

    /// Takes in a room that could give back so much memory. Where the rooms here have too much by that, those are folded
    /// at once that have been idle for longest: whoever opens rooms faster than they become idle pays for that,
    /// and nobody else.
    pub(crate) fn add(&self, room: &Rc<Room<F>>, size: usize) {
        let rest = room.rest();
        if self.after.is_zero() {
            // It need not ask again.
            rest.active.set(true);
            return;
        }
        let comes_back = self.note(rest, false);
        self.put(Rc::clone(room), size);
        if comes_back && self.held.get() > self.allowance {
            self.warn_of_coming_and_going();
        }
        let mut looks = self.queue.borrow().len().min(LOOKS);
        while looks > 0 && self.held.get() > self.allowance {
            looks -= 1;
            self.look();
        }
    }

    /// Forgets a room that has ended.
    pub(crate) fn remove(&self, room: &Room<F>) {
        let rest = room.rest();
        self.note(rest, false);
        if let Some(ticket) = rest.ticket.take() {
            self.held.set(self.held.get() - rest.size.get());
            self.queue.borrow_mut().remove(&ticket);
        }
    }

    /// Looks at the room in front. It leaves the queue, or begins anew.
    fn look(&self) {
        let first = self.queue.borrow_mut().pop_first();
        let Some((_, Waiting { room, since })) = first else { return };
        let rest = room.rest();
        rest.ticket.take();
        self.held.set(self.held.get() - rest.size.get());
        match room.fold() {
            Look::Folded => {
                self.note(rest, true);
                log::debug!("room {} folds after {:.1} s", room.id(), since.elapsed().as_secs_f32());
            }
            Look::Busy(size) => {
                let size = size.unwrap_or(rest.size.get());
                self.put(Rc::clone(&room), size);
            }
            Look::Kept | Look::Ended => {}
        }
    }

    /// How many of the thread's rooms are folded.
    pub(crate) fn folded(&self) -> usize {
        self.folded.get()
    }

    /// How much memory the rooms have that are not folded, in bytes.
    pub(crate) fn held(&self) -> usize {
        self.held.get()
    }

    /// Notes whether a room is folded. Answers whether it was.
    fn note(&self, rest: &Rest, is_folded: bool) -> bool {
        let was_folded = rest.folded.replace(is_folded);
        match (was_folded, is_folded) {
            (false, true) => self.folded.set(self.folded.get() + 1),
            (true, false) => self.folded.set(self.folded.get() - 1),
            _ => {}
        }
        was_folded
    }

    /// Lets the operator know, once a minute at most, where rooms come back all the time for which others have to fold.
    fn warn_of_coming_and_going(&self) {
        let now = Instant::now();
        let minute =
            self.comings.get().filter(|(since, _)| now.duration_since(*since) < Duration::from_secs(60));
        let (since, count) = minute.unwrap_or((now, 0));
        self.comings.set(Some((since, count + 1)));
        if count + 1 == MANY {
            log::warn!(
                "{MANY} rooms have come back from being folded within a minute, and others were folded for them: messages \
                 take longer by that. Rooms that are in use have more memory together than they may have without folding \
                 (`--max-unfolded-memory`)"
            );
        }
    }

    fn put(&self, room: Rc<Room<F>>, size: usize) {
        let ticket = self.last_ticket.get() + 1;
        self.last_ticket.set(ticket);
        room.rest().ticket.set(Some(ticket));
        room.rest().size.set(size);
        self.held.set(self.held.get() + size);
        self.queue.borrow_mut().insert(ticket, Waiting { room, since: Instant::now() });
    }
}

impl<F: EngineFactory> fmt::Debug for Folding<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let waiting = self.queue.borrow().len();
        f.debug_struct("Folding").field("held", &self.held).field("waiting", &waiting).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::{convert::Infallible, sync::Arc};

    use stateroom_sdk_core::engine::{Engine, EngineContext, Event, Progress};

    use super::*;
    use crate::{room_id::RoomId, worker::Worker};

    /// Is never folded, although it could be.
    struct Large;

    impl Engine for Large {
        fn begin(&mut self, _: Event<'_>, _: &impl EngineContext) {}

        fn advance(&mut self, _: &impl EngineContext) -> Progress<'_> {
            Progress::Done
        }

        fn reclaimable(&self) -> usize {
            1
        }
    }

    struct Factory;

    impl EngineFactory for Factory {
        type Engine = Large;
        type Error = Infallible;

        fn build(&self, _: &str, _: &impl EngineContext) -> Result<Large, Infallible> {
            Ok(Large)
        }
    }

    #[test]
    fn whoever_comes_does_not_wait_until_all_busy_rooms_have_been_looked_at() {
        const ROOMS: usize = 3 * LOOKS;
        let settings = Settings { unfolded_memory: ROOMS, ..Settings::default() };
        let worker = Worker::new(Arc::new(Factory), Arc::new(settings), Arc::default());
        let folding = worker.folding();
        let room = |number: usize| {
            Room::new(RoomId::from_path(&number.to_string()).unwrap(), &worker).unwrap_or_else(|e| match e {})
        };
        let rooms: Vec<_> = (0..ROOMS).map(room).collect();
        for room in &rooms {
            folding.add(room, 1);
            assert!(!room.rest().disturb(), "it waits already");
        }
        let looked_at = || rooms.iter().filter(|room| !room.rest().active.get()).count();
        assert_eq!(looked_at(), 0);
        for looks in 1..=3 {
            folding.add(&room(ROOMS + looks), 1);
            assert_eq!(looked_at(), looks * LOOKS);
        }
        // Now there are some that have been idle since, and one that goes is enough for one that comes.
        assert_eq!(folding.held.get(), ROOMS + 3);
        folding.add(&room(0), 1);
        assert_eq!(folding.held.get(), ROOMS);
    }
}
