//! The interface between a server and what runs in its rooms. Servers and hosts use it; authors do not need it.
//!
//! A server takes an [`EngineFactory`], builds an [`Engine`] for each room, and hands it one [`Event`] at a time.
//! Every [`StateroomService`] is an engine: its events end when its methods return. An interpreter of guests
//! implements [`Engine`] itself: its events may take several slices, be refused or fail, and its rooms may hibernate.
//!
//! ```
//! use stateroom_core::engine::{Engine, EngineContext, Event, Progress};
//!
//! /// Runs an event to its end.
//! fn run(engine: &mut impl Engine, event: Event<'_>, context: &impl EngineContext) -> Result<(), String> {
//!     engine.begin(event, context);
//!     loop {
//!         match engine.advance(context) {
//!             Progress::Done => return Ok(()),
//!             // A server lets other rooms run here.
//!             Progress::Unfinished => {}
//!             Progress::Refused => return Err("there is no space for this message".into()),
//!             Progress::Failed(reason) => return Err(reason.to_string()),
//!         }
//!     }
//! }
//! # use stateroom_core::*;
//! # struct World;
//! # impl StateroomContext for World {
//! #     fn send_message(&self, _: impl Into<MessageRecipient>, _: impl ToPayload) {}
//! #     fn set_timer(&self, _: u32) {}
//! # }
//! # impl EngineContext for World {}
//! # #[derive(Default)]
//! # struct Quiet;
//! # impl StateroomService for Quiet {}
//! # assert_eq!(run(&mut Quiet, Event::Init, &World), Ok(()));
//! ```

use core::fmt;

use crate::{
    ClientId, MessagePayload, MessageRecipient, StateroomContext, StateroomService, StateroomServiceFactory,
};

/// A runner of one room's events: a native service, or an interpreter of guests.
///
/// A server calls [`begin`](Self::begin) once for each event, and then [`advance`](Self::advance) until the event is
/// over. It begins no other event in between, and asks for nothing else than the amounts of memory and fuel.
///
/// Implement [`StateroomService`] instead if your events end by returning: every service is an engine.
pub trait Engine {
    /// Begins an event. Runs one slice of it at most.
    ///
    /// [`Event::Init`] comes first, and once. Messages come from clients that have connected and not disconnected.
    fn begin(&mut self, event: Event<'_>, context: &impl EngineContext);

    /// Continues the last event for one slice at most, and returns its state.
    ///
    /// A server calls it after [`begin`](Self::begin), and again while the result is [`Progress::Unfinished`]. When
    /// the event is over, this only repeats the result.
    fn advance(&mut self, context: &impl EngineContext) -> Progress<'_>;

    /// Returns about how many bytes of memory the engine holds now. 0 if nobody counts, as in native services.
    ///
    /// A server asks after each slice, so this has to be cheap.
    fn memory_held(&self) -> usize {
        0
    }

    /// Returns how much fuel the last event has used up to now. Nothing if nobody counts, as in native services.
    fn fuel_used(&self) -> Option<u64> {
        None
    }

    /// Returns about how many bytes of memory [`hibernate`](Self::hibernate) would give back. 0 if the engine hibernates
    /// already, or never does, as with native services.
    ///
    /// A server asks between two events, often, so this has to be cheap.
    fn reclaimable(&self) -> usize {
        0
    }

    /// Returns the kind of a failure after [`Progress::Failed`], for statistics: a word such as `out_of_fuel`.
    fn failure_kind(&self) -> &'static str {
        "failed"
    }

    /// Says what else the operator should know of a failure. A server calls it once, when it has logged the reason of
    /// [`Progress::Failed`].
    fn report_failure(&mut self, context: &impl EngineContext) {
        let _ = context;
    }

    /// Calls `write` with the bytes of a recording of the room's events up to now, in pieces. Returns false if there is none.
    fn recording(&self, write: &mut dyn FnMut(&[u8])) -> bool {
        let _ = write;
        false
    }

    /// Returns the parts of the engine that a server needs to keep the room on disk, if it can be kept.
    fn durable(&mut self) -> Option<&mut dyn Durable> {
        None
    }

