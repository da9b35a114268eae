use std::{
    future::Future,
    pin::pin,
    task::{Context, Poll},
};

use async_executor::LocalExecutor;

use crate::reactor::Poller;

use super::{Budget, Thread, stats::PassMeter};

/// The number of units of a write, which is a system call.
const WRITE: u32 = 4;
const LIKE_A_UNIT: usize = 4 << 10;
/// The units of writing that go by before the clock is read.
const WRITES: u32 = 8 * WRITE;
/// The number of items of one kind that run before another kind runs.
const BATCH: usize = 8;
/// The number of outboxes with a part of a message to many that may wait to be written before more of it is
/// delivered.
const MANY: usize = 1_000;

/// Runs `main` to its end on this thread, and beside it the thread's rooms, connections and requests.
///
/// A pass does a bounded amount of everything: it looks at the sockets and reads what has come, lets tasks and long events
/// go on, and writes what has come together.
pub(crate) fn run<T>(
    poller: &Poller,
    thread: &Thread,
    [rooms, requests]: [&LocalExecutor<'_>; 2],
    main: impl Future<Output = T>,
) -> T {
    let mut main = pin!(main);
    let waker = poller.waker();
    let mut cx = Context::from_waker(&waker);
    let (mut rooms, mut requests) = (tasks(rooms), tasks(requests));
    let flush = Budget::new(thread.settings.pass_time, WRITES);
    let mut meter = PassMeter::new(thread);
    let Thread { scheduler, buffers, .. } = thread;
    let budget = &scheduler.budget;
    let (mut is_idle, mut has_tasks) = (false, true);
    loop {
        budget.reset();
        poller.wait(is_idle);
        thread.hibernation.attend(&thread.memory);
        // Some of each kind in turn, for as long as a pass may take.
        let mut has_granted = false;
        let is_done = loop {
            if scheduler.is_idle() && !has_tasks && !poller.is_woken() {
                break true;
            }
            // This runs as a task, and nearly uses up the pass.
            if !has_granted && scheduler.grant(buffers.flush.many() < MANY) {
                has_granted = true;
                budget.look();
            }
            if poller.take_woken() {
                if let Poll::Ready(output) = main.as_mut().poll(&mut cx) {
                    if let Some(gate) = buffers.gate.get() {
                        gate.end_pass(&buffers.flush);
                    }
                    buffers.flush.flush_all();
                    return output;
                }
                has_tasks = true;
            }
            let mut is_stuck = !some(budget, BATCH, || scheduler.read_fresh()).has_run;
            is_stuck &= !some(budget, 1, || scheduler.read_backlog()).has_run;
            if has_tasks {
                // A task takes a microsecond, or a good part of a pass.
                budget.begin();
                let mut run = |most, tasks: &mut dyn FnMut(&mut Context<'_>) -> bool| {
                    some(budget, most, || {
                        let has_run = tasks(&mut cx);
                        if has_run {
                            budget.look();
                        }
                        has_run
                    })
                };
                let (rooms, requests) = (run(BATCH, &mut rooms), run(1, &mut requests));
                has_tasks = rooms.is_over || requests.is_over;
                is_stuck &= !rooms.has_run && !requests.has_run;
            }
            // What waits may wait for what is written.
            if budget.is_over() || is_stuck {
                break false;
            }
        };
        if let Some(gate) = buffers.gate.get() {
            gate.end_pass(&buffers.flush);
        }
        flush.reset();
        while !flush.is_over()
            && let Some(bytes) = buffers.flush.flush_next()
        {
            flush.spend(WRITE + (bytes / LIKE_A_UNIT) as u32);
        }
        if flush.is_over() {
            buffers.flush.flush_last();
        }
        let is_clear = buffers.slow_clients.is_clear() || !buffers.slow_clients.drop_discarded();
        is_idle = is_done && is_clear && scheduler.is_idle() && buffers.flush.is_empty();
        meter.end_pass(thread);
    }
}

/// The result of [`some`].
struct Ran {
    /// True if there was one.
    has_run: bool,
    /// True if it is over although there may be more.
    is_over: bool,
}

/// Runs items of one kind one after the other: some at most, and one in any case, so that none waits for ever because
/// others use up the time.
fn some(budget: &Budget, most: usize, mut one: impl FnMut() -> bool) -> Ran {
    let mut has_run = false;
    for _ in 0..most {
        if !one() {
            return Ran { has_run, is_over: false };
        }
        has_run = true;
        if budget.is_over() {
            break;
        }
    }
    Ran { has_run, is_over: true }
}

/// Runs the tasks of an executor one by one: each call runs one that is ready, and answers whether there was one. Where there
/// was none, the context's waker is woken when there is.
fn tasks<'a>(executor: &'a LocalExecutor<'_>) -> impl FnMut(&mut Context<'_>) -> bool + 'a {
    let mut tick = Box::pin(executor.tick());
    move |cx| {
        let has_run = tick.as_mut().poll(cx).is_ready();
        if has_run {
            tick.set(executor.tick());
        }
        has_run
    }
}
