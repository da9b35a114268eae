use std::{fmt, time::Duration};

/// The number of bits of a value that are kept: it is wrong by 1 part in 128 at most.
const BITS: u32 = 7;
const STEPS: usize = 1 << BITS;

/// The distribution of times, from nanoseconds to centuries, in 58 KB. Each power of two has the same number
/// of steps.
#[derive(Clone)]
pub(crate) struct Histogram {
    counts: Box<[u64]>,
    count: u64,
    most: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        let counts = vec![0; step(u64::MAX) + 1].into_boxed_slice();
        Self { counts, count: 0, most: 0 }
    }
}

impl fmt::Debug for Histogram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Histogram")
            .field("count", &self.count)
            .field("most", &self.most)
            .finish_non_exhaustive()
    }
}

/// Returns the bucket that a value is counted in.
fn step(nanoseconds: u64) -> usize {
    // All values below 2 * STEPS have a step of their own.
    let shift = (u64::BITS - nanoseconds.leading_zeros()).saturating_sub(BITS + 1);
    shift as usize * STEPS + (nanoseconds >> shift) as usize
}

/// Returns the largest value that is counted in a bucket.
fn top(step: usize) -> u64 {
    let shift = (step / STEPS).saturating_sub(1);
    let first = (step - shift * STEPS) as u64;
    (first << shift) + ((1 << shift) - 1)
}

impl Histogram {
    pub(crate) fn record(&mut self, nanoseconds: u64) {
        self.counts[step(nanoseconds)] += 1;
        self.count += 1;
        self.most = self.most.max(nanoseconds);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Returns the time that this number of values in a thousand do not exceed.
    pub(crate) fn quantile(&self, thousandths: u64) -> Duration {
        let rank = (u128::from(self.count) * u128::from(thousandths)).div_ceil(1000);
        let rank = u64::try_from(rank).unwrap_or(u64::MAX).max(1);
        let mut seen = 0;
        let found = self.counts.iter().position(|count| {
            seen += count;
            seen >= rank
        });
        Duration::from_nanos(found.map_or(self.most, top).min(self.most))
    }

    pub(crate) fn most(&self) -> Duration {
        Duration::from_nanos(self.most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_follow_one_another_and_cover_everything() {
        let last = step(u64::MAX);
        assert_eq!(step(0), 0);
        assert_eq!(top(last), u64::MAX);
        for index in 0..last {
            let end = top(index);
            assert_eq!((step(end), step(end + 1)), (index, index + 1));
        }
    }

    #[test]
    fn quantiles_are_exact_to_one_part_in_128() {
        let mut histogram = Histogram::default();
        (1..=100_000).for_each(|value| histogram.record(value * 1_000));
        for (thousandths, expected) in [(500, 50_000_000.0), (990, 99_000_000.0), (999, 99_900_000.0)] {
            let found = histogram.quantile(thousandths).as_nanos() as f64;
            assert!(found >= expected && found <= expected * (1.0 + 1.0 / 128.0), "{thousandths}: {found}");
        }
        assert_eq!(histogram.quantile(1000), Duration::from_millis(100));
        assert_eq!(histogram.most(), Duration::from_millis(100));
    }

    #[test]
    fn few_values_have_quantiles_too() {
        let mut histogram = Histogram::default();
        assert!(histogram.is_empty());
        assert_eq!(histogram.quantile(990), Duration::ZERO);
        histogram.record(17);
        for thousandths in [0, 1, 500, 1000] {
            assert_eq!(histogram.quantile(thousandths), Duration::from_nanos(17));
        }
        histogram.record(1_000_000);
        assert_eq!(histogram.quantile(500), Duration::from_nanos(17));
        assert_eq!(histogram.quantile(501), Duration::from_millis(1));
    }
}
