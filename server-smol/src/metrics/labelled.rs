use std::cell::RefCell;

/// Counts by a label. There are only a few labels, so a list is fast enough.
#[derive(Debug, Default)]
pub(super) struct Labelled(RefCell<LabelledCounts>);

/// Labels, and for each how often it was counted.
pub(crate) type LabelledCounts = Vec<(&'static str, u64)>;

impl Labelled {
    pub(super) fn add(&self, label: &'static str) {
        add(&mut self.0.borrow_mut(), label, 1);
    }

    pub(super) fn counts(&self) -> LabelledCounts {
        self.0.borrow().clone()
    }
}

/// Adds a number to the count of a label.
pub(super) fn add(counts: &mut LabelledCounts, label: &'static str, number: u64) {
    match counts.iter_mut().find(|(other, _)| *other == label) {
        Some((_, count)) => *count += number,
        None => counts.push((label, number)),
    }
}
