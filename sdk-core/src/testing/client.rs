use alloc::{rc::Rc, vec::Vec};
use core::fmt;

use crate::{ClientId, ToPayload, engine::Event};

use super::{Closed, Message, room::Room};

/// A client of a [`TestRoom`](super::TestRoom), made by [`connect`](super::TestRoom::connect).
///
/// It is a handle: clones are the same client. A client that is dropped does not leave the room. Call
/// [`leave`](Self::leave) for that.
#[derive(Clone)]
pub struct TestClient {
    room: Rc<Room>,
    id: ClientId,
}

impl TestClient {
    pub(super) fn new(room: Rc<Room>, id: ClientId) -> Self {
        Self { room, id }
    }

    /// Returns the client's id in the room. The first client of a room has the id 1.
    #[must_use]
    pub fn id(&self) -> ClientId {
        self.id
    }

    /// Sends a message to the room: text, bytes, or any other type that a service can send.
    ///
    /// # Panics
    /// The client has left or was closed, the room has no space for the message, or the room fails.
    #[track_caller]
    pub fn send(&self, message: impl ToPayload) {
        self.must_be_here("send a message");
        // What runs in the closure would have no caller to be tracked.
        let message = message.with_payload(|payload| Message::from(payload));
        self.room.run(Event::Message(self.id, message.payload()));
    }

    /// Takes the messages that have arrived since the last call, in the order in which they were sent.
    ///
    /// The result can be compared with an array, and with [`NOTHING`](super::NOTHING). See [`Message`].
    pub fn received(&self) -> Vec<Message> {
        self.room.world.take_inbox(self.id)
    }

    /// Returns the code and the reason with which the room has closed the client's connection, if it has.
    /// After this the client cannot send. Messages that arrived before can still be taken.
    ///
    /// ```
    /// # use stateroom_sdk_core::{testing::*, *};
    /// /// Accepts only one client.
    /// #[derive(Default)]
    /// struct Solo(u32);
    ///
    /// impl StateroomService for Solo {
    ///     fn connect(&mut self, client: ClientId, ctx: &impl StateroomContext) {
    ///         self.0 += 1;
    ///         if self.0 > 1 {
    ///             ctx.close(client, 4000, "taken");
    ///         }
    ///     }
    /// }
    ///
    /// let room = TestRoom::new::<Solo>();
    /// let (alice, bob) = (room.connect(), room.connect());
    /// assert_eq!(alice.closed(), None);
    /// assert_eq!(bob.closed().unwrap(), (4000, "taken"));
    /// ```
    #[must_use]
    pub fn closed(&self) -> Option<Closed> {
        self.room.world.closed(self.id)
    }

    /// Ends the client's connection. The room gets its `disconnect`, and the client gets no more messages.
    /// Messages that arrived before can still be taken.
    ///
    /// # Panics
    /// The client has left before or was closed, or the room fails.
    #[track_caller]
    pub fn leave(&self) {
        self.must_be_here("leave");
        self.room.world.leave(self.id);
        self.room.run(Event::Disconnect(self.id));
    }

    #[track_caller]
    fn must_be_here(&self, to: &str) {
        let world = &self.room.world;
        match world.closed(self.id) {
            Some(Closed { code, reason }) => {
                panic!("client {} cannot {to}: the room has closed it, with {code} {reason:?}", self.id)
            }
            None => assert!(world.is_here(self.id), "client {} cannot {to}: it has left the room", self.id),
        }
    }
}

impl fmt::Debug for TestClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TestClient({})", self.id)
    }
}
