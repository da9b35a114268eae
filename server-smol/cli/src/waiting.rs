use std::{
    sync::mpsc::{self, RecvTimeoutError, Sender},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

/// The time after which a wait is reported for the first time.
const FIRST: Duration = Duration::from_secs(3);

/// The time between two reports of the same wait.
const AGAIN: Duration = Duration::from_secs(30);

/// A wait for another program, which may take long. Until it is dropped, the log says from time to time what is waited for.
#[derive(Debug)]
pub(crate) struct Waiting {
    /// The end that tells the thread to end when it is dropped.
    end: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Waiting {
    /// Begins to wait. `what` returns the text of a report, without the time.
    pub(crate) fn begin(what: impl Fn() -> String + Send + 'static) -> Self {
        let begin = Instant::now();
        let (end, ended) = mpsc::channel::<()>();
        // If there is no thread for it, then nothing is reported.
        let thread = thread::Builder::new().spawn(move || {
            let mut next = FIRST;
            while ended.recv_timeout(next) == Err(RecvTimeoutError::Timeout) {
                log::info!("{} ({} s)", what(), begin.elapsed().as_secs());
                next = AGAIN;
            }
        });
        Self { end: Some(end), thread: thread.ok() }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.end.take();
        // A report that has begun comes before what follows.
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
