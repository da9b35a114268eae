use alloc::{boxed::Box, string::String, string::ToString as _};
use core::marker::PhantomData;

use crate::{ClientId, MessagePayload, Progress, StateroomService, StateroomServiceFactory, guest::Guest};

use super::world::World;

/// Something that happens to a room.
#[derive(Debug, Clone, Copy)]
pub(super) enum Event<'a> {
    Connect(ClientId),
    Disconnect(ClientId),
    Message(ClientId, MessagePayload<'a>),
    Timer,
}

/// Any service, in a test's world. The public traits are generic in their context, which no `dyn` can be.
pub(super) trait Service {
    fn handle(&mut self, event: Event<'_>, world: &World);
    fn advance(&mut self, world: &World) -> Progress<'_>;
}

/// Makes the service of the room with an id, and begins its `init`.
pub(super) type Make = Box<dyn FnOnce(&str, &World) -> Result<Box<dyn Service>, String>>;

/// Makes services as a guest does.
pub(super) fn native<S: Guest<Form> + 'static, Form: 'static>() -> Make {
    Box::new(|id, world| Ok(Box::new(Native::<S, Form> { service: S::create(id, world), form: PhantomData })))
}

/// Makes services as a server does.
pub(super) fn made_by(factory: impl StateroomServiceFactory) -> Make {
    Box::new(move |id, world| {
        let mut service = factory.build(id, world).map_err(|error| error.to_string())?;
        service.init(world);
        Ok(Box::new(Hosted(service)))
    })
}

struct Native<S, Form> {
    service: S,
    form: PhantomData<Form>,
}

impl<S: Guest<Form>, Form> Service for Native<S, Form> {
    fn handle(&mut self, event: Event<'_>, world: &World) {
        match event {
            Event::Connect(client) => self.service.connect(client, world),
            Event::Disconnect(client) => self.service.disconnect(client, world),
            Event::Message(client, message) => self.service.message(client, message, world),
            Event::Timer => self.service.timer(world),
        }
    }

    fn advance(&mut self, _: &World) -> Progress<'_> {
        Progress::Done
    }
}

struct Hosted<S>(S);

impl<S: StateroomService> Service for Hosted<S> {
    fn handle(&mut self, event: Event<'_>, world: &World) {
        match event {
            Event::Connect(client) => self.0.connect(client, world),
            Event::Disconnect(client) => self.0.disconnect(client, world),
            Event::Message(client, message) => self.0.message(client, message, world),
            Event::Timer => self.0.timer(world),
        }
    }

    fn advance(&mut self, world: &World) -> Progress<'_> {
        self.0.advance(world)
    }
}
