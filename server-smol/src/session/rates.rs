use std::{
    cell::Cell,
    time::{Duration, Instant},
};

use crate::{
    admission::{Rate, TooFast},
    settings::Settings,
};

/// The limits on how fast a client may send on its connection.
#[derive(Debug)]
pub(super) struct Rates {
    messages: Option<Bucket>,
    bytes: Option<Bucket>,
    /// The time from which on the server has not read, if it does not.
    unread_since: Cell<Option<Instant>>,
}

#[derive(Debug)]
struct Bucket {
    rate: Rate,
    full_at: Cell<Instant>,
    /// The time of tokens that the bucket has beyond a burst, because the server did not read.
    credit: Cell<Duration>,
}

impl Rates {
    /// Returns the rates of a connection that begins now. Returns `None` if there is no limit.
    pub(super) fn new(settings: &Settings, now: Instant) -> Option<Self> {
        let bucket = |rate| Bucket { rate, full_at: Cell::new(now), credit: Cell::default() };
        // A client can send each message that is not too large, and has begun the next one when that is read.
        let largest = settings.message_size.saturating_mul(2);
        let messages = Rate::new(settings.message_rate).map(bucket);
        let bytes = Rate::new(settings.byte_rate).map(|rate| bucket(rate.with_burst(largest)));
        let is_limited = messages.is_some() || bytes.is_some();
        is_limited.then(|| Self { messages, bytes, unread_since: Cell::default() })
    }

    /// Counts a message or a ping. Returns false if it is one too many.
    pub(super) fn take_message(&self, now: Instant) -> bool {
        self.messages.as_ref().is_none_or(|bucket| bucket.take(1, now).is_some())
    }

    /// Counts bytes. Returns false if they are too many.
    pub(super) fn take_bytes(&self, number: usize, now: Instant) -> bool {
        self.bytes.as_ref().is_none_or(|bucket| bucket.take(number, now).is_some())
    }

    /// Notes that the server does not read for a while.
    pub(super) fn pause(&self, now: Instant) {
        if self.unread_since.get().is_none() {
            self.unread_since.set(Some(now));
        }
    }

    /// Notes that the server reads again. What comes at once may have been sent at any time since the [pause](Self::pause), so the
    /// tokens that came when a bucket was full are not lost.
    pub(super) fn resume(&self, now: Instant) {
        let Some(since) = self.unread_since.take() else { return };
        for Bucket { full_at, credit, .. } in [&self.messages, &self.bytes].into_iter().flatten() {
            let lost = now.saturating_duration_since(full_at.get().max(since));
            credit.update(|left| left.max(lost));
        }
    }
}

impl Bucket {
    /// Takes tokens out of the bucket. Returns `None` if they are not there.
    fn take(&self, number: usize, now: Instant) -> Option<()> {
        match self.rate.take(self.full_at.get(), number, now) {
            Ok(full_at) => self.full_at.set(full_at),
            // The rest is taken from the credit.
            Err(TooFast { wait }) => {
                self.credit.set(self.credit.get().checked_sub(wait)?);
                self.full_at.set(self.rate.full_after(now));
            }
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rates(message_rate: u32, byte_rate: u32) -> Rates {
        let settings = Settings { message_rate, byte_rate, message_size: 1_000, ..Settings::default() };
        Rates::new(&settings, Instant::now()).unwrap()
    }

    /// Returns how many messages a client can send at once.
    fn count(rates: &Rates, now: Instant) -> usize {
        (0..10_000).take_while(|_| rates.take_message(now)).count()
    }

    #[test]
    fn without_limits_nothing_is_counted() {
        assert!(Rates::new(&Settings::default(), Instant::now()).is_none());
        let (bytes, now) = (rates(0, 1), Instant::now());
        assert_eq!(count(&bytes, now), 10_000);
        assert!(bytes.take_bytes(2_000, now), "the largest message, and another one");
        assert!(!bytes.take_bytes(1, now));
        assert!(rates(1, 0).take_bytes(usize::MAX, now));
    }

    #[test]
    fn what_comes_late_because_the_server_did_not_read_is_not_too_fast() {
        let (rates, begin) = (rates(10, 0), Instant::now());
        let at = |seconds| begin + Duration::from_secs(seconds);
        assert_eq!(count(&rates, at(1)), 100);
        rates.pause(at(1));
        rates.pause(at(20));
        rates.resume(at(31));
        // All that may have been sent in half a minute, of which a burst is a part.
        assert_eq!(count(&rates, at(31)), 300);
        assert!(!rates.take_message(at(31)));
        rates.resume(at(100));
        assert_eq!(count(&rates, at(100)), 100, "it has read since");
    }
}