    /// Does one bounded step towards holding less memory until the next event. That event then takes a little longer.
    /// The service notices nothing.
    ///
    /// A server calls this between two events of a room that has been idle for a while, or that it needs the memory of,
    /// and again while the answer is [`Hibernation::Unfinished`]. An event may come between two steps. It finds
    /// everything as it was, and the next step may have to begin anew.
    fn hibernate(&mut self) -> Hibernation {
        Hibernation::Kept
    }
}

/// An [`Engine`] whose room can be kept on disk: as a *base*, which is the state of the room at some time, and the records of its
/// events since then. [`EngineFactory::restore`] makes an engine of these.
pub trait Durable {
    /// Calls `write` with the records of all events that have ended since the last call, if there are any. The record of an event is
    /// there before its first effect.
    fn take_records(&mut self, write: &mut dyn FnMut(&[u8]));

    /// Calls `write` with the present state of the room, in pieces. Returns false if there is none: an event has not ended, or the
    /// engine is broken.
    fn write_base(&mut self, write: &mut dyn FnMut(&[u8])) -> bool;

    /// Does one bounded step of the restoration of a room. When an event is over, calls `watch` with the event, and then with each of
    /// its effects that concerns clients.
    ///
    /// A server calls it after [`EngineFactory::restore`], and again while the result is [`Restoration::Unfinished`].
    fn restore_step(&mut self, watch: Option<&mut dyn FnMut(Replayed<'_>)>) -> Restoration<'_>;

    /// Returns the fuel of all events that the room has had again in its restoration.
    fn restored_fuel(&self) -> u64 {
        0
    }

    /// Returns whether the room has had [`Event::Init`].
    fn started(&self) -> bool;

    /// Returns the clients that are in the room, in the order of their ids.
    fn clients(&self) -> &[ClientId];

    /// Returns the lowest id that no client of the room has ever had.
    fn next_client(&self) -> ClientId;

    /// Returns the time at which the timer is due, in milliseconds since the Unix epoch, if it is set. It is a time of the clock that shows
    /// `now_ms` now: the time of the room may be ahead of it, as it does not go back if the clock does.
    fn timer_due(&self, now_ms: u64) -> Option<u64>;
}

/// A part of what happens again while a room is [restored](Durable::restore_step).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Replayed<'a> {
    /// An event that has taken effect.
    Event(Event<'a>),
    /// The engine had no space for a message of this client.
    Refused(ClientId),
    /// A message to clients.
    Send(MessageRecipient, MessagePayload<'a>),
    /// The end of the connections of clients.
    Close(MessageRecipient),
}

/// The result of one step of [`Durable::restore_step`].
#[derive(Clone, Copy)]
#[must_use]
pub enum Restoration<'a> {
    /// There is more to do: call [`restore_step`](Durable::restore_step) again.
    Unfinished,
    /// The room is as it was.
    Done,
    /// The room cannot be restored, for this reason.
    Failed(&'a dyn fmt::Display),
}

impl fmt::Debug for Restoration<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unfinished => f.write_str("Unfinished"),
            Self::Done => f.write_str("Done"),
            Self::Failed(reason) => write!(f, "Failed({reason})"),
        }
    }
}

/// An event in a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event<'a> {
    /// The room has been made; nobody is in it yet.
    Init,
    /// A client has come. While this event lasts, [`client_info`](StateroomContext::client_info) answers for this client.
    Connect(ClientId),
    /// A client has gone and can no longer be reached. Comes once, after its last message.
    Disconnect(ClientId),
    /// A client sent a message. It is borrowed for the first slice only.
    Message(ClientId, MessagePayload<'a>),
    /// The time asked for with [`set_timer`](StateroomContext::set_timer) is up.
    Timer,
}

/// The state of the last event of an [`Engine`].
#[derive(Clone, Copy)]
#[must_use]
pub enum Progress<'a> {
    /// The event is over and has taken effect.
    Done,
    /// The event has used up its slice; [`advance`](Engine::advance) goes on with it.
    Unfinished,
    /// The engine had no space for the message. It did not happen; the room lives on.
    Refused,
    /// The engine is broken, for this reason, and must not be called again. If it is a guest, the event had no
    /// effects; what a native service sent before it panicked has been sent.
    Failed(&'a dyn fmt::Display),
}

impl fmt::Debug for Progress<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Done => f.write_str("Done"),
            Self::Unfinished => f.write_str("Unfinished"),
            Self::Refused => f.write_str("Refused"),
            Self::Failed(reason) => write!(f, "Failed({reason})"),
        }
    }
}

