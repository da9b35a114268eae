use std::sync::Arc;

/// Counts the connections of all threads.
#[derive(Debug, Default)]
pub(super) struct Places(Arc<()>);

/// What a connection takes up, from its arrival to its end, whatever it becomes and on whichever thread.
#[derive(Debug)]
pub(crate) struct Place {
    _counted: Arc<()>,
}

impl Places {
    pub(super) fn take(&self) -> Place {
        Place { _counted: Arc::clone(&self.0) }
    }

    pub(super) fn taken(&self) -> usize {
        // One is this itself.
        Arc::strong_count(&self.0) - 1
    }
}
