use alloc::{boxed::Box, string::String, string::ToString as _};

use crate::{
    SimpleStateroomService, StateroomService,
    engine::{Engine, EngineFactory, Event, Progress},
    guest::{BY_DEFAULT, BY_NEW, Guest, InForm},
};

use super::world::World;

/// Any engine, in a test's world. The public traits are generic in their context, which no `dyn` can be.
pub(super) trait AnyEngine {
    fn begin(&mut self, event: Event<'_>, world: &World);
    fn advance(&mut self, world: &World) -> Progress<'_>;
}

/// Makes the service of the room with an id, and begins its `init`.
pub(super) type Make = Box<dyn FnOnce(&str, &World) -> Result<Box<dyn AnyEngine>, String>>;

/// A type that can be a room. `Form` only keeps the two ways to be one apart; the compiler finds it by itself.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be a room",
    label = "must implement `StateroomService` and `Default`, or `SimpleStateroomService`"
)]
pub trait Native<Form> {
    /// The type in its form.
    type Guest: Guest;
}

/// The form of a type that implements [`StateroomService`] and [`Default`].
#[derive(Debug)]
pub enum ByDefault {}

/// The form of a type that implements [`SimpleStateroomService`].
#[derive(Debug)]
pub enum ByNew {}

impl<S: StateroomService + Default + 'static> Native<ByDefault> for S {
    type Guest = InForm<S, BY_DEFAULT>;
}

impl<S: SimpleStateroomService + 'static> Native<ByNew> for S {
    type Guest = InForm<S, BY_NEW>;
}

/// Makes services as a guest does.
pub(super) fn native<S: Native<Form>, Form>() -> Make {
    Box::new(|id, world| Ok(Box::new(Running(S::Guest::create(id, world)))))
}

/// Makes services as a server does.
pub(super) fn made_by(factory: impl EngineFactory) -> Make {
    Box::new(move |id, world| {
        let mut engine = factory.build(id, world).map_err(|error| error.to_string())?;
        engine.begin(Event::Init, world);
        Ok(Box::new(Running(engine)))
    })
}

struct Running<E>(E);

impl<E: Engine> AnyEngine for Running<E> {
    fn begin(&mut self, event: Event<'_>, world: &World) {
        self.0.begin(event, world);
    }

    fn advance(&mut self, world: &World) -> Progress<'_> {
        self.0.advance(world)
    }
}
