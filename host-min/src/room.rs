use alloc::{boxed::Box, vec::Vec};
use core::{fmt, mem};

use stateroom_sdk_core::{ClientId, MessagePayload, abi};
use wasmi::{
    Error, Instance, Store, TrapCode, TypedFunc, TypedResumableCall, TypedResumableCallOutOfFuel, WasmParams,
    WasmResults,
};

use crate::{
    Effects, Event, Step, Trap, TrapReason,
    state::{State, span},
    trap::reason,
};

/// One instance of a [`Program`](crate::Program), with state of its own. See the [crate's
/// documentation](crate) for how to drive it.
pub struct Room {
    pub(crate) id: Box<str>,
    store: Store<State>,
    exports: Exports,
    /// Whether the module was made by a published SDK, whose `jam_malloc` may answer 0 and mean it.
    versioned: bool,
    /// How much fuel the event that runs has left beyond its present slice.
    fuel: u64,
    status: Status,
}

enum Status {
    /// Ready for an event; how the last one ended.
    Ready(Step),
    Suspended(Box<Suspended>),
    Broken(Trap),
}

/// The guest's functions, looked up once.
struct Exports {
    malloc: TypedFunc<u32, u32>,
    free: TypedFunc<(u32, u32), ()>,
    initialize: TypedFunc<(u32, u32), ()>,
    connect: TypedFunc<u32, ()>,
    disconnect: TypedFunc<u32, ()>,
    timer: TypedFunc<(), ()>,
    message: TypedFunc<(u32, u32, u32), ()>,
    binary: TypedFunc<(u32, u32, u32), ()>,
}

/// Where an event stopped that has used up its slice. A hand-over is three calls: `jam_malloc`, the export,
/// `jam_free`.
enum Suspended {
    Malloc(TypedResumableCallOutOfFuel<u32>, Handover, Vec<u8>),
    Export(&'static str, TypedResumableCallOutOfFuel<()>, Option<Given>),
    Free(TypedResumableCallOutOfFuel<()>),
}

/// Which export gets the data that is handed over.
#[derive(Debug, Clone, Copy)]
enum Handover {
    RoomId,
    Text(ClientId),
    Bytes(ClientId),
}

/// Data that lies in the guest's memory and has to be freed.
#[derive(Debug, Clone, Copy)]
struct Given {
    at: u32,
    len: u32,
}

/// The most that a published guest whose `jam_malloc` answers 0 can take: what it overwrites there is the far
/// end of its stack.
const AT_ZERO: usize = 64 << 10;

impl Room {
    pub(crate) fn new(
        id: &str,
        mut store: Store<State>,
        instance: &Instance,
        versioned: bool,
    ) -> Result<Self, Trap> {
        if let Ok(reactor) = instance.get_typed_func::<(), ()>(&store, "_initialize") {
            let fuel = store.data().limits.startup_fuel;
            reactor.call(&mut store, ()).map_err(|error| trap("_initialize", &error, fuel))?;
        }
        let exports = Exports {
            malloc: export(&store, instance, abi::MALLOC)?,
            free: export(&store, instance, abi::FREE)?,
            initialize: export(&store, instance, abi::INITIALIZE)?,
            connect: export(&store, instance, abi::CONNECT)?,
            disconnect: export(&store, instance, abi::DISCONNECT)?,
            timer: export(&store, instance, abi::TIMER)?,
            message: export(&store, instance, abi::MESSAGE)?,
            binary: export(&store, instance, abi::BINARY)?,
        };
        Ok(Self { id: id.into(), store, exports, versioned, fuel: 0, status: Status::Ready(Step::Done) })
    }

    /// The id that the room was made with.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Begins an event, at most one slice of it. `now_ms` is the time in milliseconds since the Unix epoch;
    /// the guest sees it stand still until the event is over.
    ///
    /// While another event is suspended, this does nothing but answer [`Step::Suspended`].
    ///
    /// # Errors
    /// The event ended badly and the room is broken: all further events fail with the same [`Trap`].
    pub fn handle(&mut self, event: Event<'_>, now_ms: u64) -> Result<Step, Trap> {
        match &self.status {
            Status::Ready(_) => {}
            Status::Suspended(_) => return Ok(Step::Suspended),
            Status::Broken(trap) => return Err(trap.clone()),
        }
        let state = self.store.data_mut();
        state.effects.clear();
        state.now_ms = now_ms;
        state.debt = 0;
        self.fuel = state.limits.fuel;
        self.refuel(0);
        let result = self.begin(event);
        self.settle(result)
    }

