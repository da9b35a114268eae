use crate::{ClientId, MessagePayload, SimpleStateroomService, StateroomContext, StateroomService};

/// The form of a guest that implements [`StateroomService`] and [`Default`].
#[derive(Debug)]
pub struct ByDefault;

/// The form of a guest that implements [`SimpleStateroomService`].
#[derive(Debug)]
pub struct ByNew;

/// A service in either form. `Form` only keeps the two implementations apart; the compiler finds it by
/// itself.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be a room",
    label = "must implement `StateroomService` and `Default`, or `SimpleStateroomService`",
    note = "write `impl StateroomService for {Self} {{ … }}` and `#[derive(Default)]`"
)]
pub trait Guest<Form>: Sized {
    /// Makes the service of a room.
    fn create(room_id: &str, context: &impl StateroomContext) -> Self;
    /// A client has come.
    fn connect(&mut self, client: ClientId, context: &impl StateroomContext);
    /// A client has gone.
    fn disconnect(&mut self, client: ClientId, context: &impl StateroomContext);
    /// A client sent a message.
    fn message(&mut self, client: ClientId, message: MessagePayload<'_>, context: &impl StateroomContext);
    /// The timer is due.
    fn timer(&mut self, context: &impl StateroomContext);
}

impl<S: StateroomService + Default> Guest<ByDefault> for S {
    fn create(_: &str, context: &impl StateroomContext) -> Self {
        let mut service = S::default();
        service.init(context);
        service
    }

    fn connect(&mut self, client: ClientId, context: &impl StateroomContext) {
        StateroomService::connect(self, client, context);
    }

    fn disconnect(&mut self, client: ClientId, context: &impl StateroomContext) {
        StateroomService::disconnect(self, client, context);
    }

    fn message(&mut self, client: ClientId, message: MessagePayload<'_>, context: &impl StateroomContext) {
        StateroomService::message(self, client, message, context);
    }

    fn timer(&mut self, context: &impl StateroomContext) {
        StateroomService::timer(self, context);
    }
}

impl<S: SimpleStateroomService> Guest<ByNew> for S {
    fn create(room_id: &str, context: &impl StateroomContext) -> Self {
        S::new(room_id, context)
    }

    fn connect(&mut self, client: ClientId, context: &impl StateroomContext) {
        SimpleStateroomService::connect(self, client, context);
    }

    fn disconnect(&mut self, client: ClientId, context: &impl StateroomContext) {
        SimpleStateroomService::disconnect(self, client, context);
    }

    fn message(&mut self, client: ClientId, message: MessagePayload<'_>, context: &impl StateroomContext) {
        match message {
            MessagePayload::Text(text) => {
                SimpleStateroomService::message(self, client, text, context);
            }
            MessagePayload::Bytes(bytes) => {
                SimpleStateroomService::binary(self, client, bytes, context);
            }
        }
    }

    fn timer(&mut self, context: &impl StateroomContext) {
        SimpleStateroomService::timer(self, context);
    }
}

/// Fails to compile unless `S` can be a guest; off WebAssembly, this is all that the attribute does.
pub const fn check<S: Guest<Form>, Form>() {}
