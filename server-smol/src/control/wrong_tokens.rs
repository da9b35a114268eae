use std::{
    cell::Cell,
    time::{Duration, Instant},
};

/// The requests that had a wrong operator's token. Somebody may be guessing.
#[derive(Debug, Default, Clone)]
pub(crate) struct WrongTokens {
    /// The number of all of them.
    #[cfg(feature = "metrics")]
    all: Cell<u64>,
    /// The number of those that the log does not have.
    unlogged: Cell<u32>,
    logged_at: Cell<Option<Instant>>,
}

/// The least time between two lines of the log.
const BETWEEN: Duration = Duration::from_secs(60);

impl WrongTokens {
    /// Counts one more. Returns how many a line of the log is to tell of, if it is time for one.
    pub(super) fn count(&self, now: Instant) -> Option<u32> {
        #[cfg(feature = "metrics")]
        self.all.set(self.all.get() + 1);
        self.unlogged.set(self.unlogged.get().saturating_add(1));
        if self.logged_at.get().is_some_and(|logged_at| now - logged_at < BETWEEN) {
            return None;
        }
        self.logged_at.set(Some(now));
        Some(self.unlogged.take())
    }

    /// Returns the number of all of them since the start.
    #[cfg(feature = "metrics")]
    pub(super) fn all(&self) -> u64 {
        self.all.get()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_is_told_and_the_others_together_after_a_minute() {
        let (wrong, begin) = (WrongTokens::default(), Instant::now());
        let after = |seconds| wrong.count(begin + Duration::from_secs(seconds));
        assert_eq!(
            [after(0), after(1), after(59), after(60), after(61)],
            [Some(1), None, None, Some(3), None]
        );
    }
}