    /// Goes on with a suspended event, at most one slice of it. Without one, this does nothing but repeat the
    /// last answer.
    ///
    /// # Errors
    /// As for [`handle`](Self::handle).
    pub fn resume(&mut self) -> Result<Step, Trap> {
        match mem::replace(&mut self.status, Status::Ready(Step::Done)) {
            Status::Suspended(suspended) => {
                let result = self.go_on(*suspended);
                self.settle(result)
            }
            other => {
                self.status = other;
                self.last().map_err(Trap::clone)
            }
        }
    }

    /// How the last event stands: what [`handle`](Self::handle) or [`resume`](Self::resume) answered.
    ///
    /// # Errors
    /// The room is broken.
    pub fn last(&self) -> Result<Step, &Trap> {
        match &self.status {
            Status::Ready(step) => Ok(*step),
            Status::Suspended(_) => Ok(Step::Suspended),
            Status::Broken(trap) => Err(trap),
        }
    }

    /// What the last event asks of the world. Empty while an event is suspended; of an event that was
    /// refused or trapped only log lines are left.
    #[must_use]
    pub fn effects(&self) -> Effects<'_> {
        let effects = self.store.data().effects.iter();
        match self.status {
            Status::Suspended(_) => effects.none(),
            Status::Ready(_) | Status::Broken(_) => effects,
        }
    }

    fn begin(&mut self, event: Event<'_>) -> Result<Step, Trap> {
        match event {
            Event::Init => {
                let id = mem::take(&mut self.id);
                let result = self.hand_over(Handover::RoomId, id.as_bytes());
                self.id = id;
                result
            }
            Event::Connect(client) => self.call(abi::CONNECT, |exports| &exports.connect, client.0, None),
            Event::Disconnect(client) => {
                self.call(abi::DISCONNECT, |exports| &exports.disconnect, client.0, None)
            }
            Event::Timer => self.call(abi::TIMER, |exports| &exports.timer, (), None),
            Event::Message(client, MessagePayload::Text(text)) => {
                self.hand_over(Handover::Text(client), text.as_bytes())
            }
            Event::Message(client, MessagePayload::Bytes(bytes)) => {
                self.hand_over(Handover::Bytes(client), bytes)
            }
        }
    }

    fn go_on(&mut self, suspended: Suspended) -> Result<Step, Trap> {
        match suspended {
            Suspended::Malloc(call, handover, data) => {
                self.charge(abi::MALLOC, call.required_fuel())?;
                let result = call.resume(&mut self.store);
                match self.outcome(abi::MALLOC, result)? {
                    Call::Returned(at) => self.deliver(handover, &data, at),
                    Call::OutOfFuel(call) => self.suspend(Suspended::Malloc(call, handover, data)),
                }
            }
            Suspended::Export(name, call, given) => {
                self.charge(name, call.required_fuel())?;
                let result = call.resume(&mut self.store);
                self.returned(name, result, given)
            }
            Suspended::Free(call) => {
                self.charge(abi::FREE, call.required_fuel())?;
                let result = call.resume(&mut self.store);
                self.freed(result)
            }
        }
    }

    /// Gives data to the guest: first it says where it wants it.
    fn hand_over(&mut self, handover: Handover, data: &[u8]) -> Result<Step, Trap> {
        let Ok(len) = u32::try_from(data.len()) else {
            return Ok(Step::Refused);
        };
        if data.len() > self.store.data().limits.message_size {
            return Ok(Step::Refused);
        }
        let result = self.exports.malloc.call_resumable(&mut self.store, len);
        match self.outcome(abi::MALLOC, result)? {
            Call::Returned(at) => self.deliver(handover, data, at),
            Call::OutOfFuel(call) => self.suspend(Suspended::Malloc(call, handover, data.to_vec())),
        }
    }

    /// Writes the data where the guest wants it, and calls the export that it is for.
    fn deliver(&mut self, handover: Handover, data: &[u8], at: u32) -> Result<Step, Trap> {
        // As the data has come this far, its length fits: see `hand_over`.
        let len = u32::try_from(data.len()).unwrap_or(u32::MAX);
        let Some(place) = self.place(at, len) else {
            return match handover {
                Handover::RoomId => Err(Trap::new(abi::INITIALIZE, TrapReason::NoRoomForId)),
                Handover::Text(_) | Handover::Bytes(_) => Ok(Step::Refused),
            };
        };
        place.copy_from_slice(data);
        let given = Some(Given { at, len });
        match handover {
            Handover::RoomId => self.call(abi::INITIALIZE, |exports| &exports.initialize, (at, len), given),
            Handover::Text(client) => {
                self.call(abi::MESSAGE, |exports| &exports.message, (client.0, at, len), given)
            }
            Handover::Bytes(client) => {
                self.call(abi::BINARY, |exports| &exports.binary, (client.0, at, len), given)
            }
        }
    }

    /// The place that the guest has for data, if it is one.
    fn place(&mut self, at: u32, len: u32) -> Option<&mut [u8]> {
        if at == 0 && self.versioned && len as usize > AT_ZERO {
            return None;
        }
        let memory = self.store.data().memory?;
        memory.data_mut(&mut self.store).get_mut(span(at, len)?)
    }

