use std::{
    cell::{Cell, OnceCell, RefCell},
    mem, ptr,
    rc::{Rc, Weak},
    task::{Context, Poll},
};

use crate::{
    admission::Permit,
    close::CloseReason,
    wire::{Outbox, Socket},
};

use super::session_request::{SessionRequest, Token};

/// The resumable sessions of a room.
#[derive(Debug, Default)]
pub(crate) struct Sessions(OnceCell<Box<ByToken>>);

/// The sessions in the order of their tokens. Most rooms have none.
type ByToken = RefCell<Vec<Rc<Resumable>>>;

/// A resumable session.
#[derive(Debug)]
pub(crate) struct Resumable {
    token: Token,
    /// The largest [`attempt`](SessionRequest::attempt) of its connections.
    attempt: Cell<u64>,
    /// The `attempt` of the connection with which the session began for the client: the first one whose greeting it may have received.
    begun: Cell<u64>,
    /// The number of messages that the room has received from the client on earlier connections.
    pub(crate) handled: Cell<u64>,
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
    pub(crate) fn add(&self, request: &SessionRequest, outbox: &Rc<Outbox>) -> Rc<Resumable> {
        let resumable = Rc::new(Resumable {
            token: request.token.clone(),
            attempt: Cell::new(request.attempt),
            begun: Cell::new(request.attempt),
            handled: Cell::new(0),
            outbox: RefCell::new(Rc::clone(outbox)),
            resumption: RefCell::default(),
        });
        let mut sessions = self.0.get_or_init(Box::default).borrow_mut();
        let ended = match position(&sessions, &request.token) {
            // Connections do not always arrive in order.
            Ok(index) if sessions[index].attempt.get() > request.attempt => Rc::clone(&resumable),
            Ok(index) => mem::replace(&mut sessions[index], Rc::clone(&resumable)),
            Err(index) => {
                sessions.insert(index, Rc::clone(&resumable));
                return resumable;
            }
        };
        drop(sessions);
        ended.outbox.borrow().close(CloseReason::Resumed);
        resumable
    }

    /// Removes a session that has ended.
    pub(crate) fn remove(&self, resumable: &Resumable) {
        let Some(sessions) = self.0.get() else { return };
        let mut sessions = sessions.borrow_mut();
        // Another one may have its token.
        if let Ok(index) = position(&sessions, &resumable.token)
            && ptr::eq(&*sessions[index], resumable)
        {
            sessions.remove(index);
        }
    }

    /// Returns the session that a client wants to resume; `None` if it has to begin a new one.
    ///
    /// # Errors
    /// The client has opened a newer connection, which has arrived earlier.
    pub(crate) fn find(&self, request: &SessionRequest) -> Result<Option<Rc<Resumable>>, CloseReason> {
        let Some(sessions) = self.0.get().map(|sessions| sessions.borrow()) else { return Ok(None) };
        let Ok(index) = position(&sessions, &request.token) else { return Ok(None) };
        let resumable = &sessions[index];
        if request.attempt < resumable.attempt.get() {
            return Err(CloseReason::Resumed);
        }
        let can_resume = resumable.outbox.borrow().can_resume(resumable.received(request));
        Ok(can_resume.then(|| Rc::clone(resumable)))
    }
}

/// Returns the place of a token, or where it would be.
fn position(sessions: &[Rc<Resumable>], token: &Token) -> Result<usize, usize> {
    sessions.binary_search_by(|resumable| resumable.token.cmp(token))
}

impl Resumable {
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
            if !is_known {
                // For the client, it begins now.
                self.begun.set(request.attempt);
            }
        }
        is_replaced
    }
}
