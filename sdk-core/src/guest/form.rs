#![forbid(unsafe_code)]

use core::marker::PhantomData;

use crate::{Simple, SimpleStateroomService, StateroomContext, StateroomService};

/// A type whose constants tell which traits `S` implements. If `S` has the trait, the constant here is found, and it
/// is true. Otherwise the constant of [`Lacking`] is found. This works if `S` is a concrete type, as it is in the
/// expansion of `#[stateroom_wasm]`.
#[derive(Debug)]
pub struct Probe<S>(PhantomData<S>);

/// The constants of a [`Probe`] whose type does not implement a trait.
pub trait Lacking {
    /// Does not implement [`StateroomService`].
    const SERVICE: bool = false;
    /// Does not implement [`SimpleStateroomService`].
    const SIMPLE: bool = false;
    /// Does not implement [`Default`].
    const DEFAULT: bool = false;
}

impl<S> Lacking for Probe<S> {}

impl<S: StateroomService> Probe<S> {
    /// Implements [`StateroomService`].
    pub const SERVICE: bool = true;
}

impl<S: SimpleStateroomService> Probe<S> {
    /// Implements [`SimpleStateroomService`].
    pub const SIMPLE: bool = true;
}

impl<S: Default> Probe<S> {
    /// Implements [`Default`].
    pub const DEFAULT: bool = true;
}

/// The form of a type that implements [`StateroomService`] and [`Default`].
pub const BY_DEFAULT: u8 = 1;
/// The form of a type that implements [`SimpleStateroomService`].
pub const BY_NEW: u8 = 2;
/// The form of every other type. The attribute refuses such a type, with only one error, because everything else in
/// its expansion compiles.
const INVALID: u8 = 0;

/// Returns the form of a type that implements these traits.
#[must_use]
pub const fn form(service: bool, simple: bool, default: bool) -> u8 {
    match (service, simple, default) {
        (true, false, true) => BY_DEFAULT,
        (false, true, _) => BY_NEW,
        _ => INVALID,
    }
}

/// A type in its form: how it becomes the service of a room.
pub trait Guest {
    /// The service.
    type Service: StateroomService + 'static;

    /// Makes the service of a room.
    fn create(room_id: &str, context: &impl StateroomContext) -> Self::Service;
}

/// The type `S`, which has the form `FORM`.
#[derive(Debug)]
pub struct InForm<S, const FORM: u8>(PhantomData<S>);

impl<S: StateroomService + Default + 'static> Guest for InForm<S, BY_DEFAULT> {
    type Service = S;

    fn create(_: &str, context: &impl StateroomContext) -> S {
        let mut service = S::default();
        service.init(context);
        service
    }
}

impl<S: SimpleStateroomService + 'static> Guest for InForm<S, BY_NEW> {
    type Service = Simple<S>;

    fn create(room_id: &str, context: &impl StateroomContext) -> Simple<S> {
        Simple(S::new(room_id, context))
    }
}

/// A service that cannot exist.
#[derive(Debug)]
pub enum Nothing {}

impl StateroomService for Nothing {}

impl<S> Guest for InForm<S, INVALID> {
    type Service = Nothing;

    fn create(_: &str, _: &impl StateroomContext) -> Nothing {
        unreachable!("`#[stateroom_wasm]` refuses such a type when it is compiled")
    }
}
