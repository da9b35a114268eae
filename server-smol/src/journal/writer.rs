use std::{
    collections::VecDeque,
    mem, process,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use stateroom_journal::{JournalError, RoomNumber};

#[cfg(feature = "rooms")]
use super::{inquiry::ListAnswer, listing::Listing};
#[cfg(feature = "metrics")]
use crate::metrics::Histogram;

use super::{
    DataDirectory, count_records,
    files::Files,
    inquiry::DeletedRooms,
    is_filling, is_note,
    progress::Progress,
    requests::{Batch, Expected, Question, Requests, Write},
};

pub(crate) type Answer<T> = Result<T, String>;

/// The reason why the history of a room cannot be loaded.
#[derive(Debug)]
pub(crate) enum LoadError {
    /// It is damaged.
    Damaged(String),
    /// It cannot be read at the moment.
    Unreadable(String),
    /// The server ends.
    Ending,
}

/// A room that is kept, as its base and the records after it.
#[derive(Debug)]
pub(crate) struct History {
    pub(crate) number: RoomNumber,
    pub(crate) base: Vec<u8>,
    pub(crate) records: Vec<u8>,
    pub(crate) events: u32,
    /// What the server has [noted](super::is_note) beside the records.
    pub(crate) notes: Vec<Vec<u8>>,
    /// The time at which its timer is due, in milliseconds since the Unix epoch.
    pub(crate) due: Option<u64>,
    /// There until the thread of the room has charged the memory.
    pub(crate) loading: Option<Loading>,
}

/// Memory of histories that nobody has been charged for.
#[derive(Debug)]
pub(crate) struct Loading {
    all: Arc<AtomicUsize>,
    size: usize,
}

impl Loading {
    fn new(all: &Arc<AtomicUsize>, size: usize) -> Self {
        all.fetch_add(size, Ordering::Relaxed);
        Self { all: Arc::clone(all), size }
    }
}

impl Drop for Loading {
    fn drop(&mut self) {
        self.all.fetch_sub(self.size, Ordering::Relaxed);
    }
}

/// The bytes of histories that may be read before somebody is charged for them. This also bounds for how long writing waits.
const LOADING: usize = 16 << 20;

/// The time after which the thread checks again whether it may read histories.
const LOOK: Duration = Duration::from_millis(1);

/// Writes the journal. It is what the journal's thread runs.
pub(super) struct Writer {
    pub(super) journal: stateroom_journal::Journal<Files>,
    pub(super) requests: Arc<Requests>,
    pub(super) progress: Vec<Arc<Progress>>,
    /// The time after which entries are synced. Zero: before anything is sent to clients.
    pub(super) delay: Duration,
    /// What has not been answered.
    pub(super) questions: VecDeque<Question>,
    /// The requests that came while there was no space, and are to be answered later.
    pub(super) delayed: Batch,
    pub(super) deleted: DeletedRooms,
    /// The lists that were asked for, as far as they are.
    #[cfg(feature = "rooms")]
    pub(super) listings: VecDeque<(Listing, ListAnswer)>,
    /// The bytes of histories that nobody has been charged for.
    pub(super) loading: Arc<AtomicUsize>,
    /// The time of the last sync.
    pub(super) synced: Instant,
    pub(super) is_synced: bool,
    /// The times of syncs, in nanoseconds.
    #[cfg(feature = "metrics")]
    pub(super) sync_times: Histogram,
    /// The entries that the next group waits for.
    pub(super) expected: Option<Expected>,
    pub(super) max_size: u64,
    /// True if the histories of rooms take more than 3/8 of this. About half of it can be histories.
    pub(super) is_filling: Arc<AtomicBool>,
    /// True while all rooms wait for space.
    pub(super) is_stalled: Arc<AtomicBool>,
    pub(super) _directory: DataDirectory,
}

/// The exit code of a process whose disk does not keep what it was given: `EX_IOERR` of `sysexits.h`.
pub(super) const EXIT_CODE: i32 = 74;

/// The most time for which the next group waits for the clients of the last one, if others are there already. A sync takes 40 µs of the
/// processor, however many entries it is for. This is short beside the time that a message takes through the internet, and a disk that
/// is slow has large groups without it.
const GATHER: Duration = Duration::from_micros(800);

/// The bytes of a group for which its sync is a small part of the work.
const ENOUGH: usize = 256 << 10;

/// The time after which the journal is tried again if the disk is full.
pub(super) const AGAIN: Duration = Duration::from_secs(1);

impl Writer {
    pub(super) fn run(mut self) {
        let mut batch = Batch::default();
        let mut has_upkeep = true;
        loop {
            // All that has come while the disk was busy.
            self.requests.take(&mut batch, self.patience(has_upkeep), self.expected);
            if !self.delayed.is_empty() {
                // They came before.
                batch = mem::take(&mut self.delayed).followed_by(batch);
            }
            let bytes = mem::take(&mut batch.bytes);
            if bytes > 0 {
                self.leave_out_deleted(&mut batch.writes);
                self.write(&mut batch.writes);
            }
            if !self.is_synced && self.synced.elapsed() >= self.delay {
                self.sync();
            }
            if bytes > 0 {
                self.expected = self.expect(bytes);
            }
            self.tell(&mut batch.writes);
            self.questions.extend(batch.questions.drain(..));
            while self.loading.load(Ordering::Relaxed) < LOADING
                && let Some(question) = self.questions.pop_front()
            {
                self.answer(question);
            }
            if batch.is_last {
                break;
            }
            #[cfg(feature = "rooms")]
            self.step_listings();
            let live = self.journal.stats().bytes_live;
            self.is_filling.store(is_filling(live, self.max_size), Ordering::Relaxed);
            has_upkeep = match self.journal.maintain() {
                Ok(has_more) => has_more,
                // If it matters, writing says so.
                Err(error) if is_temporary(&error) => false,
                Err(error) => fail(&error),
            };
            self.report_damaged();
        }
        if let Err(error) = self.journal.close() {
            fail(&error);
        }
    }

    /// Logs which rooms the journal has given up.
    fn report_damaged(&mut self) {
        for room in self.journal.take_damaged() {
            log::error!(
                "room {:?} is damaged on the disk: nobody can enter it until it is deleted (file {} of the journal, byte {}; the file is kept as `damaged-` and this number, unless there are several)",
                room.id,
                room.segment,
                room.offset
            );
        }
    }

    /// Returns how long the next request may take to come. `None`: no limit, because no work is due.
    fn patience(&self, has_upkeep: bool) -> Option<Duration> {
        match () {
            () if has_upkeep || !self.delayed.is_empty() => Some(Duration::ZERO),
            #[cfg(feature = "rooms")]
            () if !self.listings.is_empty() => Some(Duration::ZERO),
            () if !self.questions.is_empty() => Some(LOOK),
            () if self.is_synced => None,
            () => Some(self.delay.saturating_sub(self.synced.elapsed())),
        }
    }

    /// Returns what the next group will probably have, after one with so many bytes whose clients have not been answered yet: all
    /// that waits comes from others, and those will write again.
    fn expect(&self, last: usize) -> Option<Expected> {
        let bytes = match self.requests.waiting_bytes() {
            // All were in the last group, if it had what was expected. A client that writes alone never waits.
            0 => self.expected.filter(|expected| last >= expected.bytes - expected.bytes / 8)?.bytes,
            waiting => last + waiting,
        };
        (bytes < ENOUGH).then(|| Expected { bytes, until: Instant::now() + GATHER })
    }

    /// Tells the threads of rooms how far the journal is.
    fn tell(&self, writes: &mut Vec<Write>) {
        for (worker, progress) in self.progress.iter().enumerate() {
            let last = writes.iter().rfind(|write| write.worker == worker);
            last.into_iter().for_each(|write| progress.set(write.ticket));
        }
        for Write { worker, entries, .. } in writes.drain(..) {
            self.progress[worker].give_back(entries);
        }
    }

    /// Writes entries. If the disk is full, waits until there is space.
    fn write(&mut self, writes: &mut [Write]) {
        let mut has_told = false;
        loop {
            match self.journal.write(&writes.iter().map(|write| &write.entries).collect::<Vec<_>>()) {
                Ok(()) => break,
                Err(error) if is_temporary(&error) => {
                    if !has_told {
                        let mend = match error.is_limit() {
                            true => "delete rooms, or start again with a larger `--journal-size`",
                            false => "make space there, or delete rooms",
                        };
                        log::error!("all rooms wait for space on the disk: {error}; {mend}");
                        has_told = true;
                        self.is_stalled.store(true, Ordering::Relaxed);
                    }
                    self.wait_for_space(writes);
                    if self.delayed.is_last {
                        // Nothing that waits has been sent to anybody.
                        fail(&error);
                    }
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
        #[cfg(feature = "metrics")]
        let begun = Instant::now();
        if let Err(error) = self.journal.sync() {
            fail(&error);
        }
        self.synced = Instant::now();
        #[cfg(feature = "metrics")]
        self.sync_times.add_time(self.synced - begun);
        self.is_synced = true;
    }

    fn answer(&mut self, question: Question) {
        match question {
            Question::Inquire(inquiry) => self.inquire(inquiry, &mut []),
            Question::Load(id, answer) => {
                let history = match self.journal.find(&id) {
                    None => Ok(None),
                    Some(number) => match self.journal.history(number) {
                        Ok(history) => Ok(Some(History::new(number, history).count(&self.loading))),
                        Err(error @ JournalError::Read(_)) => Err(LoadError::Unreadable(error.to_string())),
                        Err(error) => Err(LoadError::Damaged(error.to_string())),
                    },
                };
                let _ = answer.try_send(history);
            }
            Question::Sync(answer) => {
                if !self.is_synced {
                    self.sync();
                }
                let _ = answer.try_send(());
            }
            Question::Timers(answer) => {
                let rooms = self.journal.rooms();
                let rooms = rooms.filter_map(|room| Some((room.due?, room.id.to_owned())));
                let _ = answer.try_send(rooms.collect());
            }
        }
    }
}

impl History {
    pub(super) fn new(number: RoomNumber, history: stateroom_journal::History) -> Self {
        let due = history.events().fold(history.due, |due, event| event.timer.unwrap_or(due));
        let (mut records, mut events, mut notes) = (Vec::new(), 0, Vec::new());
        for event in history.events().map(|event| event.event) {
            if is_note(event) {
                notes.push(event.into());
            } else {
                records.extend_from_slice(event);
                events += count_records(event);
            }
        }
        Self { number, base: history.base().into(), records, events, notes, due, loading: None }
    }

    /// Counts its memory until somebody is charged for it.
    fn count(mut self, loading: &Arc<AtomicUsize>) -> Self {
        self.loading = Some(Loading::new(loading, self.size()));
        self
    }

    /// Returns its size in bytes.
    pub(crate) fn size(&self) -> usize {
        self.base.len() + self.records.len() + self.notes.iter().map(Vec::len).sum::<usize>()
    }
}

/// Returns whether the same can be tried again: the error has changed nothing. A history that the disk cannot read cannot be moved, so
/// this can be the reason for a lack of space, too.
fn is_temporary(error: &JournalError) -> bool {
    matches!(error, JournalError::Full(_) | JournalError::Read(_))
}

/// Ends the process. What the disk has is not known any more: after an error, the system may show data that the disk lacks. The
/// next start finds out. Nothing that was not kept has been sent to anybody.
fn fail(error: &JournalError) -> ! {
    log::error!("the journal cannot be written, and the server ends: {error}");
    log::logger().flush();
    process::exit(EXIT_CODE)
}
