use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

/// Counts the connections of all threads.
#[derive(Debug, Clone, Default)]
pub(crate) struct Places(Arc<AtomicUsize>);

/// What a connection takes up, from its arrival to its end, whatever it becomes and on whichever thread.
#[derive(Debug)]
pub(crate) struct Place(Places);

impl Places {
    pub(super) fn take(&self) -> Place {
        self.0.fetch_add(1, Ordering::Relaxed);
        Place(self.clone())
    }

    pub(super) fn taken(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}
