use core::{convert::Infallible, fmt, marker::PhantomData};

use crate::{ClientId, MessagePayload, StateroomContext};

/// The logic of a room: what happens when clients come, talk and go.
///
/// Every room has a service of its own, and its events come one at a time, in order. All methods have a
/// default that does nothing. Every service is an [`Engine`](crate::engine::Engine), which is what a server drives.
///
/// ```
/// use stateroom_sdk_core::*;
///
/// #[stateroom_wasm]
/// #[derive(Default)]
/// struct SharedCounter(i32);
///
/// impl StateroomService for SharedCounter {
///     fn message(&mut self, _: ClientId, message: MessagePayload, ctx: &impl StateroomContext) {
///         match message.text() {
///             Some("increment") => self.0 += 1,
///             Some("decrement") => self.0 -= 1,
///             _ => return,
///         }
///         ctx.send_message(MessageRecipient::Broadcast, format_args!("new value: {}", self.0));
///     }
/// }
/// ```
#[allow(unused_variables, reason = "the parameters' names are documentation")]
pub trait StateroomService {
    /// Handles the beginning of the room. Nobody is in it yet.
    fn init(&mut self, context: &impl StateroomContext) {}

    /// Handles a client that has come. It is called before the client's first message.
    fn connect(&mut self, client_id: ClientId, context: &impl StateroomContext) {}

    /// Handles a client that has gone and can no longer be reached. It is called exactly once, after the client's
    /// last message, however the client left.
    fn disconnect(&mut self, client_id: ClientId, context: &impl StateroomContext) {}

    /// Handles a message from a client.
    fn message(&mut self, client_id: ClientId, message: MessagePayload<'_>, context: &impl StateroomContext) {
    }

    /// Handles the timer that was set with [`set_timer`](StateroomContext::set_timer) and is due.
    fn timer(&mut self, context: &impl StateroomContext) {}
}

/// Makes the service of each new room. Every such factory is an [`EngineFactory`](crate::engine::EngineFactory), which is
/// what a server takes.
pub trait StateroomServiceFactory: Send + Sync + 'static {
    /// The services that this factory makes.
    type Service: StateroomService + 'static;

    /// The reason why a service could not be made. It is shown to the operator, not to clients.
    type Error: fmt::Display;

    /// Makes the service of the room `room_id`. The host then calls its [`init`](StateroomService::init).
    ///
    /// # Errors
    /// The room does not come to life; the clients that wanted it are turned away.
    fn build(&self, room_id: &str, context: &impl StateroomContext) -> Result<Self::Service, Self::Error>;
}

/// Makes services by [`Default`].
///
/// ```
/// use stateroom_sdk_core::{DefaultStateroomFactory, StateroomService};
///
/// #[derive(Default)]
/// struct Quiet;
/// impl StateroomService for Quiet {}
///
/// let factory = DefaultStateroomFactory::<Quiet>::default();
/// ```
pub struct DefaultStateroomFactory<S>(PhantomData<fn() -> S>);

impl<S> Default for DefaultStateroomFactory<S> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<S> fmt::Debug for DefaultStateroomFactory<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DefaultStateroomFactory")
    }
}

impl<S: StateroomService + Default + 'static> StateroomServiceFactory for DefaultStateroomFactory<S> {
    type Service = S;
    type Error = Infallible;

    fn build(&self, _: &str, _: &impl StateroomContext) -> Result<S, Infallible> {
        Ok(S::default())
    }
}