    fn call<P: WasmParams>(
        &mut self,
        name: &'static str,
        export: impl FnOnce(&Exports) -> &TypedFunc<P, ()>,
        parameters: P,
        given: Option<Given>,
    ) -> Result<Step, Trap> {
        let result = export(&self.exports).call_resumable(&mut self.store, parameters);
        self.returned(name, result, given)
    }

    fn returned(
        &mut self,
        name: &'static str,
        result: Result<TypedResumableCall<()>, Error>,
        given: Option<Given>,
    ) -> Result<Step, Trap> {
        match (self.outcome(name, result)?, given) {
            (Call::OutOfFuel(call), given) => self.suspend(Suspended::Export(name, call, given)),
            (Call::Returned(()), None) => Ok(Step::Done),
            (Call::Returned(()), Some(Given { at, len })) => {
                let result = self.exports.free.call_resumable(&mut self.store, (at, len));
                self.freed(result)
            }
        }
    }

    fn freed(&mut self, result: Result<TypedResumableCall<()>, Error>) -> Result<Step, Trap> {
        match self.outcome(abi::FREE, result)? {
            Call::Returned(()) => Ok(Step::Done),
            Call::OutOfFuel(call) => self.suspend(Suspended::Free(call)),
        }
    }

    fn suspend(&mut self, suspended: Suspended) -> Result<Step, Trap> {
        self.status = Status::Suspended(Box::new(suspended));
        Ok(Step::Suspended)
    }

    fn outcome<R: WasmResults>(
        &self,
        name: &'static str,
        result: Result<TypedResumableCall<R>, Error>,
    ) -> Result<Call<R>, Trap> {
        match result {
            Ok(TypedResumableCall::Finished(value)) => Ok(Call::Returned(value)),
            Ok(TypedResumableCall::OutOfFuel(call)) => Ok(Call::OutOfFuel(call)),
            Ok(TypedResumableCall::HostTrap(call)) => Err(self.trap(name, call.host_error())),
            Err(error) => Err(self.trap(name, &error)),
        }
    }

    fn trap(&self, name: &'static str, error: &Error) -> Trap {
        trap(name, error, self.store.data().limits.fuel)
    }

    /// Makes the next slice ready, which has to have `required` units at least, or ends the event that has no
    /// fuel left for it.
    fn charge(&mut self, name: &'static str, required: u64) -> Result<(), Trap> {
        let left_over = self.store.get_fuel().unwrap_or(0);
        let debt = mem::take(&mut self.store.data_mut().debt);
        self.fuel = self.fuel.saturating_add(left_over).saturating_sub(debt);
        if self.fuel < required.max(1) {
            return Err(self.trap(name, &TrapCode::OutOfFuel.into()));
        }
        self.refuel(required);
        Ok(())
    }

    fn refuel(&mut self, required: u64) {
        let slice = self.store.data().limits.slice.max(required).min(self.fuel);
        self.fuel -= slice;
        // Fails only where fuel is not metered, which `engine` turns on.
        let _ = self.store.set_fuel(slice);
    }

    /// Puts the room into the state that the outcome of an event leaves it in.
    fn settle(&mut self, result: Result<Step, Trap>) -> Result<Step, Trap> {
        match &result {
            Ok(Step::Suspended) => {}
            Ok(Step::Done) => self.status = Status::Ready(Step::Done),
            Ok(Step::Refused) => {
                self.store.data_mut().effects.undo();
                self.status = Status::Ready(Step::Refused);
            }
            Err(trap) => {
                self.store.data_mut().effects.undo();
                self.status = Status::Broken(trap.clone());
            }
        }
        result
    }
}

/// How a call into the guest stands.
enum Call<R> {
    Returned(R),
    OutOfFuel(TypedResumableCallOutOfFuel<R>),
}

fn export<P: WasmParams, R: WasmResults>(
    store: &Store<State>,
    instance: &Instance,
    name: &'static str,
) -> Result<TypedFunc<P, R>, Trap> {
    instance
        .get_typed_func(store, name)
        .map_err(|error| Trap::new(name, TrapReason::Wasm(alloc::format!("{error}"))))
}

fn trap(name: &'static str, error: &Error, fuel: u64) -> Trap {
    let reason = reason(error, fuel).unwrap_or_else(|| TrapReason::Wasm(alloc::format!("{error}")));
    Trap::new(name, reason)
}

impl fmt::Debug for Room {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let status = match &self.status {
            Status::Ready(_) => "ready",
            Status::Suspended(_) => "suspended",
            Status::Broken(_) => "broken",
        };
        f.debug_struct("Room").field("id", &self.id).field("status", &status).finish_non_exhaustive()
    }
}
