use std::{
    collections::VecDeque,
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    process,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
        mpsc::{self, Receiver, RecvTimeoutError, Sender, TryRecvError},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use smol::channel;
use stateroom_journal::{Entries, JournalError, Options, Recovery, RoomNumber};

use super::{
    DataDirectory, DataError,
    files::Files,
    handle::{Journal, Progress, Ticket},
    inquiry::{DeletedRooms, Inquiry, KeptRooms},
};

/// A request to the journal's thread.
pub(super) enum Request {
    /// Write entries of a worker.
    Write { worker: usize, ticket: Ticket, entries: Entries },
    /// Return the history of a room.
    Load(Box<str>, channel::Sender<Answer<Option<History>>>),
    /// Answer the operator.
    Inquire(Inquiry),
    /// Return the rooms that have timers.
    Timers(channel::Sender<Vec<KeptRoom>>),
    /// Write all that has come before, and end.
    End,
}

pub(crate) type Answer<T> = Result<T, String>;

/// A room that is kept, as its base and the records after it.
#[derive(Debug)]
pub(crate) struct History {
    pub(crate) number: RoomNumber,
    pub(crate) base: Vec<u8>,
    pub(crate) records: Vec<u8>,
    pub(crate) events: u32,
}

/// A room that is kept, and has a timer.
#[derive(Debug)]
pub(crate) struct KeptRoom {
    pub(crate) id: String,
    /// The time at which its timer is due, in milliseconds since the Unix epoch.
    pub(crate) timer_due: u64,
}

/// The thread that writes the journal, and nobody else does.
#[derive(Debug)]
pub(crate) struct JournalThread {
    thread: Option<JoinHandle<()>>,
    sender: Sender<Request>,
    progress: Vec<Arc<Progress>>,
    next_room: Arc<AtomicU64>,
    is_filling: Arc<AtomicBool>,
    is_stalled: Arc<AtomicBool>,
}

/// The exit code of a process whose disk does not keep what it was given: `EX_IOERR` of `sysexits.h`.
const EXIT_CODE: i32 = 74;

/// The time after which the journal is tried again if the disk is full.
pub(super) const AGAIN: Duration = Duration::from_secs(1);

impl JournalThread {
    /// Opens the journal in a directory, and starts its thread. `delay` is the time after which entries are synced; zero: before
    /// anything is sent to clients.
    pub(crate) fn start(
        directory: DataDirectory,
        max_size: u64,
        delay: Duration,
        workers: usize,
    ) -> Result<Self, DataError> {
        let begun = Instant::now();
        let mut random = [0; 16];
        getrandom::fill(&mut random).map_err(|error| DataError::Io(io::Error::other(error)))?;
        let files = Files::new(directory.journal());
        let mut options = Options::new(random);
        options.max_size = max_size;
        let (journal, recovery) = stateroom_journal::Journal::open(files, options)
            .map_err(|error| DataError::Journal(error.to_string()))?;
        announce(&recovery, begun.elapsed());
        let next_room = Arc::new(AtomicU64::new(journal.next_room().0));
        let (is_filling, is_stalled) = (Arc::<AtomicBool>::default(), Arc::<AtomicBool>::default());
        let progress: Vec<_> = (0..workers).map(|_| Arc::<Progress>::default()).collect();
        let (sender, receiver) = mpsc::channel();
        let writer = Writer {
            journal,
            receiver,
            progress: progress.clone(),
            delay,
            synced: Instant::now(),
            is_synced: true,
            max_size,
            is_filling: Arc::clone(&is_filling),
            is_stalled: Arc::clone(&is_stalled),
            delayed: VecDeque::new(),
            deleted: DeletedRooms::new(),
            _directory: directory,
        };
        let thread = thread::Builder::new().name("journal".to_owned());
        let run = move || {
            if catch_unwind(AssertUnwindSafe(|| writer.run())).is_err() {
                // Nothing could be sent any more.
                process::exit(EXIT_CODE);
            }
        };
        let thread = thread.spawn(run).map_err(DataError::Io)?;
        Ok(Self { thread: Some(thread), sender, progress, next_room, is_filling, is_stalled })
    }

    /// Returns the handle of a thread of rooms, for that thread.
    pub(crate) fn handle(&self, worker: usize) -> impl FnOnce() -> Journal + Send + 'static {
        let (sender, progress) = (self.sender.clone(), Arc::clone(&self.progress[worker]));
        let (next_room, is_filling) = (Arc::clone(&self.next_room), Arc::clone(&self.is_filling));
        move || Journal::new(worker, sender, progress, next_room, is_filling)
    }

    /// Returns the handle of whoever answers the operator.
    pub(crate) fn kept_rooms(&self) -> KeptRooms {
        KeptRooms::new(
            self.sender.clone(),
            Arc::clone(&self.is_stalled),
            #[cfg(feature = "rooms")]
            Arc::clone(&self.is_filling),
        )
    }

    /// Ends the thread, after the threads of rooms have ended, and waits for it.
    pub(crate) fn join(mut self) {
        let _ = self.sender.send(Request::End);
        if let Some(thread) = self.thread.take() {
            // A panic has been printed.
            let _ = thread.join();
        }
    }
}

