use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    future::{Future, pending},
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
    has_request: Rc<Cell<bool>>,
}

impl Newcomers {
    /// Adds a connection. The future is ready when the connection has to end.
    pub(super) fn add(newcomers: &Rc<Self>) -> (Newcomer, impl Future<Output = ()> + 'static) {
        let number = newcomers.count.get() + 1;
        newcomers.count.set(number);
        let (stay, end) = bounded(1);
        {
            let mut list = newcomers.list.borrow_mut();
            list.push_back((number, stay));
            if list.len() > OPERATOR_NEWCOMERS {
                list.pop_front();
            }
        }
        let has_request = Rc::<Cell<bool>>::default();
        let newcomer =
            Newcomer { newcomers: Rc::clone(newcomers), number, has_request: Rc::clone(&has_request) };
        let eviction = async move {
            // Nothing is ever sent.
            let _ = end.recv().await;
            if has_request.get() {
                pending().await
            }
        };
        (newcomer, eviction)
    }
}

impl Newcomer {
    /// Notes that its request is going to be answered.
    pub(super) fn become_request(&self) {
        self.has_request.set(true);
        self.leave();
    }

    fn leave(&self) {
        let mut list = self.newcomers.list.borrow_mut();
        if let Ok(index) = list.binary_search_by_key(&self.number, |(number, _)| *number) {
            list.remove(index);
        }
    }
}

impl Drop for Newcomer {
    fn drop(&mut self) {
        self.leave();
    }
}
