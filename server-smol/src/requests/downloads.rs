use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

/// The time that a download has before it can be too slow.
const GRACE: Duration = Duration::from_secs(5);
/// The number of bytes per second below which a download is slow.
const SLOW: u64 = 16 << 10;

/// Counts the downloads of all threads, each of which has an open file. If there are as many as there may be, the slowest one
/// ends for a new one: otherwise a few clients that read slowly would keep all others from the page.
#[derive(Debug, Clone)]
pub(crate) struct Downloads(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    most: usize,
    running: Mutex<Vec<Arc<Progress>>>,
}

#[derive(Debug)]
struct Progress {
    begin: Instant,
    /// The number of bytes that have been handed out.
    bytes: AtomicU64,
    is_evicted: AtomicBool,
    /// The waker of the connection's task.
    waker: Mutex<Option<Waker>>,
}

/// The permission for a download.
#[derive(Debug)]
pub(crate) struct DownloadPermit {
    downloads: Downloads,
    progress: Arc<Progress>,
}

impl Downloads {
    pub(crate) fn new(most: usize) -> Self {
        Self(Arc::new(Shared { most, running: Mutex::default() }))
    }

    /// Takes a permit. If all are taken, a slow download ends; returns nothing if none is slow.
    pub(crate) fn take(&self, now: Instant) -> Option<DownloadPermit> {
        let mut running = lock(&self.0.running);
        if running.len() >= self.0.most {
            let rates =
                running.iter().enumerate().filter_map(|(index, progress)| Some((progress.rate(now)?, index)));
            let (_, slowest) = rates.filter(|(rate, _)| *rate < SLOW).min()?;
            running.swap_remove(slowest).evict();
        }
        let progress = Arc::new(Progress {
            begin: now,
            bytes: AtomicU64::new(0),
            is_evicted: AtomicBool::new(false),
            waker: Mutex::default(),
        });
        running.push(Arc::clone(&progress));
        drop(running);
        Some(DownloadPermit { downloads: self.clone(), progress })
    }
}

impl Progress {
    /// Returns how many bytes per second have been handed out. `None` if it is too early to tell.
    fn rate(&self, now: Instant) -> Option<u64> {
        let time = now.saturating_duration_since(self.begin);
        (time >= GRACE).then(|| self.bytes.load(Ordering::Relaxed) / time.as_secs().max(1))
    }

    fn evict(&self) {
        self.is_evicted.store(true, Ordering::Release);
        lock(&self.waker).take().into_iter().for_each(Waker::wake);
    }
}

impl DownloadPermit {
    /// Counts bytes that are handed out.
    pub(super) fn add(&self, bytes: usize) {
        self.progress.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Ready when the download has to end.
    pub(crate) fn poll_evicted(&self, cx: &Context<'_>) -> Poll<()> {
        // First the waker, so that it is woken if it is evicted now.
        lock(&self.progress.waker).replace(cx.waker().clone());
        if self.progress.is_evicted.load(Ordering::Acquire) { Poll::Ready(()) } else { Poll::Pending }
    }
}

impl Drop for DownloadPermit {
    fn drop(&mut self) {
        lock(&self.downloads.0.running).retain(|progress| !Arc::ptr_eq(progress, &self.progress));
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_evicted(permit: &DownloadPermit) -> bool {
        permit.poll_evicted(&Context::from_waker(Waker::noop())).is_ready()
    }

    #[test]
    fn the_slowest_download_ends_for_a_new_one_unless_it_is_fast_or_has_just_begun() {
        let begin = Instant::now();
        let downloads = Downloads::new(3);
        let [slow, slowest, fast] = [10 << 10, 1 << 10, 1 << 20].map(|bytes| {
            let permit = downloads.take(begin).unwrap();
            permit.add(bytes);
            permit
        });
        assert!(downloads.take(begin + GRACE / 2).is_none(), "it is too early to tell");
        let all = || [&slow, &slowest, &fast].map(is_evicted);
        assert_eq!(all(), [false; 3]);
        let now = begin + GRACE;
        let fourth = downloads.take(now).unwrap();
        assert_eq!(all(), [false, true, false]);
        let fifth = downloads.take(now).unwrap();
        assert_eq!(all(), [true, true, false]);
        assert!(downloads.take(now).is_none());
        drop(fourth);
        let sixth = downloads.take(now).unwrap();
        assert!(!is_evicted(&fifth) && !is_evicted(&sixth));
        drop((slow, slowest, fast, fifth, sixth));
        assert!(lock(&downloads.0.running).is_empty());
        assert!(Downloads::new(0).take(begin).is_none());
    }
}