pub(super) struct Writer {
    pub(super) journal: stateroom_journal::Journal<Files>,
    pub(super) receiver: Receiver<Request>,
    /// The requests that came while there was no space, and are to be answered later.
    pub(super) delayed: VecDeque<Request>,
    pub(super) deleted: DeletedRooms,
    progress: Vec<Arc<Progress>>,
    delay: Duration,
    /// The time of the last sync.
    synced: Instant,
    pub(super) is_synced: bool,
    max_size: u64,
    /// True if the histories of rooms take more than 3/8 of this. About half of it can be histories.
    is_filling: Arc<AtomicBool>,
    /// True while all rooms wait for space.
    is_stalled: Arc<AtomicBool>,
    _directory: DataDirectory,
}

/// The requests that came while the disk was busy.
#[derive(Default)]
struct Batch {
    entries: Vec<Entries>,
    /// The last ticket of each worker that has entries here.
    tickets: Vec<(usize, Ticket)>,
    others: Vec<Request>,
}

impl Batch {
    fn add(&mut self, request: Request) {
        match request {
            Request::Write { worker, ticket, entries } => {
                self.entries.push(entries);
                match self.tickets.iter_mut().find(|(other, _)| *other == worker) {
                    Some((_, last)) => *last = ticket,
                    None => self.tickets.push((worker, ticket)),
                }
            }
            request => self.others.push(request),
        }
    }

    fn extend(&mut self, receiver: &Receiver<Request>) {
        while let Ok(request) = receiver.try_recv() {
            self.add(request);
        }
    }
}

