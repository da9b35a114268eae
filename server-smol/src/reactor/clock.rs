use std::{
    cell::Cell,
    fmt,
    sync::{Arc, Mutex, PoisonError},
    task::Waker,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

/// The clock of a thread. It is read at most once in a pass of the event loop, so all events of a pass have
/// the same time.
#[derive(Debug)]
pub(crate) struct Clock {
    source: ClockSource,
    now: Cell<Option<Instant>>,
    unix_ms: Cell<Option<u64>>,
}

/// The source of the time.
#[derive(Debug, Clone, Default)]
pub(crate) enum ClockSource {
    /// The system's clocks.
    #[default]
    System,
    /// A clock that stands still until a test moves it.
    Virtual(VirtualClock),
}

/// A clock for tests. All its clones are the same clock, which stands still until it is
/// [moved](Self::advance).
#[derive(Clone)]
pub struct VirtualClock(Arc<Mutex<Virtual>>);

struct Virtual {
    /// The time at which it was made, by the system's clock.
    begin: Instant,
    begin_unix_ms: u64,
    elapsed: Duration,
    /// Wakes the threads that use it.
    wakers: Vec<Waker>,
}

impl Clock {
    pub(crate) fn new(source: ClockSource) -> Self {
        Self { source, now: Cell::new(None), unix_ms: Cell::new(None) }
    }

    /// Returns the time of this pass.
    pub(crate) fn now(&self) -> Instant {
        if let Some(now) = self.now.get() {
            return now;
        }
        let now = self.source.now();
        self.now.set(Some(now));
        now
    }

    /// Returns the time of this pass in milliseconds since the Unix epoch.
    pub(crate) fn unix_ms(&self) -> u64 {
        if let Some(now) = self.unix_ms.get() {
            return now;
        }
        let now = self.source.unix_ms();
        self.unix_ms.set(Some(now));
        now
    }

    /// Begins a pass: the time is read again.
    pub(crate) fn begin_pass(&self) {
        self.now.set(None);
        self.unix_ms.set(None);
    }

    /// Returns true if this is a clock that stands still until a test moves it.
    pub(super) fn is_virtual(&self) -> bool {
        matches!(self.source, ClockSource::Virtual(_))
    }

    /// Returns true if a virtual clock was moved after it was read in this pass. Then timers may be due that
    /// this pass has not fired.
    pub(super) fn has_moved(&self) -> bool {
        self.is_virtual() && self.now.get().is_some_and(|now| now != self.source.now())
    }

    /// Wakes `waker` each time a test moves the clock.
    pub(super) fn wake_when_moved(&self, waker: Waker) {
        if let ClockSource::Virtual(clock) = &self.source {
            clock.lock(|clock| clock.wakers.push(waker));
        }
    }
}

impl ClockSource {
    fn now(&self) -> Instant {
        match self {
            Self::System => Instant::now(),
            Self::Virtual(clock) => clock.lock(|clock| clock.begin + clock.elapsed),
        }
    }

    fn unix_ms(&self) -> u64 {
        match self {
            Self::System => system_unix_ms(),
            Self::Virtual(clock) => clock.lock(|clock| {
                clock.begin_unix_ms + u64::try_from(clock.elapsed.as_millis()).unwrap_or(u64::MAX / 2)
            }),
        }
    }
}

fn system_unix_ms() -> u64 {
    // A clock that shows a time before 1970 was not set.
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_millis()).unwrap_or(u64::MAX)
}

impl VirtualClock {
    /// Creates a clock that shows the present time, and stands still.
    #[must_use]
    pub fn new() -> Self {
        Self(Arc::new(Mutex::new(Virtual {
            begin: Instant::now(),
            begin_unix_ms: system_unix_ms(),
            elapsed: Duration::ZERO,
            wakers: Vec::new(),
        })))
    }

    /// Moves the clock. Timers that are due then fire.
    pub fn advance(&self, by: Duration) {
        let wakers = self.lock(|clock| {
            clock.elapsed = clock.elapsed.saturating_add(by);
            clock.wakers.clone()
        });
        wakers.into_iter().for_each(Waker::wake);
    }

    fn lock<T>(&self, with: impl FnOnce(&mut Virtual) -> T) -> T {
        with(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Default for VirtualClock {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for VirtualClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.lock(|clock| f.debug_tuple("VirtualClock").field(&clock.elapsed).finish())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_virtual_clock_stands_still_until_it_is_moved() {
        let virtual_clock = VirtualClock::new();
        let clock = Clock::new(ClockSource::Virtual(virtual_clock.clone()));
        let (begin, begin_ms) = (clock.now(), clock.unix_ms());
        assert!(!clock.has_moved());
        virtual_clock.advance(Duration::from_secs(3_600));
        assert!(clock.has_moved());
        assert_eq!((clock.now(), clock.unix_ms()), (begin, begin_ms), "the pass is not over");
        clock.begin_pass();
        assert!(!clock.has_moved());
        assert_eq!(clock.now() - begin, Duration::from_secs(3_600));
        assert_eq!(clock.unix_ms() - begin_ms, 3_600_000);
    }
}
