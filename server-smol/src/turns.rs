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
    /// Long events: each goes on for a while in its turn.
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
            // Whoever the look at the sockets wakes runs before this goes on.
            yield_now().await;
            mem::take(&mut *self.readers.borrow_mut()).into_iter().for_each(Waker::wake);
            let turn = self.events.borrow_mut().pop_front();
            if let Some(turn) = turn {
                // Fails only where the event is gone.
                let _ = turn.try_send(());
                // It goes on now. The next one is chosen after a look that sees what came in meanwhile, or whoever
                // that wakes would stand behind it and wait for two turns.
                yield_now().await;
            }
        }
    }

    fn wake_granter(&self) {
        if let Some(granter) = self.granter.borrow_mut().take() {
            granter.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        cell::Cell,
        future::{Future, pending},
        pin::pin,
        rc::Rc,
        sync::{
            Arc,
            atomic::{AtomicBool, Ordering},
        },
        task::Wake,
    };

    use async_executor::LocalExecutor;
    use smol::{channel::unbounded, future::or};

    use super::*;

    struct Woken(AtomicBool);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.store(true, Ordering::Relaxed);
        }
    }

    /// What ran, as it happened.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    enum Ran {
        /// A slice of one of the events.
        Slice(usize),
        /// A task that each look at the sockets wakes.
        Awoken,
    }

    /// Runs so many events that go on without end, for some looks at the sockets. Returns what ran, and how many
    /// looks there had been before it.
    fn run(events: usize, looks: usize) -> Vec<(Ran, usize)> {
        let (turns, executor) = (Rc::new(Turns::default()), LocalExecutor::new());
        let (look, ran) = (Rc::new(Cell::new(0)), Rc::new(RefCell::new(Vec::new())));
        for event in 0..events {
            let (turns, look, ran) = (Rc::clone(&turns), Rc::clone(&look), Rc::clone(&ran));
            let long = async move {
                loop {
                    ran.borrow_mut().push((Ran::Slice(event), look.get()));
                    turns.wait().await;
                }
            };
            executor.spawn(long).detach();
        }
        let (sockets, readable) = unbounded();
        let awoken = {
            let (look, ran) = (Rc::clone(&look), Rc::clone(&ran));
            async move {
                while readable.recv().await.is_ok() {
                    ran.borrow_mut().push((Ran::Awoken, look.get()));
                }
            }
        };
        executor.spawn(awoken).detach();
        let mut server = pin!(or(executor.run(pending::<()>()), turns.grant()));
        // Whoever polls the server looks at the sockets after each poll, and comes back at once if it was woken.
        let woken = Arc::new(Woken(AtomicBool::new(true)));
        for number in 0..looks {
            assert!(woken.0.swap(false, Ordering::Relaxed), "events wait, and nobody lets them go on");
            look.set(number);
            let waker = Arc::clone(&woken).into();
            assert!(server.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
            // After the first one all events have begun.
            sockets.try_send(()).expect("somebody reads");
        }
        let ran = ran.borrow();
        ran.clone()
    }

    fn slices(ran: &[(Ran, usize)]) -> Vec<(usize, usize)> {
        let slice = |&(ran, look): &(Ran, usize)| match ran {
            Ran::Slice(event) => Some((event, look)),
            Ran::Awoken => None,
        };
        ran.iter().filter_map(slice).collect()
    }

    #[test]
    fn the_sockets_are_looked_at_between_any_two_slices() {
        for events in [1, 2, 10] {
            let slices = slices(&run(events, 200));
            // Their messages have come with the same look.
            let (begun, went_on) = slices.split_at(events);
            assert!(begun.iter().all(|(_, look)| *look == 0));
            assert!(went_on.windows(2).all(|pair| pair[0].1 < pair[1].1), "{went_on:?}");
            assert!(went_on.len() > 90, "{} slices", went_on.len());
        }
    }

    #[test]
    fn whoever_the_sockets_wake_runs_before_the_next_slice() {
        for events in [1, 2, 10] {
            let ran = run(events, 200);
            let (mut last_slice, mut last_awoken) = (0, 0);
            for (what, look) in ran[events..].iter().copied() {
                if what == Ran::Awoken {
                    last_awoken = look;
                    continue;
                }
                // What came in during a slice is seen by the look after it.
                assert!(last_slice == 0 || last_awoken > last_slice, "{ran:?}");
                last_slice = look;
            }
        }
    }

    #[test]
    fn long_events_go_on_one_after_the_other() {
        let slices = slices(&run(10, 200));
        assert!(slices.iter().enumerate().all(|(index, (event, _))| *event == index % 10), "{slices:?}");
    }
}
