use std::collections::HashMap;

/// What was measured: for each figure of each server a number for each round, or why there is none.
#[derive(Debug, Default)]
pub(crate) struct Results {
    /// By the figure's title and the server's name.
    numbers: HashMap<(&'static str, &'static str), Vec<f64>>,
    failures: HashMap<(&'static str, &'static str), String>,
}

impl Results {
    pub(crate) fn add(&mut self, figure: &'static str, peer: &'static str, number: f64) {
        self.numbers.entry((figure, peer)).or_default().push(number);
    }

    pub(crate) fn fail(&mut self, figure: &'static str, peer: &'static str, why: &str) {
        self.failures.entry((figure, peer)).or_insert_with(|| why.to_owned());
    }

    /// The median of all rounds, if each has a number.
    pub(crate) fn median(&self, figure: &'static str, peer: &'static str) -> Option<f64> {
        if self.failures.contains_key(&(figure, peer)) {
            return None;
        }
        let mut numbers = self.numbers.get(&(figure, peer))?.clone();
        numbers.sort_by(f64::total_cmp);
        let middle = numbers.len() / 2;
        Some(if numbers.len().is_multiple_of(2) {
            f64::midpoint(numbers[middle - 1], numbers[middle])
        } else {
            numbers[middle]
        })
    }

    /// How far the rounds are apart: the largest by the smallest.
    pub(crate) fn spread(&self) -> f64 {
        let spreads = self.numbers.values().filter_map(|numbers| {
            let (least, most) =
                (numbers.iter().copied().reduce(f64::min)?, numbers.iter().copied().reduce(f64::max)?);
            (least > 0.0).then(|| most / least)
        });
        let mut spreads: Vec<_> = spreads.collect();
        spreads.sort_by(f64::total_cmp);
        spreads.get(spreads.len() / 2).copied().unwrap_or(1.0)
    }

    pub(crate) fn failure(&self, figure: &'static str, peer: &'static str) -> Option<&str> {
        self.failures.get(&(figure, peer)).map(String::as_str)
    }
}