impl Writer {
    fn run(mut self) {
        let mut has_upkeep = true;
        loop {
            let mut batch = Batch::default();
            match self.next(has_upkeep) {
                Ok(request) => batch.add(request),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            // All that has come while the disk was busy.
            self.delayed.drain(..).for_each(|request| batch.add(request));
            batch.extend(&self.receiver);
            if !batch.entries.is_empty() {
                self.leave_out_deleted(&mut batch.entries);
                self.write(&mut batch.entries);
            }
            if !self.is_synced && self.synced.elapsed() >= self.delay {
                self.sync();
            }
            for (worker, ticket) in batch.tickets {
                self.progress[worker].set(ticket);
            }
            let is_end = batch.others.iter().any(|request| matches!(request, Request::End));
            batch.others.into_iter().for_each(|request| self.answer(request));
            if is_end {
                break;
            }
            let live = self.journal.stats().bytes_live;
            let is_filling = live / 3 > self.max_size / 8;
            self.is_filling.store(is_filling, Ordering::Relaxed);
            has_upkeep = match self.journal.maintain() {
                Ok(has_more) => has_more,
                // If it matters, writing says so.
                Err(error) if is_temporary(&error) => false,
                Err(error) => fail(&error),
            };
        }
        if let Err(error) = self.journal.close() {
            fail(&error);
        }
    }

    /// Waits for the next request.
    fn next(&mut self, has_upkeep: bool) -> Result<Request, RecvTimeoutError> {
        if let Some(request) = self.delayed.pop_front() {
            return Ok(request);
        }
        if has_upkeep {
            return self.receiver.try_recv().map_err(|error| match error {
                TryRecvError::Empty => RecvTimeoutError::Timeout,
                TryRecvError::Disconnected => RecvTimeoutError::Disconnected,
            });
        }
        if self.is_synced {
            return self.receiver.recv().map_err(|_| RecvTimeoutError::Disconnected);
        }
        self.receiver.recv_timeout(self.delay.saturating_sub(self.synced.elapsed()))
    }

    /// Writes entries. If the disk is full, waits until there is space.
    fn write(&mut self, entries: &mut [Entries]) {
        let mut has_told = false;
        loop {
            match self.journal.write(&entries.iter().collect::<Vec<_>>()) {
                Ok(()) => break,
                Err(error) if is_temporary(&error) => {
                    if !has_told {
                        log::error!("all rooms wait for space on the disk: {error}");
                        has_told = true;
                        self.is_stalled.store(true, Ordering::Relaxed);
                    }
                    self.wait_for_space(entries);
                    // It may make space itself.
                    while matches!(self.journal.maintain(), Ok(true)) {}
                }
                Err(error) => fail(&error),
            }
        }
        if has_told {
            self.is_stalled.store(false, Ordering::Relaxed);
            log::warn!("there is space on the disk again, and rooms go on");
        }
        self.is_synced = false;
    }

    pub(super) fn sync(&mut self) {
        if let Err(error) = self.journal.sync() {
            fail(&error);
        }
        self.synced = Instant::now();
        self.is_synced = true;
    }

    fn answer(&mut self, request: Request) {
        match request {
            Request::Write { .. } | Request::End => {}
            Request::Inquire(inquiry) => self.inquire(inquiry, &mut []),
            Request::Load(id, answer) => {
                let history = match self.journal.find(&id) {
                    None => Ok(None),
                    Some(number) => match self.journal.history(number) {
                        Ok(history) => Ok(Some(History::new(number, history))),
                        Err(error) => Err(error.to_string()),
                    },
                };
                let _ = answer.try_send(history);
            }
            Request::Timers(answer) => {
                let rooms = self.journal.rooms();
                let rooms =
                    rooms.filter_map(|room| Some(KeptRoom { id: room.id.to_owned(), timer_due: room.due? }));
                let _ = answer.try_send(rooms.collect());
            }
        }
    }
}

impl History {
    pub(super) fn new(number: RoomNumber, history: stateroom_journal::History) -> Self {
        let events = u32::try_from(history.events().len()).unwrap_or(u32::MAX);
        let records = history.events().flat_map(|event| event.event).copied().collect();
        Self { number, base: history.base().into(), records, events }
    }
}

/// Returns whether nothing has changed because of this error, so that the same can be tried again. A history that cannot be read,
/// and so cannot be moved, is the reason of a want of space as well.
fn is_temporary(error: &JournalError) -> bool {
    matches!(error, JournalError::Full(_) | JournalError::Read(_) | JournalError::Damaged { .. })
}

/// Logs what has been found on the disk.
fn announce(recovery: &Recovery, time: Duration) {
    let Recovery { rooms, bytes_read, dropped, .. } = recovery;
    if *dropped > 0 {
        log::warn!(
            "the last {dropped} bytes of the journal were not complete, and nobody has seen anything of them"
        );
    }
    log::info!("{rooms} rooms are on the disk ({} KiB read in {} ms)", bytes_read >> 10, time.as_millis());
}

/// Ends the process. What the disk has is not known any more: after an error, the system may show data that the disk lacks. The
/// next start finds out. Nothing that was not kept has been sent to anybody.
fn fail(error: &JournalError) -> ! {
    log::error!("the journal cannot be written, and the server ends: {error}");
    log::logger().flush();
    process::exit(EXIT_CODE)
}
