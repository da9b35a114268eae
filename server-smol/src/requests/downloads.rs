use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

/// The time over which it is judged whether a download is slow.
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
    running: Mutex<Vec<Running>>,
}

#[derive(Debug)]
struct Running {
    progress: Arc<Progress>,
    /// A time, and the number of bytes that had been handed out then. At first the system takes some megabytes at once, whether
    /// the client reads them or not.
    mark: (Instant, u64),
}

#[derive(Debug, Default)]
struct Progress {
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
        let mut all = lock(&self.0.running);
        if all.len() >= self.0.most {
            let rates = all.iter_mut().enumerate().filter_map(|(index, one)| Some((one.rate(now)?, index)));
            let (_, slowest) = rates.filter(|(rate, _)| *rate < SLOW).min()?;
            all.swap_remove(slowest).progress.evict();
        }
        let progress = Arc::<Progress>::default();
        all.push(Running { progress: Arc::clone(&progress), mark: (now, 0) });
        drop(all);
        Some(DownloadPermit { downloads: self.clone(), progress })
    }
}

impl Running {
    /// Returns how many bytes per second have been handed out since the mark, and sets the mark anew unless that was slow.
    /// `None` if it is too early to tell.
    fn rate(&mut self, now: Instant) -> Option<u64> {
        let (since, before) = self.mark;
        let time = now.saturating_duration_since(since);
        if time < GRACE {
            return None;
        }
        let bytes = self.progress.bytes.load(Ordering::Relaxed);
        let rate = (bytes - before) / time.as_secs().max(1);
        if rate >= SLOW {
            self.mark = (now, bytes);
        }
        Some(rate)
    }
}

impl Progress {
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
        lock(&self.downloads.0.running).retain(|one| !Arc::ptr_eq(&one.progress, &self.progress));
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
        let permits = [10 << 10, 1 << 10, 1 << 20].map(|bytes| {
            let permit = downloads.take(begin).unwrap();
            permit.add(bytes);
            permit
        });
        let evicted = || permits.each_ref().map(is_evicted);
        assert!(downloads.take(begin + GRACE / 2).is_none(), "it is too early to tell");
        assert_eq!(evicted(), [false; 3]);
        let fourth = downloads.take(begin + GRACE).unwrap();
        assert_eq!(evicted(), [false, true, false]);
        let fifth = downloads.take(begin + GRACE).unwrap();
        assert_eq!(evicted(), [true, true, false], "the next one need not wait");
        assert!(
            downloads.take(begin + GRACE).is_none(),
            "the third one is not slow, and the others have just begun"
        );
        drop(fourth);
        let fourth = downloads.take(begin + GRACE).unwrap();
        fourth.add(1 << 20);
        fifth.add(1 << 20);
        // The third one has had nothing since, however much it had before.
        let sixth = downloads.take(begin + 2 * GRACE).unwrap();
        assert_eq!(evicted(), [true; 3]);
        drop((permits, fourth, fifth, sixth));
        assert!(lock(&downloads.0.running).is_empty());
        assert!(Downloads::new(0).take(begin).is_none());
    }
}
