use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    fmt,
    future::Future,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use super::Budget;

/// The number of units of work before the clock is read.
const STEP: u32 = 8;

/// The number of units of work that a reader may do before others run. A message, a delivery, or 2 KiB of input are a
/// unit.
pub(crate) const QUANTUM: u32 = 160;

/// The time for which a long event runs at a time, slice by slice.
///
/// Fuel is no measure of time: one slice takes several times as long as another, depending on what the guest does,
/// and ten times as long on a slower machine. So slices are short, and the clock is read after each.
pub(crate) const TIME_SLICE: Duration = Duration::from_micros(250);

/// Decides which work runs next on a thread. Each kind of work has a queue, and each pass does a bounded amount of
/// each kind.
///
/// Readers are scheduled as flows are in `fq_codel` (RFC 8290). A reader with new data and no backlog goes before
/// those with a backlog. A reader that has more to do than its share goes to the end of the backlog queue.
pub(crate) struct Scheduler {
    /// The budget that is left of this pass.
    pub(crate) budget: Budget,
    /// Readers with new data and no backlog.
    fresh: RefCell<VecDeque<Rc<dyn Reader>>>,
    /// Readers that have more to do than they could do at a time.
    backlog: RefCell<VecDeque<Rc<dyn Reader>>>,
    /// Long events, and whatever else goes on piece by piece.
    slices: RefCell<VecDeque<Rc<Ticket>>>,
    /// Messages to many clients that are not delivered to all of them.
    deliveries: RefCell<VecDeque<Rc<Ticket>>>,
    /// The number of items that wait in all queues together.
    waiting: Cell<usize>,
    /// True if the last one that ran was a delivery.
    has_delivered: Cell<bool>,
    /// The ticket that may run now.
    granted: RefCell<Option<Rc<Ticket>>>,
}

/// Reads from a client and handles what has come.
pub(crate) trait Reader {
    /// Reads and handles messages, of [`QUANTUM`] units and within the [budget](Scheduler::budget). Answers whether there is more
    /// to do.
    fn read(self: Rc<Self>) -> bool;

    /// Returns whether much had come when it last read. It does not go before others then.
    fn reads_much(&self) -> bool;
}

/// A place in a queue.
#[derive(Default)]
struct Ticket {
    is_granted: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

/// The work that a long task waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Time on the processor.
    Slice,
    /// Space on the list of those that have something to write.
    Delivery,
}

impl Scheduler {
    /// Lets the work of one pass take about `pass`. What is left waits for the next pass, before which the sockets are looked at
    /// and what has come together is written.
    pub(super) fn new(pass: Duration) -> Self {
        Self {
            budget: Budget::new(pass, STEP),
            fresh: RefCell::default(),
            backlog: RefCell::default(),
            slices: RefCell::default(),
            deliveries: RefCell::default(),
            waiting: Cell::new(0),
            has_delivered: Cell::new(false),
            granted: RefCell::default(),
        }
    }

    /// Lets a reader read whose socket is readable: at once, unless another fresh reader waits or the time of this
    /// pass is over.
    pub(crate) fn on_readable(&self, reader: Rc<dyn Reader>) {
        if self.budget.is_over() || self.waiting.get() > 0 && !self.fresh.borrow().is_empty() {
            self.push(if reader.reads_much() { &self.backlog } else { &self.fresh }, reader);
        } else {
            self.run(reader);
        }
    }

    /// Queues a reader that has more to do.
    pub(crate) fn read_later(&self, reader: Rc<dyn Reader>) {
        self.push(&self.backlog, reader);
    }

    fn push<T>(&self, queue: &RefCell<VecDeque<T>>, one: T) {
        queue.borrow_mut().push_back(one);
        self.waiting.set(self.waiting.get() + 1);
    }

    fn pop<T>(&self, queue: &RefCell<VecDeque<T>>) -> Option<T> {
        let one = queue.borrow_mut().pop_front()?;
        self.waiting.set(self.waiting.get() - 1);
        Some(one)
    }

    /// Lets one fresh reader read. Answers whether there was one.
    pub(super) fn read_fresh(&self) -> bool {
        let reader = self.pop(&self.fresh);
        reader.map(|reader| self.run(reader)).is_some()
    }

    /// Lets one reader go on that has more to do. Answers whether there was one.
    pub(super) fn read_backlog(&self) -> bool {
        let reader = self.pop(&self.backlog);
        reader.map(|reader| self.run(reader)).is_some()
    }

    fn run(&self, reader: Rc<dyn Reader>) {
        if Rc::clone(&reader).read() {
            self.push(&self.backlog, reader);
        }
    }

