use std::{
    cell::{Cell, OnceCell, RefCell},
    mem, ptr,
    rc::{Rc, Weak},
    task::{Context, Poll},
};

use stateroom_core::ClientId;

use crate::{
    admission::Permit,
    close::CloseReason,
    wire::{Outbox, Socket},
};

use super::session_request::{SessionRequest, Token};

/// The resumable sessions of a room.
#[derive(Debug, Default)]
pub(crate) struct Sessions(OnceCell<Box<RefCell<Lists>>>);

/// The sessions in the order of their tokens, and in the order of their clients' ids. Most rooms have none.
#[derive(Debug, Default)]
struct Lists {
    by_token: Vec<Rc<Resumable>>,
    by_client: Vec<Rc<Resumable>>,
}

/// A resumable session.
#[derive(Debug)]
pub(crate) struct Resumable {
    pub(crate) client: ClientId,
    pub(super) token: Token,
    /// The largest [`attempt`](SessionRequest::attempt) of its connections.
    pub(super) attempt: Cell<u64>,
    /// The `attempt` of the connection with which the session began for the client: the first one whose greeting it may have received.
    pub(super) begun: Cell<u64>,
    /// The number of messages that the room has received from the client on earlier connections.
    pub(crate) handled: Cell<u64>,
    /// The number of messages from the client in the history of the room, if the room is kept on disk.
    pub(super) recorded: Cell<u64>,
    /// The most messages that the client can have received, as long as it has not come back after the end of the server.
    pub(super) most_received: Cell<u64>,
    /// The outbox of its connection, or of the last one.
    outbox: RefCell<Rc<Outbox>>,
    /// The connection on which the session is about to be resumed.
    resumption: RefCell<Option<Box<Resumption>>>,
}

/// A connection with which a client resumes its session.
#[derive(Debug)]
pub(crate) struct Resumption {
    pub(crate) socket: Socket,
    /// The bytes that have been read of the connection beyond the HTTP request.
    pub(crate) read_ahead: Vec<u8>,
    pub(crate) request: Box<SessionRequest>,
    pub(crate) permit: Permit,
}

impl Resumption {
    /// Closes the connection, because the session is not resumed on it.
    pub(crate) async fn refuse(self, reason: CloseReason) {
        self.socket.close(Some(reason)).await;
    }
}

impl Sessions {
    /// Adds a session. If there is one with the same token, that one ends, because it could not be resumed.
    pub(crate) fn add(
        &self,
        client: ClientId,
        request: &SessionRequest,
        outbox: &Rc<Outbox>,
    ) -> Rc<Resumable> {
        let resumable =
            Resumable::new(client, request.token.clone(), request.attempt, request.attempt, outbox);
        if let Some(ended) = self.insert(&resumable) {
            ended.outbox.borrow().close(CloseReason::Resumed);
        }
        resumable
    }

    /// Adds a session. Returns the one that ends because both have the same token.
    pub(super) fn insert(&self, resumable: &Rc<Resumable>) -> Option<Rc<Resumable>> {
        let lists = &mut *self.0.get_or_init(Box::default).borrow_mut();
        let ended = match position(&lists.by_token, &resumable.token) {
            // Connections do not always arrive in order.
            Ok(index) if lists.by_token[index].attempt > resumable.attempt => {
                return Some(Rc::clone(resumable));
            }
            Ok(index) => Some(mem::replace(&mut lists.by_token[index], Rc::clone(resumable))),
            Err(index) => {
                lists.by_token.insert(index, Rc::clone(resumable));
                None
            }
        };
        ended.iter().for_each(|ended| lists.remove_client(ended.client));
        let index = lists.by_client.partition_point(|other| other.client < resumable.client);
        lists.by_client.insert(index, Rc::clone(resumable));
        ended
    }

    /// Removes a session that has ended.
    pub(crate) fn remove(&self, resumable: &Resumable) {
        let Some(lists) = self.0.get() else { return };
        let lists = &mut *lists.borrow_mut();
        // Another one may have its token.
        if let Ok(index) = position(&lists.by_token, &resumable.token)
            && ptr::eq(&*lists.by_token[index], resumable)
        {
            lists.by_token.remove(index);
            lists.remove_client(resumable.client);
        }
    }

    /// Returns the sessions in the order of their clients' ids.
    pub(super) fn all(&self) -> Vec<Rc<Resumable>> {
        self.0.get().map_or_else(Vec::new, |lists| lists.borrow().by_client.clone())
    }

    /// Returns whether there are none.
    pub(super) fn is_empty(&self) -> bool {
        self.0.get().is_none_or(|lists| lists.borrow().by_client.is_empty())
    }

    /// Counts a message of a client that is in the history of the room, if the client has a session.
    pub(super) fn note_recorded(&self, client: ClientId) {
        if let Some(lists) = self.0.get() {
            let lists = lists.borrow();
            if let Ok(index) = lists.by_client.binary_search_by_key(&client, |resumable| resumable.client) {
                let recorded = &lists.by_client[index].recorded;
                recorded.set(recorded.get() + 1);
            }
        }
    }

