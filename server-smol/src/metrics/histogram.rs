use std::{cell::Cell, ops::AddAssign, time::Duration};

/// The number of buckets.
const BUCKETS: usize = 18;

/// The bounds of the buckets are powers of four, from this one on.
const FIRST_BITS: u32 = 4;

/// Counts numbers by their size.
#[derive(Debug, Default)]
pub(crate) struct Histogram {
    /// The number of those that are up to the bound of a bucket, and beyond that of the one before. The last bucket has no bound.
    buckets: [Cell<u64>; BUCKETS],
    sum: Cell<u64>,
}

impl Histogram {
    /// Adds a time in nanoseconds.
    pub(crate) fn add_time(&self, time: Duration) {
        self.add(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX));
    }

    pub(super) fn add(&self, number: u64) {
        // The bits of the largest number in the bucket of this one.
        let bits = u64::BITS - number.saturating_sub(1).leading_zeros();
        let index = (bits.saturating_sub(FIRST_BITS) as usize).div_ceil(2);
        let bucket = &self.buckets[index.min(BUCKETS - 1)];
        bucket.set(bucket.get() + 1);
        self.sum.set(self.sum.get().wrapping_add(number));
    }

    pub(crate) fn distribution(&self) -> Distribution {
        Distribution { buckets: self.buckets.each_ref().map(Cell::get), sum: self.sum.get() }
    }
}

/// The state of a histogram.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Distribution {
    buckets: [u64; BUCKETS],
    sum: u64,
}

impl Distribution {
    /// Returns for each bucket its bound, and how many numbers are up to that. The last one has no bound.
    pub(crate) fn cumulative(&self) -> impl Iterator<Item = (Option<u64>, u64)> {
        let mut sum = 0;
        self.buckets.iter().enumerate().map(move |(index, count)| {
            sum += count;
            let bound = 1 << (FIRST_BITS as usize + 2 * index);
            ((index + 1 < BUCKETS).then_some(bound), sum)
        })
    }

    /// Returns how many numbers there are.
    pub(crate) fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }

    pub(crate) fn sum(&self) -> u64 {
        self.sum
    }
}

impl AddAssign for Distribution {
    fn add_assign(&mut self, other: Self) {
        self.buckets.iter_mut().zip(other.buckets).for_each(|(bucket, other)| *bucket += other);
        self.sum = self.sum.wrapping_add(other.sum);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_up_to_the_bound_of_its_bucket_and_beyond_the_one_before() {
        for number in [0, 1, 15, 16, 17, 63, 64, 65, 1 << 20, (1 << 20) + 1, 1 << 36, (1 << 36) + 1, u64::MAX]
        {
            let histogram = Histogram::default();
            histogram.add(number);
            let distribution = histogram.distribution();
            for (bound, count) in distribution.cumulative() {
                let is_in = bound.is_none_or(|bound| number <= bound);
                assert_eq!(count, u64::from(is_in), "{number} in the bucket up to {bound:?}");
            }
            assert_eq!((distribution.count(), distribution.sum()), (1, number));
        }
    }
}
