use std::{
    cell::{Cell, RefCell},
    fmt,
    rc::{Rc, Weak},
};

/// Counts the bytes that a thread holds for guests, clients and requests, and refuses what would be too much.
///
/// Each thread has an equal share of the whole, so that nothing here is shared: a charge costs an addition and a
/// comparison. What does not fit makes the ledger ask those who can give memory back, in this order:
///
/// 1. idle rooms hibernate, and messages that are kept for resumable sessions are forgotten;
/// 2. the client with the largest outbox is closed;
/// 3. a message that comes in, a request, a room or a connection is refused;
/// 4. for a running room, the rooms that have been empty for longest end;
/// 5. the running room fails.
///
/// For messages that are kept for resumable sessions, nobody is asked.
pub(crate) struct Ledger {
    limit: usize,
    used: Cell<usize>,
    /// The most that was ever used.
    peak: Cell<usize>,
    /// The reclaimers, in the order in which they are asked.
    reclaimers: RefCell<Vec<(Stage, Weak<dyn Reclaim>)>>,
    /// True if a reclaimer is being asked right now. It is not asked again meanwhile.
    is_reclaiming: Cell<bool>,
    /// True if reclaimers were asked since somebody wanted to know.
    has_reclaimed: Cell<bool>,
}

/// Gives memory back.
pub(crate) trait Reclaim {
    /// Gives some memory back, in a step of bounded length. Returns true if there may be more to give.
    fn reclaim(&self, need: Need) -> bool;
}

/// A charge that does not fit.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Need {
    /// The number of bytes that have to be given back for it.
    pub(crate) missing: usize,
    pub(crate) purpose: Purpose,
}

/// The order in which reclaimers are asked for memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stage {
    Hibernate,
    KeptMessages,
    SlowClients,
    EmptyRooms,
}

/// The class of a charge. The first classes are refused first: each may fill the ledger up to a part of it, so that
/// something is left for those after it. So whatever clients begin leaves space for what rooms need to answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Purpose {
    /// Messages that are kept for resumable sessions. For these, nobody is asked for memory.
    Unconfirmed,
    /// A large message of a client, which is not whole yet or waits for its room.
    LargeMessage,
    /// A room that does not exist yet.
    NewRoom,
    /// A connection, a small message of a client, a request, or a piece of a download.
    New,
    /// The memory of a room that takes much more than it began with, or a large message that it sends.
    Running,
    /// The memory of a room that takes little more than it began with, or a small message that it sends.
    Small,
}

impl Purpose {
    /// Returns how full the ledger may be after a charge of this class, in sixteenths.
    fn sixteenths(self) -> usize {
        match self {
            Self::Unconfirmed => 8,
            Self::LargeMessage => 12,
            Self::NewRoom => 13,
            Self::New => 14,
            Self::Running => 15,
            Self::Small => 16,
        }
    }
}

/// An error: there is not enough memory, and nobody gives any back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct OutOfMemory;

/// The maximum number of steps of each stage that one charge waits for. A stage takes about 0.5 ms then.
const STEPS: usize = 12;

impl Ledger {
    pub(crate) fn new(limit: usize) -> Rc<Self> {
        Rc::new(Self {
            limit,
            used: Cell::new(0),
            peak: Cell::new(0),
            reclaimers: RefCell::default(),
            is_reclaiming: Cell::new(false),
            has_reclaimed: Cell::new(false),
        })
    }

    /// Registers `reclaimer`, so that it is asked for memory at its stage.
    pub(crate) fn register(&self, stage: Stage, reclaimer: Weak<dyn Reclaim>) {
        let mut reclaimers = self.reclaimers.borrow_mut();
        let index = reclaimers.partition_point(|(other, _)| *other <= stage);
        reclaimers.insert(index, (stage, reclaimer));
    }

    /// Charges bytes that are about to be taken, until the charge is dropped.
    ///
    /// # Errors
    /// They do not fit, and nobody has given back enough.
    pub(crate) fn charge(self: &Rc<Self>, bytes: usize, purpose: Purpose) -> Result<Charge, OutOfMemory> {
        let mut charge = self.empty_charge();
        charge.set(bytes, purpose)?;
        Ok(charge)
    }

    /// Returns a charge of nothing, which can grow.
    pub(crate) fn empty_charge(self: &Rc<Self>) -> Charge {
        Charge { ledger: Rc::clone(self), bytes: 0 }
    }

    /// Returns how many bytes are charged now.
    pub(crate) fn used(&self) -> usize {
        self.used.get()
    }

    /// Returns the most bytes that have been charged at a time.
    pub(crate) fn peak(&self) -> usize {
        self.peak.get()
    }

