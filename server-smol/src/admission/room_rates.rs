use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use super::Subnet;

/// The size of a burst, as the time in which that many rooms become allowed.
const BURST: Duration = Duration::from_secs(10);

/// The maximum number of addresses that are kept. Beyond that, new ones share a bucket.
const MOST: usize = 16_384;

/// The time between two searches for addresses that need not be kept.
const SWEEP: Duration = Duration::from_secs(1);

/// Limits how fast rooms are created from each address: a token bucket for each.
///
/// A bucket is stored as the time at which it will be full. A full bucket is not stored.
#[derive(Debug)]
pub(super) struct RoomRates {
    /// The time until there is a token for another room; nothing if there is no limit.
    interval: Option<Duration>,
    buckets: Mutex<Buckets>,
}

#[derive(Debug, Default)]
struct Buckets {
    full_at: HashMap<Option<Subnet>, Instant>,
    swept: Option<Instant>,
}

/// Rooms are created too fast from an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TooFast {
    /// The time until another room may be created.
    pub(crate) wait: Duration,
}

impl RoomRates {
    /// So many rooms a second and address; no limit where it is 0.
    pub(super) fn new(rate: u32) -> Self {
        let interval = (rate > 0).then(|| Duration::from_secs(1) / rate);
        Self { interval, buckets: Mutex::default() }
    }

    /// Takes note of a room that is about to be created.
    ///
    /// # Errors
    /// It may not be created now.
    pub(super) fn take(&self, subnet: Subnet, now: Instant) -> Result<(), TooFast> {
        let Some(interval) = self.interval else { return Ok(()) };
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let key = buckets.key(subnet, now);
        let full_at = buckets.full_at.get(&key).map_or(now, |full_at| (*full_at).max(now));
        let next = full_at + interval;
        let wait = next.duration_since(now).saturating_sub(BURST);
        if !wait.is_zero() {
            return Err(TooFast { wait });
        }
        buckets.full_at.insert(key, next);
        Ok(())
    }
}

impl Buckets {
    /// Returns the key of the bucket that an address takes from.
    fn key(&mut self, subnet: Subnet, now: Instant) -> Option<Subnet> {
        let own = Some(subnet);
        if self.full_at.len() < MOST || self.full_at.contains_key(&own) {
            return own;
        }
        if self.swept.is_none_or(|swept| now.saturating_duration_since(swept) >= SWEEP) {
            self.swept = Some(now);
            self.full_at.retain(|_, full_at| *full_at > now);
        }
        own.filter(|_| self.full_at.len() < MOST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subnet(number: u32) -> Subnet {
        Subnet::of(number.to_be_bytes().into())
    }

    #[test]
    fn rooms_are_created_at_a_rate_and_in_bursts() {
        let (rates, begin) = (RoomRates::new(100), Instant::now());
        let at = |ms| begin + Duration::from_millis(ms);
        let count = |ms| (0..2_000).take_while(|_| rates.take(subnet(1), at(ms)).is_ok()).count();
        assert_eq!(count(0), 1_000);
        assert_eq!(rates.take(subnet(1), at(0)), Err(TooFast { wait: Duration::from_millis(10) }));
        assert_eq!(rates.take(subnet(2), at(0)), Ok(()));
        assert_eq!(count(10), 1);
        assert_eq!(count(1_010), 100);
        assert_eq!(count(60_000), 1_000);
    }

    #[test]
    fn there_is_no_limit_at_a_rate_of_zero() {
        let rates = RoomRates::new(0);
        assert!((0..100_000).all(|_| rates.take(subnet(1), Instant::now()).is_ok()));
    }

    #[test]
    fn addresses_are_forgotten_when_their_buckets_are_full_and_share_one_where_there_are_too_many() {
        let (rates, begin) = (RoomRates::new(1), Instant::now());
        let kept = || rates.buckets.lock().unwrap().full_at.len();
        let most = u32::try_from(MOST).unwrap();
        for number in 0..most {
            assert_eq!(rates.take(subnet(number), begin), Ok(()));
        }
        let late = |number, seconds| rates.take(subnet(most + number), begin + Duration::from_secs(seconds));
        for number in 0..10 {
            assert_eq!(late(number, 0), Ok(()));
        }
        assert!(late(10, 0).is_err(), "they share a bucket");
        assert_eq!(rates.take(subnet(0), begin), Ok(()), "who was there before has its own");
        assert_eq!(kept(), MOST + 1);
        assert_eq!(late(10, 1), Ok(()));
        assert_eq!(kept(), 3, "subnet 0, the shared bucket and the last one are not full");
    }
}
