use core::{convert::Infallible, fmt, marker::PhantomData};

use crate::{
    ClientId, MessagePayload, SaveState, StateroomContext, StateroomService, StateroomServiceFactory,
};

/// The older form of [`StateroomService`]. [`new`](Self::new) creates it with the room's id, not `Default`.
/// It has a separate method for each kind of message.
#[allow(unused_variables, reason = "the parameters' names are documentation")]
pub trait SimpleStateroomService: Sized {
    /// Creates the service of the room `room_id`. The room has no clients yet.
    fn new(room_id: &str, context: &impl StateroomContext) -> Self;

    /// Handles a client that has connected.
    fn connect(&mut self, client: ClientId, context: &impl StateroomContext) {}

    /// Handles a client that has disconnected.
    fn disconnect(&mut self, client: ClientId, context: &impl StateroomContext) {}

    /// Handles a text message from a client.
    fn message(&mut self, client: ClientId, message: &str, context: &impl StateroomContext) {}

    /// Handles a binary message from a client.
    fn binary(&mut self, client: ClientId, message: &[u8], context: &impl StateroomContext) {}

    /// Handles the timer when it is due.
    fn timer(&mut self, context: &impl StateroomContext) {}
}

/// Makes a [`StateroomService`] of a [`SimpleStateroomService`].
#[derive(Debug)]
pub struct Simple<S>(pub S);

impl<S: SimpleStateroomService> StateroomService for Simple<S> {
    fn connect(&mut self, client_id: ClientId, context: &impl StateroomContext) {
        self.0.connect(client_id, context);
    }

    fn disconnect(&mut self, client_id: ClientId, context: &impl StateroomContext) {
        self.0.disconnect(client_id, context);
    }

    fn message(&mut self, client_id: ClientId, message: MessagePayload<'_>, context: &impl StateroomContext) {
        match message {
            MessagePayload::Text(text) => self.0.message(client_id, text, context),
            MessagePayload::Bytes(bytes) => self.0.binary(client_id, bytes, context),
        }
    }

    fn timer(&mut self, context: &impl StateroomContext) {
        self.0.timer(context);
    }
}

impl<S: SaveState> SaveState for Simple<S> {
    type Error = S::Error;

    fn save(&self, write: &mut impl FnMut(&[u8])) {
        self.0.save(write);
    }

    fn load(&mut self, saved: &[u8], context: &impl StateroomContext) -> Result<(), S::Error> {
        self.0.load(saved, context)
    }
}

/// Creates [`SimpleStateroomService`]s for a server.
pub struct SimpleStateroomFactory<S>(PhantomData<fn() -> S>);

impl<S> Default for SimpleStateroomFactory<S> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<S> fmt::Debug for SimpleStateroomFactory<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SimpleStateroomFactory")
    }
}

impl<S: SimpleStateroomService + 'static> StateroomServiceFactory for SimpleStateroomFactory<S> {
    type Service = Simple<S>;
    type Error = Infallible;

    fn build(&self, room_id: &str, context: &impl StateroomContext) -> Result<Simple<S>, Infallible> {
        Ok(Simple(S::new(room_id, context)))
    }
}
