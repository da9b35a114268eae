use std::{
    num::NonZeroU64,
    time::{Duration, Instant},
};

/// The size of a burst, as the time in which that much becomes allowed.
const BURST: Duration = Duration::from_secs(10);

/// The number of things that may happen in a second, and at once: the rule of token buckets. A bucket is stored as the time at which it will be
/// full.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rate {
    per_second: NonZeroU64,
    burst: Duration,
}

/// Something happens too fast.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TooFast {
    /// The time until it may happen.
    pub(crate) wait: Duration,
}

impl Rate {
    /// Allows so much a second, and ten times as much at once. Returns `None` for 0, which is no limit.
    pub(crate) fn new(per_second: u32) -> Option<Self> {
        NonZeroU64::new(per_second.into()).map(|per_second| Self { per_second, burst: BURST })
    }

    /// Allows at least so much at once.
    pub(crate) fn with_burst(self, least: usize) -> Self {
        Self { burst: self.burst.max(self.time_for(least)), ..self }
    }

    /// Takes so many tokens out of a bucket that will be full at `full_at`. Returns the time at which it will be full then.
    ///
    /// # Errors
    /// There are not so many in it.
    pub(crate) fn take(&self, full_at: Instant, number: usize, now: Instant) -> Result<Instant, TooFast> {
        let full_at = full_at.max(now) + self.time_for(number);
        let wait = full_at.duration_since(now).saturating_sub(self.burst);
        if wait.is_zero() { Ok(full_at) } else { Err(TooFast { wait }) }
    }

    /// Returns the time at which a bucket that is empty now will be full.
    pub(crate) fn full_after(&self, now: Instant) -> Instant {
        now + self.burst
    }

    /// Returns the time in which so many tokens come.
    fn time_for(&self, number: usize) -> Duration {
        // It is too long only for numbers that no memory holds.
        let nanos = (number as u64).saturating_mul(1_000_000_000) / self.per_second;
        Duration::from_nanos(nanos)
    }
}

impl TooFast {
    /// Returns the time until it may happen in seconds, rounded up: it is never zero.
    pub(crate) fn seconds(self) -> u64 {
        self.wait.as_secs() + u64::from(self.wait.subsec_nanos() > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_fills_at_its_rate_up_to_a_burst() {
        let (rate, begin) = (Rate::new(100).unwrap(), Instant::now());
        let at = |ms| begin + Duration::from_millis(ms);
        let full_at = rate.take(begin, 1_000, at(0)).unwrap();
        assert_eq!(rate.take(full_at, 1, at(0)), Err(TooFast { wait: Duration::from_millis(10) }));
        assert_eq!(rate.take(full_at, 101, at(1_000)), Err(TooFast { wait: Duration::from_millis(10) }));
        assert_eq!(rate.take(full_at, 100, at(1_000)), Ok(at(11_000)));
        assert!(rate.take(full_at, 1_001, at(3_600_000)).is_err(), "it holds no more than a burst");
        assert!(rate.take(full_at, 1_000, at(3_600_000)).is_ok());
        assert_eq!(TooFast { wait: Duration::from_millis(10) }.seconds(), 1);
    }

    #[test]
    fn extreme_rates_neither_overflow_nor_stop() {
        let now = Instant::now();
        assert!(Rate::new(0).is_none());
        assert!(Rate::new(u32::MAX).unwrap().take(now, 4 << 30, now).is_ok());
        assert!(Rate::new(1).unwrap().take(now, usize::MAX, now).is_err());
        let slow = Rate::new(1).unwrap().with_burst(4 << 20);
        assert!(slow.take(now, 4 << 20, now).is_ok() && slow.take(now, (4 << 20) + 1, now).is_err());
        assert!(
            Rate::new(1).unwrap().with_burst(3).take(now, 10, now).is_ok(),
            "a burst is ten times the rate"
        );
    }
}
