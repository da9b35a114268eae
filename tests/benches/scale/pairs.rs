use serde_json::Value;

use crate::{Bench, server::Server};

/// The same load on two servers alternately, several times.
#[derive(Debug)]
pub(crate) struct Pairs {
    reports: Vec<[Value; 2]>,
}

impl Pairs {
    /// Runs `load` on each server: a mode and its options.
    pub(crate) fn measure(bench: &Bench, load: &str, servers: [&Server; 2]) -> Self {
        let one = |server| bench.load_for(bench.options.seconds, load, server);
        let reports = (0..bench.options.pairs).map(|round| {
            // Whatever changes meanwhile shall not always meet the same one.
            if round % 2 == 0 {
                [0, 1].map(|which| one(servers[which]))
            } else {
                let [second, first] = [1, 0].map(|which| one(servers[which]));
                [first, second]
            }
        });
        Self { reports: reports.collect() }
    }

    /// Returns the medians of a figure for each server, and of how the second stands to the first in each pair.
    pub(crate) fn figure(&self, pointer: &str) -> ([f64; 2], f64) {
        let read = |report: &Value| report.pointer(pointer).and_then(Value::as_f64).unwrap_or(f64::NAN);
        let numbers: Vec<_> = self.reports.iter().map(|pair| [read(&pair[0]), read(&pair[1])]).collect();
        let each = [0, 1].map(|which| median(numbers.iter().map(|pair| pair[which])));
        (each, median(numbers.iter().map(|[first, second]| second / first)))
    }
}

/// Returns the one in the middle.
pub(crate) fn median(numbers: impl Iterator<Item = f64>) -> f64 {
    quantile(numbers, 500)
}

/// Returns the one that so many of a thousand do not exceed.
pub(crate) fn quantile(numbers: impl Iterator<Item = f64>, thousandths: usize) -> f64 {
    let mut numbers: Vec<_> = numbers.collect();
    numbers.sort_by(f64::total_cmp);
    numbers.get((numbers.len().saturating_sub(1) * thousandths).div_ceil(1000)).copied().unwrap_or(f64::NAN)
}

/// Returns how much more it is, in per cent.
pub(crate) fn change(ratio: f64) -> String {
    format!("{:+.1} %", (ratio - 1.0) * 100.0)
}
