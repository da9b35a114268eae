use std::{
    cell::{Ref, RefCell},
    rc::Rc,
};

use stateroom_core::{ClientId, MessageRecipient};

use crate::{thread::Thread, wire::Outbox};

/// The clients of a room.
#[derive(Debug)]
pub(crate) struct Roster {
    thread: Rc<Thread>,
    /// The clients in the order of their ids, which is the order in which they came.
    list: RefCell<Vec<(ClientId, Rc<Outbox>)>>,
    /// The clients whose `connect` is still to come.
    arriving: RefCell<Vec<Rc<Outbox>>>,
}

impl Roster {
    pub(super) fn new(thread: Rc<Thread>) -> Self {
        Self { thread, list: RefCell::default(), arriving: RefCell::default() }
    }

    /// Takes in a client that waits for its `connect`.
    pub(super) fn expect(&self, outbox: &Rc<Outbox>) {
        self.arriving.borrow_mut().push(Rc::clone(outbox));
    }

    /// Forgets a client that waits for its `connect`. Returns whether it did.
    pub(super) fn forget(&self, outbox: &Rc<Outbox>) -> bool {
        let mut arriving = self.arriving.borrow_mut();
        let index = arriving.iter().position(|arriving| Rc::ptr_eq(arriving, outbox));
        index.map(|index| arriving.swap_remove(index)).is_some()
    }

    /// Returns whether a client waits for its `connect`.
    pub(super) fn is_expecting(&self) -> bool {
        !self.arriving.borrow().is_empty()
    }

    /// Takes in a client whose `connect` runs.
    pub(super) fn add(&self, client: ClientId, outbox: Rc<Outbox>) {
        self.forget(&outbox);
        outbox.greet();
        let mut list = self.list.borrow_mut();
        let index = list.partition_point(|(other, _)| *other < client);
        list.insert(index, (client, outbox));
        self.count(1);
    }

    /// Replaces the outbox of a client.
    pub(super) fn replace(&self, client: ClientId, outbox: &Rc<Outbox>) {
        let mut list = self.list.borrow_mut();
        if let Ok(index) = list.binary_search_by_key(&client, |(other, _)| *other) {
            list[index].1 = Rc::clone(outbox);
        }
    }

    /// Returns whether the `connect` of a client has begun, and its `disconnect` has not.
    pub(super) fn contains(&self, client: ClientId) -> bool {
        !only(&self.list.borrow(), client).is_empty()
    }

    pub(super) fn remove(&self, client: ClientId) {
        let mut list = self.list.borrow_mut();
        if let Ok(index) = list.binary_search_by_key(&client, |(other, _)| *other) {
            list.remove(index);
            self.count(-1);
        }
    }

    /// Takes out all clients, those included whose `connect` is still to come.
    pub(super) fn clear(&self) -> Vec<Rc<Outbox>> {
        let all = self.everybody();
        let list = self.list.take();
        self.count(-(list.len() as isize));
        self.arriving.take();
        all
    }

    pub(super) fn clients(&self) -> Vec<ClientId> {
        self.list.borrow().iter().map(|(client, _)| *client).collect()
    }

    /// Returns the outboxes of all, those included whose `connect` is still to come.
    pub(super) fn everybody(&self) -> Vec<Rc<Outbox>> {
        let (list, arriving) = (self.list.borrow(), self.arriving.borrow());
        list.iter().map(|(_, outbox)| outbox).chain(&*arriving).map(Rc::clone).collect()
    }

    pub(super) fn borrow(&self) -> Ref<'_, [(ClientId, Rc<Outbox>)]> {
        Ref::map(self.list.borrow(), Vec::as_slice)
    }

    fn count(&self, change: isize) {
        let clients = &self.thread.stats.clients;
        clients.set(clients.get().saturating_add_signed(change));
    }
}

/// Returns the clients that are meant by `recipient`.
pub(super) fn among(
    list: &[(ClientId, Rc<Outbox>)],
    recipient: MessageRecipient,
) -> impl Iterator<Item = &(ClientId, Rc<Outbox>)> {
    let (among, except) = match recipient {
        MessageRecipient::Client(client) => (only(list, client), None),
        MessageRecipient::Broadcast => (list, None),
        MessageRecipient::EveryoneExcept(client) => (list, Some(client)),
    };
    among.iter().filter(move |(client, _)| Some(*client) != except)
}

/// Returns the client of this id, if it is there.
fn only(list: &[(ClientId, Rc<Outbox>)], client: ClientId) -> &[(ClientId, Rc<Outbox>)] {
    list.binary_search_by_key(&client, |(other, _)| *other).map_or(&[], |index| &list[index..=index])
}
