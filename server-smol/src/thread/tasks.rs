use std::{
    future::Future,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
};

use smol::future::or;

/// Counts the tasks of a thread.
#[derive(Debug, Default)]
pub(crate) struct Tasks(Rc<()>);

/// Counts as a task until it is dropped.
struct Counted {
    _count: Rc<()>,
}

impl Tasks {
    /// Returns a task that is counted until it is over or dropped.
    pub(crate) fn count(
        &self,
        task: impl Future<Output = ()> + 'static,
    ) -> impl Future<Output = ()> + 'static {
        or(task, Counted { _count: Rc::clone(&self.0) })
    }

    /// Returns how many tasks there are.
    pub(crate) fn number(&self) -> usize {
        Rc::strong_count(&self.0) - 1
    }
}

impl Future for Counted {
    type Output = ();

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use smol::future::block_on;

    use super::*;

    #[test]
    fn a_task_counts_until_it_is_over_or_dropped() {
        let tasks = Tasks::default();
        let (over, dropped) = (tasks.count(ready(())), tasks.count(pending()));
        assert_eq!(tasks.number(), 2);
        block_on(over);
        assert_eq!(tasks.number(), 1);
        drop(dropped);
        assert_eq!(tasks.number(), 0);
    }
}
