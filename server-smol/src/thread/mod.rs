//! The parts that the rooms and connections of a thread share: the event loop, the scheduler, hibernation, and the
//! log.

mod budget;
mod event_loop;
mod hibernation;
mod log;
mod log_budget;
mod scheduler;
mod stats;
#[cfg(feature = "metrics")]
mod tasks;

use std::{
    cell::OnceCell,
    fmt,
    future::Future,
    rc::{Rc, Weak},
    sync::Arc,
};

use async_executor::LocalExecutor;
use smol::{Task, future::FutureExt as _};

use crate::{
    close::CloseReason,
    journal::Journal,
    memory::{Ledger, Stage},
    metrics::Metrics,
    reactor::Clock,
    settings::Settings,
    wire::{Buffers, Gate},
};

#[cfg(feature = "compression")]
use crate::wire::Compression;

pub(crate) use budget::Budget;

pub(crate) use event_loop::run;
pub(crate) use hibernation::{Hibernate, HibernateOutcome, Hibernation, IdleState};
pub(crate) use log::{Cut, OneLine, RoomLog, ThreadLog};
pub(crate) use scheduler::{Kind, QUANTUM, Reader, Scheduler, TIME_SLICE};
pub(crate) use stats::Stats;

/// The state that the rooms and connections of a thread share. All of them live and end on it.
pub(crate) struct Thread {
    pub(crate) settings: Arc<Settings>,
    pub(crate) clock: Rc<Clock>,
    pub(crate) scheduler: Scheduler,
    pub(crate) memory: Rc<Ledger>,
    pub(crate) hibernation: Rc<Hibernation>,
    pub(crate) buffers: Rc<Buffers>,
    pub(crate) stats: Stats,
    /// The counts of rooms and sessions. The buffers count what is written.
    pub(crate) metrics: Metrics,
    pub(crate) log: Rc<ThreadLog>,
    /// The journal, if the thread's rooms are kept on disk.
    journal: OnceCell<Rc<Journal>>,
    /// The executor. The function that runs the thread owns it: tasks hold a reference to this, and a strong reference here would
    /// make a cycle.
    executor: Weak<LocalExecutor<'static>>,
}

impl Thread {
    pub(crate) fn new(
        settings: Arc<Settings>,
        clock: Rc<Clock>,
        executor: &Rc<LocalExecutor<'static>>,
    ) -> Rc<Self> {
        let memory = Ledger::new(settings.total_memory / settings.threads.max(1));
        #[cfg(feature = "tls")]
        memory.enter();
        let hibernation = Rc::new(Hibernation::new(&settings, Rc::clone(&clock)));
        let buffers = Rc::new(Buffers::new(Rc::clone(&memory)));
        #[cfg(feature = "compression")]
        if let Some(from) = settings.compress_from {
            // Nobody has set it before.
            let _ = buffers.compression.set(Compression::new(from, &memory));
        }
        let (idle_rooms, slow_clients) = (Rc::clone(&hibernation), Rc::clone(&buffers.slow_clients));
        let (idle_rooms, slow_clients) = (Rc::downgrade(&idle_rooms), Rc::downgrade(&slow_clients));
        memory.register(Stage::Hibernate, idle_rooms);
        memory.register(Stage::SlowClients, slow_clients);
        let kept_messages = Rc::clone(&buffers.kept_messages);
        let kept_messages = Rc::downgrade(&kept_messages);
        memory.register(Stage::KeptMessages, kept_messages);
        let scheduler = Scheduler::new(settings.pass_time);
        let log = Rc::new(ThreadLog::new(Rc::clone(&clock)));
        Rc::new(Self {
            settings,
            clock,
            log,
            scheduler,
            memory,
            hibernation,
            buffers,
            stats: Stats::default(),
            metrics: Metrics::new(),
            journal: OnceCell::new(),
            executor: Rc::downgrade(executor),
        })
    }

    /// Keeps the thread's rooms on disk.
    pub(crate) fn set_journal(&self, journal: Journal) {
        let journal = Rc::new(journal);
        // Nobody has set it before.
        let _ = self.buffers.gate.set(Gate::new(Rc::clone(&journal), &self.memory));
        let _ = self.journal.set(journal);
    }

    /// Returns the journal, if the thread's rooms are kept on disk.
    #[inline]
    pub(crate) fn journal(&self) -> Option<&Journal> {
        self.journal.get().map(|journal| &**journal)
    }

    /// Runs a task beside everything else. Nothing where the thread ends.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + 'static) -> Option<Task<()>> {
        #[cfg(feature = "metrics")]
        let task = self.stats.tasks.count(task);
        self.executor.upgrade().map(|executor| executor.spawn(task))
    }

    /// Runs a task like [`spawn_detached`](Self::spawn_detached). It takes one more allocation, and much less code.
    pub(crate) fn spawn_rare(&self, task: impl Future<Output = ()> + 'static) {
        self.spawn_detached(task.boxed_local());
    }

    /// Counts a request or a connection that is refused. `label` is its name in the metrics, and `limit` is the limit as the log names it.
    #[cold]
    pub(crate) fn refuse(&self, label: &'static str, limit: &'static str) {
        self.metrics.refuse(label);
        self.log.refused(limit);
    }

    /// Counts a client that is refused or closed, if that is because of a limit.
    pub(crate) fn count_refused(&self, reason: &CloseReason) {
        reason.limit().into_iter().for_each(|limit| self.log.refused(limit));
    }

    /// Looks at the clock, where something takes as long as many messages. Returns whether the pass has used up its time.
    pub(crate) fn look_at_clock(&self) -> bool {
        self.scheduler.budget.look();
        self.scheduler.budget.is_over()
    }

    /// Forgets all tasks that wait for something, as the thread ends: they hold it, too.
    pub(crate) fn clear(&self) {
        self.scheduler.clear();
        self.hibernation.clear();
        self.buffers.flush.clear();
        self.buffers.gate.get().into_iter().for_each(Gate::clear);
    }

    /// Runs a task beside everything else, independent of the task that has started it.
    pub(crate) fn spawn_detached(&self, task: impl Future<Output = ()> + 'static) {
        self.spawn(task).into_iter().for_each(Task::detach);
    }
}

impl fmt::Debug for Thread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Thread")
            .field("scheduler", &self.scheduler)
            .field("memory", &self.memory)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
impl Thread {
    /// Returns a thread that is not run.
    pub(crate) fn for_tests(settings: Settings) -> Rc<Self> {
        let clock = Rc::new(Clock::new(crate::reactor::ClockSource::System));
        Self::new(Arc::new(settings), clock, &Rc::default())
    }
}
