use std::time::Duration;

/// The latency of the answers that were due in some time.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Latency {
    pub(crate) count: usize,
    /// The number of answers that have not come at all. Each counts with the time that it was waited for.
    pub(crate) lost: usize,
    pub(crate) p50: Duration,
    pub(crate) p99: Duration,
    pub(crate) longest: Duration,
}

impl Latency {
    /// Computes the latency from all answers: how long each took, or was waited for, and whether it came.
    pub(crate) fn of(mut answers: Vec<(Duration, bool)>) -> Self {
        answers.sort_unstable();
        let part = |part: usize| {
            let index = (answers.len() * part / 100).min(answers.len().saturating_sub(1));
            answers.get(index).map(|(took, _)| *took).unwrap_or_default()
        };
        Self {
            count: answers.len(),
            lost: answers.iter().filter(|(_, came)| !came).count(),
            p50: part(50),
            p99: part(99),
            longest: part(100),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_in_a_hundred_is_longer_than_p99() {
        let answers = (1..=200).rev().map(|ms| (Duration::from_millis(ms), ms != 200)).collect();
        let Latency { count, lost, p50, p99, longest } = Latency::of(answers);
        assert_eq!((count, lost), (200, 1));
        assert_eq!([p50, p99, longest].map(|took| took.as_millis()), [101, 199, 200]);
        assert_eq!(Latency::of(Vec::new()), Latency::default());
    }
}