/// The result of one step of [`Engine::hibernate`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Hibernation {
    /// There is more to do: call [`hibernate`](Engine::hibernate) again.
    Unfinished,
    /// The engine hibernates until its next event. [`reclaimable`](Engine::reclaimable) is 0 until then.
    Done,
    /// The engine stays as it is: it cannot hibernate, or would gain too little. There is no need to ask again before
    /// its next event.
    Kept,
}

/// The result of one step of [`EngineFactory::renew`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[must_use]
pub enum Renewal {
    /// There is more to do: call [`renew`](EngineFactory::renew) again.
    Unfinished,
    /// The engine runs already what the factory builds now.
    Unchanged,
    /// The engine runs what the factory builds now, in the state that the service has saved and loaded. It may have effects: a
    /// server calls [`Engine::advance`].
    Loaded,
    /// The engine runs what the factory builds now, in the state that all events of the room have led to.
    Replayed,
    /// The engine runs what the factory builds now, and has had no event. A server hands in [`Event::Init`], and then
    /// [`Event::Connect`] for each client of the room.
    Fresh,
    /// The engine stays as it is.
    Kept,
}

/// The actions that an [`Engine`] can ask for: those of a [`StateroomContext`], and a few for engines only.
pub trait EngineContext: StateroomContext {
    /// Calls `each` with every key and value that [`client_info`](StateroomContext::client_info) has at this moment,
    /// each key once. Contexts without connections have none.
    ///
    /// An engine calls it in [`begin`](Engine::begin) of that client's [`Event::Connect`], where it has to keep the
    /// values: a guest may ask in a later slice.
    fn each_client_info(&self, client: ClientId, each: &mut dyn FnMut(&str, &str)) {
        let _ = (client, each);
    }

    /// Writes a warning about the engine to the operator's log. Contexts without a log drop it.
    ///
    /// It is not a line of the service: that is [`log`](StateroomContext::log).
    fn warn(&self, words: &dyn fmt::Display) {
        let _ = words;
    }

    /// Returns whether so much has been asked for since [`begin`](Engine::begin) or [`advance`](Engine::advance) was
    /// called that other rooms should run first.
    ///
    /// An engine that has a list of effects to carry out asks after each of them. If the answer is yes, it does the
    /// rest with the next [`advance`](Engine::advance).
    fn wants_pause(&self) -> bool {
        false
    }
}

/// Builds the [`Engine`] of each new room. This is what a server takes.
///
/// Implement [`StateroomServiceFactory`] instead to make native services: every such factory is an `EngineFactory`.
pub trait EngineFactory: Send + Sync + 'static {
    /// The engines that this factory builds.
    type Engine: Engine + 'static;

    /// The reason why an engine could not be built. It is shown to the operator, not to clients.
    type Error: fmt::Display;

    /// Builds the engine of the room `room_id`. The server then hands it [`Event::Init`].
    ///
    /// # Errors
    /// The room does not come to life; the clients that wanted it are turned away.
    fn build(&self, room_id: &str, context: &impl EngineContext) -> Result<Self::Engine, Self::Error>;

    /// Returns about how many bytes of memory a new room will hold, or 0 if nobody counts, as in native services.
    ///
    /// A server may ask before it builds a room, to find the memory first.
    fn room_size(&self) -> usize {
        0
    }

    /// Returns whether the rooms of this factory can be kept on disk: see [`Durable`].
    fn is_durable(&self) -> bool {
        false
    }

    /// Builds the engine of a room from its base and the records of its events after that. [`Durable::restore_step`] does the rest.
    /// Returns `None` if this is not possible, and [says why](EngineContext::warn).
    fn restore(
        &self,
        room_id: &str,
        base: &[u8],
        records: &[u8],
        context: &impl EngineContext,
    ) -> Option<Self::Engine> {
        let _ = (room_id, base, records, context);
        None
    }

    /// Calls `each` with the sender of each message among these [records](Durable::take_records).
    fn each_sender(&self, records: &[u8], each: &mut dyn FnMut(ClientId)) {
        let _ = (records, each);
    }

    /// Returns whether an engine can take its state into what [`build`](Self::build) builds now, and has not done so. A room that has
    /// just been restored is [renewed](Self::renew) if it can.
    fn can_migrate(&self, engine: &Self::Engine) -> bool {
        let _ = engine;
        false
    }

    /// Does one bounded step towards running in an existing engine what [`build`](Self::build) builds now. The clients of the room
    /// stay. Factories that always build the same have nothing to do.
    ///
    /// A server calls it between two events, and again while the result is [`Renewal::Unfinished`]. It hands in no event in
    /// between.
    fn renew(&self, engine: &mut Self::Engine, context: &impl EngineContext) -> Renewal {
        let _ = (engine, context);
        Renewal::Unchanged
    }

    /// Gives up a renewal that is unfinished. The engine stays as it was before.
    fn cancel_renewal(&self, engine: &mut Self::Engine) {
        let _ = engine;
    }
}

