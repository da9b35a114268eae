use std::time::Duration;

use crate::sample::Sample;

/// The growth that is no leak: an allocator does not give back everything at once, and how much slow readers hold varies from one moment
/// to the next. It is a part of the memory, in per cent, and in bytes what a few hundred clients hold.
const PERCENT: u64 = 5;
const BYTES: u64 = 3 << 20;

/// The counted memory of the buffers that threads keep for the next messages: at most 64 for each of two threads, and hardly one is larger
/// than 2 KiB.
const SPARE: u64 = 2 * 64 * (2 << 10);

/// The memory of a third of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Third {
    /// The medians.
    pub(crate) resident: u64,
    pub(crate) memory: u64,
}

impl Third {
    /// Returns the medians of the second and the last third of a run. The first third is the warm-up.
    pub(crate) fn of(samples: &[Sample], time: Duration) -> [Self; 2] {
        [1, 2].map(|third| {
            let of_it = |sample: &&Sample| (time / 3 * third..time / 3 * (third + 1)).contains(&sample.time);
            let samples: Vec<_> = samples.iter().filter(of_it).collect();
            let median = |value: fn(&Sample) -> u64| {
                let mut values: Vec<_> = samples.iter().map(|sample| value(sample)).collect();
                values.sort_unstable();
                values.get(values.len() / 2).copied().unwrap_or_default()
            };
            Self { resident: median(|sample| sample.resident), memory: median(|sample| sample.memory) }
        })
    }
}

/// Returns what is wrong with the memory: it is not flat.
pub(crate) fn growth([second, last]: [Third; 2]) -> Vec<String> {
    [
        ("the memory of the process", second.resident, last.resident),
        ("the counted memory", second.memory, last.memory),
    ]
    .into_iter()
    .filter(|(_, before, after)| *after > most(*before))
    .map(|(what, before, after)| {
        format!(
            "{what} has grown from {} to {} KB (medians of the second and the last third)",
            before >> 10,
            after >> 10
        )
    })
    .collect()
}

/// Returns the most memory that is the same as so much.
pub(crate) fn most(before: u64) -> u64 {
    before + before / 100 * PERCENT + BYTES
}

/// Returns what is left when all have gone, and was not there before anybody came.
pub(crate) fn left(before: &Sample, after: &Sample) -> Vec<String> {
    [
        ("clients", before.clients, after.clients),
        ("rooms", before.rooms, after.rooms),
        ("tasks", before.tasks, after.tasks),
        ("descriptors", before.files, after.files),
        ("bytes of counted memory", before.memory + SPARE, after.memory),
    ]
    .into_iter()
    .filter(|(_, before, after)| after > before)
    .map(|(what, before, after)| {
        format!("nobody is there, and there are still {after} {what}, more than {before}")
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_last_two_thirds_count() {
        let sample = |second: u64| Sample {
            time: Duration::from_secs(second),
            resident: if second < 10 { second } else { 100 + second / 20 },
            ..Sample::default()
        };
        let samples: Vec<_> = (0..=30).map(sample).collect();
        let [second, last] = Third::of(&samples, Duration::from_secs(30));
        assert_eq!((second.resident, last.resident), (100, 101));
    }

    #[test]
    fn memory_may_vary_and_not_grow() {
        let third = |resident| Third { resident, memory: 0 };
        assert!(growth([third(100 << 20), third(107 << 20)]).is_empty());
        let grown = growth([third(100 << 20), third(109 << 20)]);
        assert!(
            grown[0].contains("the memory of the process has grown from 102400 to 111616 KB"),
            "{grown:?}"
        );
    }

    #[test]
    fn what_is_left_is_named() {
        let before = Sample { tasks: 4, files: 20, ..Sample::default() };
        assert!(left(&before, &Sample { resident: 9, connections: 8, ..before }).is_empty());
        let all = left(&before, &Sample { tasks: 5, rooms: 1, ..before });
        assert_eq!(all.len(), 2);
        assert!(all[1].contains("still 5 tasks, more than 4"), "{all:?}");
    }
}
