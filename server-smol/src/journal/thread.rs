use std::{
    collections::VecDeque,
    fmt, io,
    panic::{AssertUnwindSafe, catch_unwind},
    process,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use stateroom_journal::{Options, Recovery};

#[cfg(feature = "rooms")]
use std::path::PathBuf;

#[cfg(feature = "metrics")]
use crate::metrics::Histogram;

use super::{
    DataDirectory, DataError,
    files::Files,
    handle::Journal,
    inquiry::{DeletedRooms, KeptRooms},
    progress::Progress,
    requests::{Batch, Requests},
    writer::{EXIT_CODE, Writer},
};

/// The thread that writes the journal, and nobody else does.
pub(crate) struct JournalThread {
    thread: Option<JoinHandle<()>>,
    requests: Arc<Requests>,
    progress: Vec<Arc<Progress>>,
    next_room: Arc<AtomicU64>,
    is_filling: Arc<AtomicBool>,
    is_stalled: Arc<AtomicBool>,
    max_size: u64,
    /// True if there were rooms, and their journal is missing.
    #[cfg(feature = "rooms")]
    lacks_journal: bool,
    #[cfg(feature = "rooms")]
    files: PathBuf,
}

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
        #[cfg(feature = "rooms")]
        let journal_directory = directory.journal();
        let mut options = Options::new(random);
        options.max_size = max_size;
        let (journal, recovery) = stateroom_journal::Journal::open(files, options)?;
        announce(&recovery, begun.elapsed());
        let lacks_journal = recovery.created && directory.had_modules();
        if lacks_journal {
            log::warn!(
                "there were rooms in this directory, but the journal has none: its files (`journal/segment-…`) are missing; if they are in a backup, end the server, and restore all of the directory"
            );
        }
        let next_room = Arc::new(AtomicU64::new(journal.next_room().0));
        let (is_filling, is_stalled) = (Arc::<AtomicBool>::default(), Arc::<AtomicBool>::default());
        let progress: Vec<_> = (0..workers).map(|_| Arc::<Progress>::default()).collect();
        let requests = Arc::<Requests>::default();
        let writer = Writer {
            journal,
            requests: Arc::clone(&requests),
            questions: VecDeque::new(),
            delayed: Batch::default(),
            deleted: DeletedRooms::new(),
            #[cfg(feature = "rooms")]
            listings: VecDeque::new(),
            loading: Arc::default(),
            progress: progress.clone(),
            delay,
            synced: Instant::now(),
            is_synced: true,
            #[cfg(feature = "metrics")]
            sync_times: Histogram::default(),
            expected: None,
            max_size,
            is_filling: Arc::clone(&is_filling),
            is_stalled: Arc::clone(&is_stalled),
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
        Ok(Self {
            thread: Some(thread),
            requests,
            progress,
            next_room,
            is_filling,
            is_stalled,
            max_size,
            #[cfg(feature = "rooms")]
            lacks_journal,
            #[cfg(feature = "rooms")]
            files: journal_directory,
        })
    }

    /// Returns the handle of a thread of rooms, for that thread.
    pub(crate) fn handle(&self, worker: usize) -> impl FnOnce() -> Journal + Send + 'static {
        let (requests, progress) = (Arc::clone(&self.requests), Arc::clone(&self.progress[worker]));
        let (next_room, is_filling) = (Arc::clone(&self.next_room), Arc::clone(&self.is_filling));
        let max_size = self.max_size;
        move || Journal::new(worker, requests, progress, next_room, is_filling, max_size)
    }

    /// Returns the handle of whoever answers the operator.
    pub(crate) fn kept_rooms(&self) -> KeptRooms {
        KeptRooms::new(
            Arc::clone(&self.requests),
            Arc::clone(&self.is_stalled),
            #[cfg(feature = "rooms")]
            Arc::clone(&self.is_filling),
            #[cfg(feature = "rooms")]
            self.files.clone(),
        )
    }

    /// Returns whether there were rooms whose journal is missing. Whoever restores it needs their modules.
    #[cfg(feature = "rooms")]
    pub(crate) fn lacks_journal(&self) -> bool {
        self.lacks_journal
    }

    /// Returns whether all rooms wait for space on the disk.
    pub(crate) fn is_stalled(&self) -> bool {
        self.is_stalled.load(Ordering::Relaxed)
    }

    /// Ends the thread, after the threads of rooms have ended, and waits for it.
    pub(crate) fn join(mut self) {
        self.requests.end();
        if let Some(thread) = self.thread.take() {
            // A panic has been printed.
            let _ = thread.join();
        }
    }
}

/// Ends the thread, if nobody has waited for its end.
impl Drop for JournalThread {
    fn drop(&mut self) {
        self.requests.end();
    }
}

impl fmt::Debug for JournalThread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JournalThread").field("thread", &self.thread).finish_non_exhaustive()
    }
}

/// Logs what has been found on the disk.
fn announce(recovery: &Recovery, time: Duration) {
    let Recovery { rooms, bytes_read, dropped, .. } = recovery;
    if *dropped > 0 {
        log::warn!(
            "the last {dropped} bytes of the journal are not complete, and were dropped: if the server was killed or the power failed, nobody has seen anything of them"
        );
    }
    log::info!(
        "{rooms} rooms are on the disk ({} KiB read in {} ms)",
        bytes_read >> 10,
        time.as_millis() as u64
    );
}