impl<S: StateroomService> Engine for S {
    /// Returns `panic`: a service does not fail in another way.
    fn failure_kind(&self) -> &'static str {
        "panic"
    }

    fn begin(&mut self, event: Event<'_>, context: &impl EngineContext) {
        match event {
            Event::Init => self.init(context),
            Event::Connect(client) => self.connect(client, context),
            Event::Disconnect(client) => self.disconnect(client, context),
            Event::Message(client, message) => self.message(client, message, context),
            Event::Timer => self.timer(context),
        }
    }

    fn advance(&mut self, _: &impl EngineContext) -> Progress<'_> {
        Progress::Done
    }
}

impl<F: StateroomServiceFactory> EngineFactory for F {
    type Engine = F::Service;
    type Error = F::Error;

    fn build(&self, room_id: &str, context: &impl EngineContext) -> Result<F::Service, F::Error> {
        StateroomServiceFactory::build(self, room_id, context)
    }
}

#[cfg(test)]
mod tests {
    use std::{cell::RefCell, format, string::String, vec::Vec};

    use crate::{DefaultStateroomFactory, MessageRecipient, ToPayload};

    use super::*;

    /// Notes what it is sent.
    #[derive(Default)]
    struct World(RefCell<Vec<String>>);

    impl StateroomContext for World {
        fn send_message(&self, _: impl Into<MessageRecipient>, message: impl ToPayload) {
            message.with_payload(|payload| self.0.borrow_mut().push(format!("{payload:?}")));
        }

        fn set_timer(&self, _: u32) {}
    }

    impl EngineContext for World {}

    /// A service that reports which of its methods is called.
    #[derive(Default)]
    struct Chatty;

    impl StateroomService for Chatty {
        fn init(&mut self, context: &impl StateroomContext) {
            context.send_message(MessageRecipient::Broadcast, "init");
        }

        fn connect(&mut self, client_id: ClientId, context: &impl StateroomContext) {
            context.send_message(client_id, "connect");
        }

        fn disconnect(&mut self, client_id: ClientId, context: &impl StateroomContext) {
            context.send_message(client_id, "disconnect");
        }

        fn message(
            &mut self,
            client_id: ClientId,
            message: MessagePayload<'_>,
            context: &impl StateroomContext,
        ) {
            context.send_message(client_id, message);
        }

        fn timer(&mut self, context: &impl StateroomContext) {
            context.send_message(MessageRecipient::Broadcast, "timer");
        }
    }

    #[test]
    fn a_service_is_an_engine_that_is_done_at_once_and_stays_in_memory() {
        let (world, client) = (World::default(), ClientId(1));
        let factory = DefaultStateroomFactory::<Chatty>::default();
        assert_eq!(factory.room_size(), 0);
        let Ok(mut engine) = EngineFactory::build(&factory, "lobby", &world);
        let hello = MessagePayload::Bytes(&[7]);
        for (event, sent) in [
            (Event::Init, "Text(\"init\")"),
            (Event::Connect(client), "Text(\"connect\")"),
            (Event::Message(client, hello), "Bytes([7])"),
            (Event::Timer, "Text(\"timer\")"),
            (Event::Disconnect(client), "Text(\"disconnect\")"),
        ] {
            engine.begin(event, &world);
            assert!(matches!(engine.advance(&world), Progress::Done));
            assert_eq!(world.0.take(), [sent]);
            assert_eq!((engine.memory_held(), engine.reclaimable()), (0, 0));
            assert_eq!(engine.hibernate(), Hibernation::Kept);
        }
    }
}
