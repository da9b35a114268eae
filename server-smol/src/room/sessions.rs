use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    rc::Rc,
    task::{Context, Poll},
};

use crate::{
    admission::Permit,
    close::CloseReason,
    wire::{Outbox, Socket},
};

use super::session_request::{SessionRequest, Token};

/// The sessions of a room that can continue on another connection.
#[derive(Debug, Default)]
pub(crate) struct Sessions(RefCell<BTreeMap<Token, Rc<Resumable>>>);

/// A session that can continue on another connection.
#[derive(Debug)]
pub(crate) struct Resumable {
    token: Token,
    /// The number of connections that its client had opened before the last one of these.
    attempt: Cell<u64>,
    /// The number of the connection with which the session began, as far as the client can know: it has received no greeting of
    /// earlier ones.
    begun: Cell<u64>,
    /// The outbox of its connection, or of the last one.
    outbox: RefCell<Rc<Outbox>>,
    /// The connection that is about to replace it.
    resumption: RefCell<Option<Resumption>>,
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

impl Sessions {
    /// Adds a session. One with the same token, which could not be resumed, ends.
    pub(crate) fn add(&self, request: &SessionRequest, outbox: &Rc<Outbox>) -> Rc<Resumable> {
        let token = request.token.clone();
        let resumable = Rc::new(Resumable {
            token: token.clone(),
            attempt: Cell::new(request.attempt),
            begun: Cell::new(request.attempt),
            outbox: RefCell::new(Rc::clone(outbox)),
            resumption: RefCell::default(),
        });
        if let Some(other) = self.0.borrow_mut().insert(token, Rc::clone(&resumable)) {
            other.outbox.borrow().close(CloseReason::Resumed);
        }
        resumable
    }

    /// Removes a session that has ended.
    pub(crate) fn remove(&self, resumable: &Rc<Resumable>) {
        let mut sessions = self.0.borrow_mut();
        // Another one may have its token.
        if sessions.get(&resumable.token).is_some_and(|other| Rc::ptr_eq(other, resumable)) {
            sessions.remove(&resumable.token);
        }
    }

    /// Returns the session that a client wants to resume; nothing if it has to begin a new one.
    ///
    /// # Errors
    /// The client has opened this connection before the last one: connections do not always arrive in order.
    pub(crate) fn find(&self, request: &SessionRequest) -> Result<Option<Rc<Resumable>>, CloseReason> {
        let sessions = self.0.borrow();
        let Some(resumable) = sessions.get(&request.token) else { return Ok(None) };
        if request.attempt < resumable.attempt.get() {
            return Err(CloseReason::Resumed);
        }
        let can_continue = resumable.outbox.borrow().can_continue(resumable.received(request));
        Ok(can_continue.then(|| Rc::clone(resumable)))
    }
}

impl Resumable {
    /// Returns whether the client knows of this session. Otherwise it has not received the greeting, and has sent nothing.
    fn is_known(&self, request: &SessionRequest) -> bool {
        self.begun.get() == request.begun
    }

    /// Returns how many messages of this session the client has received.
    fn received(&self, request: &SessionRequest) -> u64 {
        if self.is_known(request) { request.received } else { 0 }
    }

    /// Hands over the connection on which the session is to continue, and wakes the task of the session.
    pub(crate) fn resume(&self, resumption: Resumption) {
        self.attempt.set(resumption.request.attempt);
        // If there is one already, it is stale.
        self.resumption.replace(Some(resumption));
        let outbox = self.outbox.borrow();
        // What is sent from now on is for the new connection.
        outbox.set_absent();
        outbox.wake();
    }

    /// Returns whether there is a connection on which the session is to continue.
    pub(crate) fn has_resumption(&self) -> bool {
        self.resumption.borrow().is_some()
    }

    /// Takes the connection on which the session is to continue, if there is one.
    pub(crate) fn take_resumption(&self) -> Option<Resumption> {
        self.resumption.take()
    }

    /// Waits for the connection on which the session is to continue. Nothing if the session ends first.
    pub(crate) fn poll_resumption(&self, cx: &Context<'_>) -> Poll<Option<Resumption>> {
        if self.outbox.borrow().poll_session_ended(cx).is_ready() {
            return Poll::Ready(None);
        }
        self.take_resumption().map_or(Poll::Pending, |resumption| Poll::Ready(Some(resumption)))
    }

    /// Lets the session continue with another outbox, and greets its client. `greeting` is called with whether the client knows of
    /// the session. Returns false if a message is lost that the client has not received.
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
            if !is_known {
                // For the client, it begins now.
                self.begun.set(request.attempt);
            }
        }
        is_replaced
    }
}