    /// Returns how many bytes may be charged.
    pub(crate) fn limit(&self) -> usize {
        self.limit
    }

    /// Returns true if charges of this class fit.
    pub(crate) fn has_space(&self, purpose: Purpose) -> bool {
        self.fits(1, purpose)
    }

    /// Returns true if reclaimers were asked since the last call, which takes as long as many messages.
    pub(crate) fn take_reclaimed(&self) -> bool {
        self.has_reclaimed.take()
    }

    /// Returns whether so little is left that memory should be given back before somebody has to wait for it.
    pub(crate) fn is_scarce(&self) -> bool {
        self.used.get() > self.limit / 4 * 3
    }

    pub(super) fn add(&self, bytes: usize, purpose: Purpose) -> Result<(), OutOfMemory> {
        if !self.fits(bytes, purpose) {
            self.reclaim(bytes, purpose)?;
        }
        self.note(bytes);
        Ok(())
    }

    pub(super) fn give_back(&self, bytes: usize) {
        self.used.set(self.used.get() - bytes);
    }

    fn note(&self, bytes: usize) {
        let used = self.used.get() + bytes;
        self.used.set(used);
        if used > self.peak.get() {
            self.peak.set(used);
        }
    }

    fn fits(&self, bytes: usize, purpose: Purpose) -> bool {
        self.missing(bytes, purpose) == 0
    }

    /// Returns how many bytes have to be given back so that `bytes` fit.
    fn missing(&self, bytes: usize, purpose: Purpose) -> usize {
        let limit = self.limit - self.limit / 16 * (16 - purpose.sixteenths());
        bytes.saturating_sub(limit.saturating_sub(self.used.get()))
    }

    #[cold]
    fn reclaim(&self, bytes: usize, purpose: Purpose) -> Result<(), OutOfMemory> {
        if bytes > self.limit || purpose == Purpose::Unconfirmed || self.is_reclaiming.replace(true) {
            return Err(OutOfMemory);
        }
        self.has_reclaimed.set(true);
        // A room that ends may panic.
        let _reset = Reset(&self.is_reclaiming);
        let reclaimers = self.reclaimers.borrow().clone();
        let allowed = |stage| stage < Stage::EmptyRooms || purpose >= Purpose::Running;
        let mut steps = 0;
        for (_, reclaimer) in reclaimers.iter().filter(|(stage, _)| allowed(*stage)) {
            let Some(reclaimer) = reclaimer.upgrade() else { continue };
            while let missing = self.missing(bytes, purpose)
                && missing > 0
                && steps < STEPS
                && reclaimer.reclaim(Need { missing, purpose })
            {
                steps += 1;
            }
            // Each stage has steps of its own.
            steps = 0;
        }
        if self.fits(bytes, purpose) { Ok(()) } else { Err(OutOfMemory) }
    }
}

/// Sets a flag to false when it is dropped.
struct Reset<'a>(&'a Cell<bool>);

impl Drop for Reset<'_> {
    fn drop(&mut self) {
        self.0.set(false);
    }
}

/// Bytes that are charged to a [`Ledger`] for as long as this lives.
pub(crate) struct Charge {
    ledger: Rc<Ledger>,
    bytes: usize,
}

impl Charge {
    /// Changes the charge to `bytes`.
    ///
    /// # Errors
    /// The charge grows, and does not fit. It stays as it was.
    pub(crate) fn set(&mut self, bytes: usize, purpose: Purpose) -> Result<(), OutOfMemory> {
        if bytes > self.bytes {
            self.ledger.add(bytes - self.bytes, purpose)?;
        } else {
            self.give_back(self.bytes - bytes);
        }
        self.bytes = bytes;
        Ok(())
    }

    /// Changes the charge to `bytes`, even if that does not fit: the memory has been taken already, to give back more soon.
    pub(crate) fn set_taken(&mut self, bytes: usize) {
        self.ledger.note(bytes.saturating_sub(self.bytes));
        self.give_back(self.bytes.saturating_sub(bytes));
        self.bytes = bytes;
    }

    pub(crate) fn ledger(&self) -> &Rc<Ledger> {
        &self.ledger
    }

    fn give_back(&self, bytes: usize) {
        self.ledger.give_back(bytes);
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.give_back(self.bytes);
    }
}

impl fmt::Debug for Charge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Charge").field(&self.bytes).finish()
    }
}