    /// Returns the session that a client wants to resume; `None` if it has to begin a new one.
    ///
    /// # Errors
    /// The client has opened a newer connection, which has arrived earlier.
    pub(crate) fn find(&self, request: &SessionRequest) -> Result<Option<Rc<Resumable>>, CloseReason> {
        let Some(lists) = self.0.get().map(|lists| lists.borrow()) else { return Ok(None) };
        let Ok(index) = position(&lists.by_token, &request.token) else { return Ok(None) };
        let resumable = &lists.by_token[index];
        if request.attempt < resumable.attempt.get() {
            return Err(CloseReason::Resumed);
        }
        let can_resume = resumable.can_have_received(request)
            && resumable.outbox.borrow().can_resume(resumable.received(request));
        Ok(can_resume.then(|| Rc::clone(resumable)))
    }
}

impl Lists {
    fn remove_client(&mut self, client: ClientId) {
        if let Ok(index) = self.by_client.binary_search_by_key(&client, |resumable| resumable.client) {
            self.by_client.remove(index);
        }
    }
}

/// Returns the place of a token, or where it would be.
fn position(sessions: &[Rc<Resumable>], token: &Token) -> Result<usize, usize> {
    sessions.binary_search_by(|resumable| resumable.token.cmp(token))
}

impl Resumable {
    pub(super) fn new(
        client: ClientId,
        token: Token,
        attempt: u64,
        begun: u64,
        outbox: &Rc<Outbox>,
    ) -> Rc<Self> {
        Rc::new(Self {
            client,
            token,
            attempt: Cell::new(attempt),
            begun: Cell::new(begun),
            handled: Cell::new(0),
            recorded: Cell::new(0),
            most_received: Cell::new(u64::MAX),
            outbox: RefCell::new(Rc::clone(outbox)),
            resumption: RefCell::default(),
        })
    }

    /// Returns false if the client has received messages that the room has not sent, or has sent some without having received a
    /// greeting: the disk has lost what came last.
    fn can_have_received(&self, request: &SessionRequest) -> bool {
        let is_later = self.most_received.get() == u64::MAX;
        is_later
            || self.received(request) <= self.most_received.get()
                && (self.is_known(request) || self.handled.get() == 0)
    }

    /// Returns whether the client has received a greeting of this session. If it has not, it has not sent anything, either.
    fn is_known(&self, request: &SessionRequest) -> bool {
        self.begun.get() == request.begun
    }

    /// Returns the number of messages of this session that the client has received.
    fn received(&self, request: &SessionRequest) -> u64 {
        if self.is_known(request) { request.received } else { 0 }
    }

    /// Hands over the connection on which the session is to be resumed, and wakes the task of the session. Returns an older connection
    /// that still waits, which is to be closed.
    pub(crate) fn resume(&self, resumption: Box<Resumption>) -> Option<Box<Resumption>> {
        self.attempt.set(resumption.request.attempt);
        let waiting = &resumption.socket.outbox;
        let listener: Weak<Outbox> = Rc::downgrade(waiting);
        resumption.socket.stream().set_listener(listener);
        // It may be gone already.
        waiting.probe();
        let outbox = self.outbox.borrow();
        // From now on, messages are for the new connection.
        outbox.detach();
        outbox.confirm(self.received(&resumption.request));
        let older = self.resumption.replace(Some(resumption));
        outbox.wake();
        older
    }

    /// Watches the connection on which the session is to be resumed, as long as the room is busy. Drops it if its client has gone. Ready
    /// when the session has ended.
    pub(crate) fn poll_waiting(&self, cx: &mut Context<'_>) -> Poll<()> {
        // Another connection wakes the task, too.
        if self.outbox.borrow().poll_session_ended(cx).is_ready() {
            return Poll::Ready(());
        }
        let waiting = self.resumption.borrow().as_ref().map(|waiting| Rc::clone(&waiting.socket.outbox));
        if waiting.is_some_and(|outbox| matches!(outbox.poll_closing(cx), Poll::Ready(None))) {
            self.resumption.take();
        }
        Poll::Pending
    }

    /// Returns whether there is a connection on which the session is to be resumed.
    pub(crate) fn has_resumption(&self) -> bool {
        self.resumption.borrow().is_some()
    }

    /// Takes the connection on which the session is to be resumed, if there is one.
    pub(crate) fn take_resumption(&self) -> Option<Box<Resumption>> {
        self.resumption.take()
    }

    /// Waits for a connection on which the session is to be resumed. `None` if the session ends first.
    pub(crate) fn poll_resumption(&self, cx: &Context<'_>) -> Poll<Option<Box<Resumption>>> {
        if self.outbox.borrow().poll_session_ended(cx).is_ready() {
            return Poll::Ready(None);
        }
        self.take_resumption().map_or(Poll::Pending, |resumption| Poll::Ready(Some(resumption)))
    }

    pub(crate) fn outbox(&self) -> Rc<Outbox> {
        Rc::clone(&self.outbox.borrow())
    }

    /// Resumes the session with another outbox, and sends the greeting. `greeting` is called with true if the client knows the
    /// session. Returns false if a message is lost that the client has not received.
    pub(crate) fn replace_outbox(
        &self,
        outbox: &Rc<Outbox>,
        request: &SessionRequest,
        greeting: impl FnOnce(bool) -> String,
    ) -> bool {
        let mut current = self.outbox.borrow_mut();
        let is_known = self.is_known(request);
        let is_replaced = outbox.replace(&current, self.received(request), &greeting(is_known));
        if is_replaced {
            *current = Rc::clone(outbox);
            self.most_received.set(u64::MAX);
            if !is_known {
                // For the client, it begins now.
                self.begun.set(request.attempt);
            }
        }
        is_replaced
    }
}
