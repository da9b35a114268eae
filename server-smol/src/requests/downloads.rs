use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
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
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    running: BTreeMap<u64, Progress>,
    last_key: u64,
}

#[derive(Debug)]
struct Progress {
    begin: Instant,
    /// The number of bytes that have been handed out.
    bytes: u64,
    /// The waker of the connection's task.
    waker: Option<Waker>,
}

/// The permission for a download.
#[derive(Debug)]
pub(crate) struct DownloadPermit {
    downloads: Downloads,
    /// Its key among the running downloads. It is not among them if it has to end.
    key: u64,
}

impl Downloads {
    pub(crate) fn new(most: usize) -> Self {
        Self(Arc::new(Shared { most, state: Mutex::default() }))
    }

    /// Takes a permit. If all are taken, a slow download ends; returns nothing if none is slow.
    pub(crate) fn take(&self, now: Instant) -> Option<DownloadPermit> {
        let mut state = self.state();
        if state.running.len() >= self.0.most {
            let rates = state.running.iter().filter_map(|(key, progress)| Some((progress.rate(now)?, *key)));
            let (_, slowest) = rates.filter(|(rate, _)| *rate < SLOW).min()?;
            let progress = state.running.remove(&slowest)?;
            progress.waker.into_iter().for_each(Waker::wake);
        }
        state.last_key += 1;
        let key = state.last_key;
        state.running.insert(key, Progress { begin: now, bytes: 0, waker: None });
        drop(state);
        Some(DownloadPermit { downloads: self.clone(), key })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Progress {
    /// Returns how many bytes per second have been handed out. `None` if it is too early to tell.
    fn rate(&self, now: Instant) -> Option<u64> {
        let time = now.saturating_duration_since(self.begin);
        (time >= GRACE).then(|| self.bytes / time.as_secs().max(1))
    }
}

impl DownloadPermit {
    /// Counts bytes that are handed out.
    pub(super) fn add(&self, bytes: usize) {
        if let Some(progress) = self.downloads.state().running.get_mut(&self.key) {
            progress.bytes += bytes as u64;
        }
    }

    /// Ready when the download has to end.
    pub(crate) fn poll_evicted(&self, cx: &Context<'_>) -> Poll<()> {
        match self.downloads.state().running.get_mut(&self.key) {
            None => Poll::Ready(()),
            Some(progress) => {
                progress.waker = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }
}

impl Drop for DownloadPermit {
    fn drop(&mut self) {
        self.downloads.state().running.remove(&self.key);
    }
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
        assert!(downloads.state().running.is_empty());
        assert!(Downloads::new(0).take(begin).is_none());
    }
}
