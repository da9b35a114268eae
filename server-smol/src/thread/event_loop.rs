use std::{
    future::Future,
    pin::pin,
    task::{Context, Poll},
    time::Duration,
};

use async_executor::LocalExecutor;

use crate::reactor::Poller;

use super::{Budget, Thread, stats::PassMeter};

/// How long the writing of one pass may take.
const FLUSH: Duration = Duration::from_micros(400);
/// How many units a write is: it is a system call.
const WRITE: u32 = 4;
/// How many units a task is.
const TASK: u32 = 4;
/// How many of a kind go on before it is another kind's turn.
const BATCH: usize = 8;
/// How many outboxes that a message to many goes to may wait to be written before more of it is delivered.
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
    let flush = Budget::new(FLUSH, 2 * WRITE);
    let mut meter = PassMeter::new(thread);
    let mut is_idle = false;
    loop {
        thread.scheduler.budget.reset();
        poller.wait(is_idle);
        if poller.take_woken()
            && let Poll::Ready(output) = main.as_mut().poll(&mut cx)
        {
            while thread.buffers.flush.flush_next() {}
            return output;
        }
        thread.hibernation.attend(&thread.memory);
        let is_done = work(thread, &mut rooms, &mut requests, &mut cx);
        flush.reset();
        while !flush.is_over() && thread.buffers.flush.flush_next() {
            flush.spend(WRITE);
        }
        is_idle = is_done && thread.buffers.flush.is_empty() && thread.scheduler.is_idle(true);
        meter.end_pass(thread);
    }
}

/// Does what there is to do, some of each kind in turn, for as long as a pass may take. Answers whether all of it is done.
fn work(
    thread: &Thread,
    rooms: &mut impl FnMut(&mut Context<'_>) -> bool,
    requests: &mut impl FnMut(&mut Context<'_>) -> bool,
    cx: &mut Context<'_>,
) -> bool {
    let scheduler = &thread.scheduler;
    let budget = &scheduler.budget;
    loop {
        let mut is_done = true;
        let mut some = |most: usize, one: &mut dyn FnMut() -> bool| {
            for _ in 0..most {
                if budget.is_over() || !one() {
                    break;
                }
                is_done = false;
            }
        };
        some(BATCH, &mut || scheduler.read_fresh());
        some(BATCH, &mut || {
            let has_run = rooms(cx);
            if has_run {
                budget.spend(TASK);
            }
            has_run
        });
        some(1, &mut || scheduler.read_backlog());
        some(1, &mut || {
            let has_run = requests(cx);
            if has_run {
                budget.look();
            }
            has_run
        });
        // Whoever it is runs as a task.
        scheduler.grant(thread.buffers.flush.many() < MANY);
        if scheduler.has_granted() {
            budget.spend(TASK);
            is_done = false;
        }
        if is_done || budget.is_over() {
            return is_done;
        }
    }
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
