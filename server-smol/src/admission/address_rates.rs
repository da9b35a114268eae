use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use crate::subnet::Subnet;

use super::{Rate, TooFast};

/// The maximum number of addresses that are kept. Beyond that, new ones share a bucket.
const MOST: usize = 16_384;

/// The time between two searches for addresses that need not be kept.
const SWEEP: Duration = Duration::from_secs(1);

/// Limits how often something happens from each address: a token bucket for each. A full bucket is not stored.
#[derive(Debug)]
pub(super) struct AddressRates {
    /// Nothing if there is no limit.
    rate: Option<Rate>,
    buckets: Mutex<Buckets>,
}

#[derive(Debug, Default)]
struct Buckets {
    full_at: HashMap<Option<Subnet>, Instant>,
    swept: Option<Instant>,
}

impl AddressRates {
    /// Allows it so often a second and address; 0 is no limit.
    pub(super) fn new(rate: u32) -> Self {
        Self { rate: Rate::new(rate), buckets: Mutex::default() }
    }

    /// Takes note that it is about to happen.
    ///
    /// # Errors
    /// It may not happen now.
    pub(super) fn take(&self, subnet: Subnet, now: Instant) -> Result<(), TooFast> {
        let Some(rate) = self.rate else { return Ok(()) };
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let key = buckets.key(subnet, now);
        let full_at = buckets.full_at.get(&key).copied().unwrap_or(now);
        let full_at = rate.take(full_at, 1, now)?;
        buckets.full_at.insert(key, full_at);
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
    fn each_address_has_a_rate_and_bursts() {
        let (rates, begin) = (AddressRates::new(100), Instant::now());
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
        let rates = AddressRates::new(0);
        assert!((0..100_000).all(|_| rates.take(subnet(1), Instant::now()).is_ok()));
    }

    #[test]
    fn addresses_are_forgotten_when_their_buckets_are_full_and_share_one_where_there_are_too_many() {
        let (rates, begin) = (AddressRates::new(1), Instant::now());
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
