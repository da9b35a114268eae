use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    future::Future,
    rc::Rc,
};

use smol::channel::{Sender, bounded};

use crate::settings::OPERATOR_NEWCOMERS;

/// The connections of the operator that have sent no request yet, or whose request waits. If there are too many, the oldest one ends: so
/// connections that ask for nothing, of whomever, keep nobody out.
#[derive(Debug, Default)]
pub(super) struct Newcomers {
    /// Each ends when its sender is dropped.
    list: RefCell<VecDeque<(u64, Sender<()>)>>,
    /// The number of all that have come.
    count: Cell<u64>,
}

/// The place of a connection among them.
#[derive(Debug)]
pub(super) struct Newcomer {
    newcomers: Rc<Newcomers>,
    number: u64,
    /// Set if it need not end any more.
    stays: RefCell<Option<Sender<()>>>,
}

impl Newcomers {
    /// Adds a connection. The future is ready when the connection has to end.
    pub(super) fn add(newcomers: &Rc<Self>) -> (Newcomer, impl Future<Output = ()> + 'static) {
        let number = newcomers.count.get() + 1;
        newcomers.count.set(number);
        let (sender, end) = bounded(1);
        {
            let mut list = newcomers.list.borrow_mut();
            list.push_back((number, sender));
            if list.len() > OPERATOR_NEWCOMERS {
                list.pop_front();
            }
        }
        let newcomer = Newcomer { newcomers: Rc::clone(newcomers), number, stays: RefCell::default() };
        // Nothing is ever sent.
        (newcomer, async move { _ = end.recv().await })
    }
}

impl Newcomer {
    /// Notes that its request is going to be answered.
    pub(super) fn become_request(&self) {
        self.stays.replace(self.leave());
    }

    fn leave(&self) -> Option<Sender<()>> {
        let mut list = self.newcomers.list.borrow_mut();
        let index = list.binary_search_by_key(&self.number, |(number, _)| *number).ok()?;
        list.remove(index).map(|(_, sender)| sender)
    }
}

impl Drop for Newcomer {
    fn drop(&mut self) {
        self.leave();
    }
}
