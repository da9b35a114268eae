use std::{
    cell::RefCell,
    collections::VecDeque,
    future::poll_fn,
    mem,
    task::{Context, Poll, Waker},
};

use smol::{
    channel::{Sender, bounded},
    future::yield_now,
};

/// Makes those who could go on for long wait, until the sockets have been looked at.
///
/// A task that merely yields comes back before the executor looks at the sockets and the clock again, and a
/// hundred of them delay everything by a hundred of their steps.
#[derive(Debug, Default)]
pub(crate) struct Turns {
    /// Long events: they go on one slice at a time, each in its turn.
    events: RefCell<VecDeque<Sender<()>>>,
    /// Connections that have read for long enough: they all go on after the next look.
    readers: RefCell<Vec<Waker>>,
    /// Whoever grants, while there is nothing to grant.
    granter: RefCell<Option<Waker>>,
}

impl Turns {
    /// Waits until a long event may go on.
    pub(crate) async fn wait(&self) {
        let (turn, granted) = bounded(1);
        self.events.borrow_mut().push_back(turn);
        self.wake_granter();
        // Fails only where the server ends.
        let _ = granted.recv().await;
    }

    /// Wakes a reader after the next look at the sockets.
    pub(crate) fn wake_later(&self, cx: &Context<'_>) {
        self.readers.borrow_mut().push(cx.waker().clone());
        self.wake_granter();
    }

    /// Grants turns. This has to run beside the executor, not in it: then each yield is a look at the sockets.
    pub(crate) async fn grant(&self) {
        loop {
            poll_fn(|cx| {
                if self.events.borrow().is_empty() && self.readers.borrow().is_empty() {
                    *self.granter.borrow_mut() = Some(cx.waker().clone());
                    return Poll::Pending;
                }
                Poll::Ready(())
            })
            .await;
            yield_now().await;
            mem::take(&mut *self.readers.borrow_mut()).into_iter().for_each(Waker::wake);
            let turn = self.events.borrow_mut().pop_front();
            if let Some(turn) = turn {
                // Fails only where the event is gone.
                let _ = turn.try_send(());
            }
        }
    }

    fn wake_granter(&self) {
        if let Some(granter) = self.granter.borrow_mut().take() {
            granter.wake();
        }
    }
}
