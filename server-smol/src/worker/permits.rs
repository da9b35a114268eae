use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

/// Counts the connections of all threads.
#[derive(Debug, Clone, Default)]
pub(crate) struct Permits(Arc<AtomicUsize>);

/// The permission for a connection, from its arrival to its end, whatever it becomes and on whichever thread.
#[derive(Debug)]
pub(crate) struct Permit(Permits);

impl Permits {
    pub(crate) fn take(&self) -> Permit {
        self.0.fetch_add(1, Ordering::Relaxed);
        Permit(self.clone())
    }

    pub(crate) fn taken(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}