    /// Waits for the right to go on with something long. Others wait until the result is dropped.
    pub(crate) fn acquire(&self, kind: Kind) -> Acquire<'_> {
        Acquire { scheduler: self, kind, ticket: None }
    }

    /// Lets one go on that waits to [go on](Self::acquire), unless somebody has it. Answers whether one does.
    pub(super) fn grant(&self, may_deliver: bool) -> bool {
        if self.waiting.get() == 0 || self.granted.borrow().is_some() {
            return false;
        }
        // The two kinds alternate, if both wait.
        let delivers = may_deliver && (self.slices.borrow().is_empty() || !self.has_delivered.get());
        let delivery = if delivers { self.pop(&self.deliveries) } else { None };
        self.has_delivered.set(delivery.is_some());
        let Some(next) = delivery.or_else(|| self.pop(&self.slices)) else { return false };
        next.is_granted.set(true);
        let waker = next.waker.borrow_mut().take();
        self.granted.replace(Some(next));
        waker.into_iter().for_each(Waker::wake);
        true
    }

    pub(super) fn clear(&self) {
        self.fresh.take();
        self.backlog.take();
        self.slices.take();
        self.deliveries.take();
        self.waiting.set(0);
    }

    /// Returns whether there is nothing to do.
    pub(super) fn is_idle(&self) -> bool {
        self.waiting.get() == 0
    }
}

/// Waits for the right to go on; see [`Scheduler::acquire`].
#[must_use]
pub(crate) struct Acquire<'a> {
    scheduler: &'a Scheduler,
    kind: Kind,
    ticket: Option<Rc<Ticket>>,
}

/// The right to go on for a [`TIME_SLICE`].
#[must_use]
pub(crate) struct Granted<'a>(&'a Scheduler);

impl Acquire<'_> {
    fn queue(&self) -> &RefCell<VecDeque<Rc<Ticket>>> {
        match self.kind {
            Kind::Slice => &self.scheduler.slices,
            Kind::Delivery => &self.scheduler.deliveries,
        }
    }
}

impl<'a> Future for Acquire<'a> {
    type Output = Granted<'a>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Granted<'a>> {
        match &self.ticket {
            Some(ticket) if ticket.is_granted.get() => {
                self.ticket = None;
                Poll::Ready(Granted(self.scheduler))
            }
            Some(ticket) => {
                ticket.waker.replace(Some(cx.waker().clone()));
                Poll::Pending
            }
            None => {
                let ticket = Rc::new(Ticket::default());
                ticket.waker.replace(Some(cx.waker().clone()));
                self.scheduler.push(self.queue(), Rc::clone(&ticket));
                self.ticket = Some(ticket);
                Poll::Pending
            }
        }
    }
}

impl Drop for Acquire<'_> {
    fn drop(&mut self) {
        let Some(ticket) = self.ticket.take() else { return };
        if ticket.is_granted.get() {
            self.scheduler.granted.take();
        } else {
            let (mut queue, waiting) = (self.queue().borrow_mut(), &self.scheduler.waiting);
            let before = queue.len();
            queue.retain(|other| !Rc::ptr_eq(other, &ticket));
            // It is not there any more where the thread has ended.
            waiting.set(waiting.get() - (before - queue.len()));
        }
    }
}

impl Drop for Granted<'_> {
    fn drop(&mut self) {
        self.0.granted.take();
    }
}

impl fmt::Debug for Scheduler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scheduler")
            .field("fresh", &self.fresh.borrow().len())
            .field("backlog", &self.backlog.borrow().len())
            .field("slices", &self.slices.borrow().len())
            .field("deliveries", &self.deliveries.borrow().len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Client {
        reads_much: bool,
        order: Rc<RefCell<Vec<&'static str>>>,
        name: &'static str,
    }

    impl Reader for Client {
        fn read(self: Rc<Self>) -> bool {
            self.order.borrow_mut().push(self.name);
            false
        }

        fn reads_much(&self) -> bool {
            self.reads_much
        }
    }

    #[test]
    fn who_sends_little_is_read_before_those_who_send_much() {
        let scheduler = Scheduler::new(Duration::ZERO);
        let order = Rc::default();
        let client = |name, reads_much| Rc::new(Client { reads_much, order: Rc::clone(&order), name });
        // The time of this pass is over.
        scheduler.budget.look();
        scheduler.budget.look();
        for (name, reads_much) in [("much", true), ("more", true), ("little", false)] {
            scheduler.on_readable(client(name, reads_much));
        }
        assert!(order.borrow().is_empty());
        assert!(scheduler.read_fresh() && !scheduler.read_fresh());
        while scheduler.read_backlog() {}
        assert_eq!(*order.borrow(), ["little", "much", "more"]);
        assert!(scheduler.is_idle());
        // Where there is time, and nobody waits, all are read at once.
        scheduler.budget.reset();
        scheduler.on_readable(client("much", true));
        assert_eq!(order.borrow().last(), Some(&"much"));
    }
}