impl fmt::Debug for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ledger").field("used", &self.used).field("limit", &self.limit).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Holds charges, and gives them back one by one.
    #[derive(Default)]
    struct Holder(RefCell<Vec<Charge>>);

    impl Reclaim for Holder {
        fn reclaim(&self, _: Need) -> bool {
            self.0.borrow_mut().pop().is_some()
        }
    }

    fn holder(ledger: &Rc<Ledger>, stage: Stage, charges: &[usize]) -> Rc<Holder> {
        let holder = Rc::new(Holder::default());
        let charge = |bytes: &usize| ledger.charge(*bytes, Purpose::Small).unwrap();
        holder.0.replace(charges.iter().map(charge).collect());
        let weak: Weak<Holder> = Rc::downgrade(&holder);
        ledger.register(stage, weak);
        holder
    }

    #[test]
    fn what_is_charged_is_bounded_and_given_back_with_the_charge() {
        let ledger = Ledger::new(100);
        let mut charge = ledger.charge(60, Purpose::Small).unwrap();
        assert_eq!(ledger.charge(41, Purpose::Small).unwrap_err(), OutOfMemory);
        charge.set(30, Purpose::Small).unwrap();
        let other = ledger.charge(70, Purpose::Small).unwrap();
        assert_eq!(charge.set(31, Purpose::Small), Err(OutOfMemory));
        assert_eq!((charge.bytes, ledger.used()), (30, 100));
        drop(other);
        assert_eq!(ledger.used(), 30);
        drop(charge);
        assert_eq!((ledger.used(), ledger.peak()), (0, 100));
    }

    #[test]
    fn those_who_can_give_memory_back_are_asked_in_order() {
        let ledger = Ledger::new(160);
        let empty_rooms = holder(&ledger, Stage::EmptyRooms, &[20]);
        let slow_clients = holder(&ledger, Stage::SlowClients, &[20, 20]);
        let idle_rooms = holder(&ledger, Stage::Hibernate, &[20, 20]);
        let left = || [&idle_rooms, &slow_clients, &empty_rooms].map(|holder| holder.0.borrow().len());
        let first = ledger.charge(40, Purpose::New).unwrap();
        assert_eq!(left(), [2, 2, 1]);
        let second = ledger.charge(40, Purpose::New).unwrap();
        assert_eq!(left(), [0, 2, 1]);
        let third = ledger.charge(40, Purpose::New).unwrap();
        assert_eq!(left(), [0, 0, 1]);
        // What is new does not end what is there.
        assert!(ledger.charge(20, Purpose::New).is_err());
        assert_eq!(left(), [0, 0, 1]);
        let fourth = ledger.charge(20, Purpose::Running).unwrap();
        assert_eq!((left(), ledger.used()), ([0, 0, 0], 140));
        drop((first, second, third, fourth));
    }

    /// Panics when it is asked.
    struct Faulty;

    impl Reclaim for Faulty {
        fn reclaim(&self, _: Need) -> bool {
            panic!("a room's service has a fault in its `Drop`");
        }
    }

    #[test]
    fn memory_is_found_after_a_panic_too() {
        let ledger = Ledger::new(160);
        let faulty = Rc::new(Faulty);
        let weak: Weak<Faulty> = Rc::downgrade(&faulty);
        ledger.register(Stage::EmptyRooms, weak);
        let idle_rooms = holder(&ledger, Stage::Hibernate, &[160]);
        let charge = || ledger.charge(320, Purpose::Small);
        assert!(charge().is_err());
        let too_much = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let _first = ledger.charge(1, Purpose::Small);
            ledger.charge(160, Purpose::Small).is_err()
        }));
        assert!(too_much.is_err(), "it has panicked");
        drop(faulty);
        idle_rooms.0.borrow_mut().push(ledger.charge(160, Purpose::Small).unwrap());
        assert!(ledger.charge(160, Purpose::Small).is_ok(), "the idle rooms are asked again");
    }

    #[test]
    fn what_is_taken_already_is_charged_without_asking_anybody() {
        let ledger = Ledger::new(160);
        let idle_rooms = holder(&ledger, Stage::Hibernate, &[100]);
        let mut charge = ledger.charge(50, Purpose::Small).unwrap();
        charge.set_taken(80);
        assert_eq!((ledger.used(), idle_rooms.0.borrow().len()), (180, 1));
        charge.set_taken(10);
        assert_eq!((ledger.used(), ledger.peak()), (110, 180));
    }

    #[test]
    fn what_can_be_refused_leaves_something_for_what_takes_little() {
        let ledger = Ledger::new(160);
        let purposes =
            [Purpose::LargeMessage, Purpose::NewRoom, Purpose::New, Purpose::Running, Purpose::Small];
        let mut charges = Vec::new();
        for (purpose, most) in purposes.into_iter().zip([120, 130, 140, 150, 160]) {
            charges.push(ledger.charge(most - ledger.used(), purpose).unwrap());
            assert!(ledger.charge(1, purpose).is_err());
            assert_eq!(ledger.used(), most);
        }
    }
}
