use std::cell::Cell;

/// The knowledge that all healthy clients of a room share.
#[derive(Debug)]
pub(crate) struct Room {
    pub(crate) name: String,
    /// The greatest count that one of them has heard of.
    pub(crate) greatest: Cell<u64>,
}

impl Room {
    pub(crate) fn new(number: usize) -> Self {
        Self { name: format!("room-{number}"), greatest: Cell::new(0) }
    }
}
