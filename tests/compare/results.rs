use std::collections::HashMap;

/// The measurements: for each figure of each server a number for each round, or the reason why there is none.
#[derive(Debug, Default)]
pub(crate) struct Results {
    /// The numbers, by the figure's title and the server's name.
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

    /// Returns the median of all rounds, if each has a number.
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

    /// Returns how far the rounds are apart in a usual figure: the largest by the smallest. Nothing where there is one
    /// alone.
    pub(crate) fn spread(&self) -> Option<f64> {
        let several = self.numbers.values().filter(|numbers| numbers.len() > 1);
        let mut spreads: Vec<_> = several
            .filter_map(|numbers| {
                let (least, most) =
                    (numbers.iter().copied().reduce(f64::min)?, numbers.iter().copied().reduce(f64::max)?);
                (least > 0.0).then(|| most / least)
            })
            .collect();
        spreads.sort_by(f64::total_cmp);
        spreads.get(spreads.len() / 2).copied()
    }

    pub(crate) fn failure(&self, figure: &'static str, peer: &'static str) -> Option<&str> {
        self.failures.get(&(figure, peer)).map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_one_in_the_middle() {
        let mut results = Results::default();
        for number in [3.0, 100.0, 1.0] {
            results.add("figure", "peer", number);
        }
        assert_eq!(results.median("figure", "peer"), Some(3.0));
        assert_eq!(results.spread(), Some(100.0));
        results.add("figure", "peer", 5.0);
        assert_eq!(results.median("figure", "peer"), Some(4.0));
        assert_eq!(results.median("figure", "other"), None);
    }

    #[test]
    fn a_figure_that_fails_once_has_no_number() {
        let mut results = Results::default();
        results.add("figure", "peer", 1.0);
        results.fail("figure", "peer", "it is missing messages");
        assert_eq!(results.median("figure", "peer"), None);
        assert_eq!(results.failure("figure", "peer"), Some("it is missing messages"));
    }
}
