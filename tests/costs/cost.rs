use std::collections::BTreeMap;

/// The things that are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Count {
    SystemCalls,
    Allocations,
    Bytes,
    Instructions,
}

impl Count {
    /// All counts, in the order of the table.
    pub(crate) const ALL: [Self; 4] = [Self::SystemCalls, Self::Allocations, Self::Bytes, Self::Instructions];

    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::SystemCalls => "system calls",
            Self::Allocations => "allocations",
            Self::Bytes => "bytes allocated",
            Self::Instructions => "instructions",
        }
    }
}

/// The counts of a whole process, from its start to its end.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Totals {
    pub(crate) counts: BTreeMap<Count, f64>,
    /// The system calls by their names.
    pub(crate) calls: BTreeMap<String, f64>,
}

impl Totals {
    pub(crate) fn of(&self, count: Count) -> f64 {
        self.counts.get(&count).copied().unwrap_or(0.0)
    }

    /// Returns what each of `units` things takes that `more` did beyond `self`: what both do once is in neither.
    pub(crate) fn each(&self, more: &Self, units: f64) -> Self {
        Self { counts: each(&self.counts, &more.counts, units), calls: each(&self.calls, &more.calls, units) }
    }
}

fn each<K: Clone + Ord>(less: &BTreeMap<K, f64>, more: &BTreeMap<K, f64>, units: f64) -> BTreeMap<K, f64> {
    let keys = less.keys().chain(more.keys());
    let of = |counts: &BTreeMap<K, f64>, key| counts.get(key).copied().unwrap_or(0.0);
    // What the first run happens to have more of is not what a message gives back.
    keys.map(|key| (key.clone(), ((of(more, key) - of(less, key)) / units).max(0.0))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_every_process_does_once_costs_a_message_nothing() {
        let totals = |sends: f64| Totals {
            counts: [(Count::SystemCalls, 100.0 + 3.0 * sends)].into(),
            calls: [("open".to_owned(), 100.0), ("sendto".to_owned(), sends)].into(),
        };
        let each = totals(1000.0).each(&totals(3000.0), 2000.0);
        assert_eq!(each.counts, [(Count::SystemCalls, 3.0)].into());
        assert_eq!(each.calls, [("open".to_owned(), 0.0), ("sendto".to_owned(), 1.0)].into());
    }
}
