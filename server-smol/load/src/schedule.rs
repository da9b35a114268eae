/// The times at which messages are due, at a fixed rate of all senders together. The first message of each
/// sender is due before the second of each. All times are in nanoseconds since the beginning.
#[derive(Debug)]
pub(crate) struct Schedule {
    senders: usize,
    nanoseconds: f64,
    /// The number of messages that have been due.
    due: u64,
}

impl Schedule {
    /// Creates a schedule for this number of messages a second.
    pub(crate) fn new(rate: u64, senders: usize) -> Self {
        Self { senders, nanoseconds: 1e9 / rate as f64, due: 0 }
    }

    /// Returns the time at which a sender's message with this number is due.
    pub(crate) fn time(&self, sender: usize, number: u32) -> u64 {
        self.at(u64::from(number) * self.senders as u64 + sender as u64)
    }

    fn at(&self, index: u64) -> u64 {
        (index as f64 * self.nanoseconds) as u64
    }

    /// Returns the time at which the next message is due.
    pub(crate) fn next(&self) -> u64 {
        self.at(self.due)
    }

    /// Returns a sender whose message is due by `now`, each message once.
    pub(crate) fn pop(&mut self, now: u64) -> Option<usize> {
        if self.next() > now {
            return None;
        }
        let sender = (self.due % self.senders as u64) as usize;
        self.due += 1;
        Some(sender)
    }

    /// Returns how many messages have been due so far.
    pub(crate) fn due(&self) -> u64 {
        self.due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn senders_take_turns_at_the_rate() {
        let mut schedule = Schedule::new(1_000, 3);
        assert_eq!((schedule.pop(0), schedule.pop(0), schedule.next()), (Some(0), None, 1_000_000));
        let mut due = Vec::new();
        while let Some(sender) = schedule.pop(4_000_000) {
            due.push(sender);
        }
        assert_eq!(due, [1, 2, 0, 1]);
        assert_eq!(schedule.due(), 5);
        assert_eq!(schedule.time(1, 1), 4_000_000);
        assert_eq!(Schedule::new(3, 1).time(0, 3_000_000), 1_000_000_000_000_000);
    }
}
