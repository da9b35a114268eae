use alloc::{boxed::Box, format, vec::Vec};
use core::mem;

use wasmi::{
    Error, Instance, Store, TrapCode, TypedFunc, TypedResumableCall, TypedResumableCallOutOfFuel, Val,
    WasmParams, WasmResults,
};

use crate::{
    Effects, Event, Program, Step, Trap, TrapReason,
    client_info::Newcomer,
    interface::{Call, Function, Interface},
    module,
    program::memory,
    state::{State, span},
    trap::reason,
};

/// A [`Room`](crate::Room) with its instance, ready to run. What its methods are is said there.
pub(crate) struct Live {
    pub(crate) id: Box<str>,
    pub(crate) program: Program,
    pub(crate) store: Store<State>,
    pub(crate) instance: Instance,
    interface: Interface,
    /// Whether the functions have run that come before the first event.
    pub(crate) started: bool,
    /// How much fuel the event that runs may use.
    budget: u64,
    /// How much of it is left beyond the present slice.
    fuel: u64,
    status: Status,
}

enum Status {
    /// Ready for an event; how the last one ended.
    Ready(Step),
    Suspended(Box<Suspended>),
    Broken(Trap),
}

/// Where an event stopped that has used up its slice.
enum Suspended {
    /// In one of the functions that come before the first event; which one, and what comes then.
    Startup(usize, TypedResumableCallOutOfFuel<()>, Option<Pending>),
    /// While the guest looks for a place for data.
    Malloc(TypedResumableCallOutOfFuel<u32>, Pending),
    /// In the export of this name.
    Call(&'static str, TypedResumableCallOutOfFuel<()>),
}

/// What an event comes down to, with a copy of its data.
struct Pending {
    call: Call,
    data: Vec<u8>,
}

/// The exports that run before the first event, in this order, where a module has them.
const STARTUP: [&str; 2] = [module::START, module::REACTOR];

/// The most that a published guest whose `jam_malloc` answers 0 can take: what it overwrites there is the far
/// end of its stack.
const AT_ZERO: usize = 64 << 10;

impl Live {
    pub(crate) fn new(
        id: &str,
        program: Program,
        store: Store<State>,
        instance: Instance,
    ) -> Result<Self, Trap> {
        let interface = Interface::new(program.generation(), &store, &instance)?;
        Ok(Self {
            id: id.into(),
            program,
            store,
            instance,
            interface,
            started: false,
            budget: 0,
            fuel: 0,
            status: Status::Ready(Step::Done),
        })
    }

    pub(crate) fn handle(&mut self, event: Event<'_>, now_ms: u64) -> Result<Step, Trap> {
        match &self.status {
            Status::Ready(_) => {}
            Status::Suspended(_) => return Ok(Step::Suspended),
            Status::Broken(trap) => return Err(trap.clone()),
        }
        let state = self.store.data_mut();
        state.effects.clear();
        state.now_ms = now_ms;
        if let Event::Connect(client, info) = event
            && self.program.asks_for_client_info()
        {
            state.newcomer = Newcomer::new(client, info);
        }
        let budget = state.limits.fuel;
        self.begin(budget);
        let id = mem::take(&mut self.id);
        let (call, data) = self.interface.call(event, &id);
        let result = if self.started { self.run(&call, data) } else { self.start_up(0, Some((&call, data))) };
        self.id = id;
        self.settle(result)
    }

    pub(crate) fn resume(&mut self) -> Result<Step, Trap> {
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

    /// Takes up the answer to the last event, in the place of the room that had it.
    pub(crate) fn rest(&mut self, last: Step) {
        self.status = Status::Ready(last);
    }

    pub(crate) fn last(&self) -> Result<Step, &Trap> {
        match &self.status {
            Status::Ready(step) => Ok(*step),
            Status::Suspended(_) => Ok(Step::Suspended),
            Status::Broken(trap) => Err(trap),
        }
    }

    pub(crate) fn effects(&self) -> Effects<'_> {
        let effects = self.store.data().effects.iter();
        match self.status {
            Status::Suspended(_) => effects.none(),
            Status::Ready(_) | Status::Broken(_) => effects,
        }
    }

    pub(crate) fn memory_size(&self) -> usize {
        memory(&self.store).len()
    }

    /// Runs what comes before the first event, and nothing else.
    pub(crate) fn try_startup(&mut self) -> Result<(), Trap> {
        let budget = self.store.data().limits.startup_fuel;
        self.begin(budget);
        let result = self.start_up(0, None);
        let mut step = self.settle(result)?;
        while step == Step::Suspended {
            step = self.resume()?;
        }
        Ok(())
    }

    /// Calls the functions that come before the first event, `from` this one on, and then what the event
    /// comes down to.
    fn start_up(&mut self, from: usize, then: Option<(&Call, &[u8])>) -> Result<Step, Trap> {
        for (index, name) in STARTUP.iter().enumerate().skip(from) {
            let Ok(function) = self.instance.get_typed_func::<(), ()>(&self.store, name) else { continue };
            let result = function.call_resumable(&mut self.store, ());
            if let Some(call) = self.outcome(name, result)?.suspended() {
                let then = then.map(|(call, data)| Pending { call: *call, data: data.to_vec() });
                return self.suspend(Suspended::Startup(index, call, then));
            }
        }
        self.started = true;
        match then {
            Some((call, data)) => self.run(call, data),
            None => Ok(Step::Done),
        }
    }

    fn run(&mut self, call: &Call, data: &[u8]) -> Result<Step, Trap> {
        match &call.function {
            Function::Plain(function) => self.call(call.name, function, ()),
            Function::Client(function, client) => self.call(call.name, function, *client),
            Function::Data(_, head) => self.hand_over(call, head.bytes().len(), data),
            Function::ClientData(..) => self.hand_over(call, 0, data),
        }
    }

    fn go_on(&mut self, suspended: Suspended) -> Result<Step, Trap> {
        match suspended {
            Suspended::Startup(index, call, then) => {
                let result = self.next_slice(STARTUP[index], call)?;
                match result.suspended() {
                    Some(call) => self.suspend(Suspended::Startup(index, call, then)),
                    None => {
                        let then = then.as_ref().map(|pending| (&pending.call, &pending.data[..]));
                        self.start_up(index + 1, then)
                    }
                }
            }
            Suspended::Malloc(call, pending) => match self.next_slice(self.interface.malloc_name, call)? {
                Outcome::Returned(at) => self.deliver(&pending.call, &pending.data, at),
                Outcome::OutOfFuel(call) => self.suspend(Suspended::Malloc(call, pending)),
            },
            Suspended::Call(name, call) => match self.next_slice(name, call)? {
                Outcome::Returned(()) => Ok(Step::Done),
                Outcome::OutOfFuel(call) => self.suspend(Suspended::Call(name, call)),
            },
        }
    }

    /// Gives data to the guest, with `head` bytes before it: first the guest says where it wants it, if it has not done
    /// so once and for all.
    fn hand_over(&mut self, call: &Call, head: usize, data: &[u8]) -> Result<Step, Trap> {
        let too_large = call.message && data.len() > self.store.data().limits.message_size;
        let Some(len) = u32::try_from(head + data.len()).ok().filter(|_| !too_large) else {
            return refused(call, head + data.len());
        };
        if let Some(at) = self.inbox(len) {
            return self.deliver(call, data, at);
        }
        match self.interface.malloc.call_resumable(&mut self.store, len) {
            // Nearly always; whatever else it is takes a hundred bytes, which are not moved about for that.
            Ok(TypedResumableCall::Finished(at)) => self.deliver(call, data, at),
            result => match self.outcome(self.interface.malloc_name, result)? {
                Outcome::Returned(at) => self.deliver(call, data, at),
                Outcome::OutOfFuel(suspended) => {
                    self.suspend(Suspended::Malloc(suspended, Pending { call: *call, data: data.to_vec() }))
                }
            },
        }
    }

    /// Writes the data where the guest wants it, and calls the export that it is for.
    fn deliver(&mut self, call: &Call, data: &[u8], at: u32) -> Result<Step, Trap> {
        let head = match &call.function {
            Function::Data(_, head) => head.bytes(),
            _ => &[],
        };
        // As the data has come this far, its length fits: see `hand_over`.
        let len = u32::try_from(head.len() + data.len()).unwrap_or(u32::MAX);
        let Some(place) = self.place(at, len) else {
            return refused(call, head.len() + data.len());
        };
        let (front, back) = place.split_at_mut(head.len());
        front.copy_from_slice(head);
        back.copy_from_slice(data);
        match &call.function {
            Function::Plain(function) => self.call(call.name, function, ()),
            Function::Client(function, client) => self.call(call.name, function, *client),
            Function::Data(function, _) => self.call(call.name, function, (at, len)),
            Function::ClientData(function, client) => self.call(call.name, function, (*client, at, len)),
        }
    }

    /// The guest's inbox, if it has one and `len` bytes fit into it.
    fn inbox(&self, len: u32) -> Option<u32> {
        let at = self.program.inbox()? as usize;
        let memory = memory(&self.store);
        let [b0, b1, b2, b3, e0, e1, e2, e3] = *memory.get(at..)?.first_chunk()?;
        let (begin, end) = (u32::from_le_bytes([b0, b1, b2, b3]), u32::from_le_bytes([e0, e1, e2, e3]));
        (begin.checked_add(len)? <= end && end as usize <= memory.len()).then_some(begin)
    }

    /// The place that the guest has for data, if it is one.
    fn place(&mut self, at: u32, len: u32) -> Option<&mut [u8]> {
        if at == 0 && len as usize > AT_ZERO && self.program.versioned() {
            return None;
        }
        let memory = self.store.data().memory?;
        memory.data_mut(&mut self.store).get_mut(span(at, len)?)
    }

    fn call<P: WasmParams>(
        &mut self,
        name: &'static str,
        function: &TypedFunc<P, ()>,
        parameters: P,
    ) -> Result<Step, Trap> {
        match function.call_resumable(&mut self.store, parameters) {
            Ok(TypedResumableCall::Finished(())) => Ok(Step::Done),
            result => match self.outcome(name, result)? {
                Outcome::Returned(()) => Ok(Step::Done),
                Outcome::OutOfFuel(call) => self.suspend(Suspended::Call(name, call)),
            },
        }
    }

    #[cold]
    fn suspend(&mut self, suspended: Suspended) -> Result<Step, Trap> {
        self.status = Status::Suspended(Box::new(suspended));
        Ok(Step::Suspended)
    }

    #[cold]
    fn outcome<R: WasmResults>(
        &self,
        name: &'static str,
        result: Result<TypedResumableCall<R>, Error>,
    ) -> Result<Outcome<R>, Trap> {
        match result {
            Ok(TypedResumableCall::Finished(value)) => Ok(Outcome::Returned(value)),
            Ok(TypedResumableCall::OutOfFuel(call)) => Ok(Outcome::OutOfFuel(call)),
            Ok(TypedResumableCall::HostTrap(call)) => Err(self.trap(name, call.host_error())),
            Err(error) => Err(self.trap(name, &error)),
        }
    }

    #[cold]
    fn trap(&self, name: &'static str, error: &Error) -> Trap {
        let freeing = self.instance.get_global(&self.store, module::FREEING);
        let freeing = freeing.is_some_and(|global| matches!(global.get(&self.store), Val::I32(1)));
        let name = if freeing { self.interface.free_name } else { name };
        let reason = reason(error, self.budget).unwrap_or_else(|| TrapReason::Wasm(format!("{error}")));
        Trap::new(name, reason)
    }

    /// Makes the fuel of an event ready, and its first slice.
    fn begin(&mut self, budget: u64) {
        self.store.data_mut().debt = 0;
        (self.budget, self.fuel) = (budget, budget);
        self.refuel(0);
    }

    /// Goes on with a call for another slice, or ends the event that has no fuel left for it.
    fn next_slice<R: WasmResults>(
        &mut self,
        name: &'static str,
        call: TypedResumableCallOutOfFuel<R>,
    ) -> Result<Outcome<R>, Trap> {
        let required = call.required_fuel();
        let left_over = self.store.get_fuel().unwrap_or(0);
        let debt = mem::take(&mut self.store.data_mut().debt);
        self.fuel = self.fuel.saturating_add(left_over).saturating_sub(debt);
        if self.fuel < required.max(1) {
            return Err(self.trap(name, &TrapCode::OutOfFuel.into()));
        }
        self.refuel(required);
        let result = call.resume(&mut self.store);
        self.outcome(name, result)
    }

    /// Fills up a slice, which has to have `required` units at least.
    fn refuel(&mut self, required: u64) {
        let slice = self.store.data().limits.slice.max(required).min(self.fuel);
        self.fuel -= slice;
        // Fails only where fuel is not metered, which `engine` turns on.
        let _ = self.store.set_fuel(slice);
    }

    /// Puts the room into the state that the outcome of an event leaves it in.
    fn settle(&mut self, result: Result<Step, Trap>) -> Result<Step, Trap> {
        if !matches!(result, Ok(Step::Suspended)) {
            self.store.data_mut().newcomer = None;
        }
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

/// What comes of data for which the guest has no room: it may do without a message, but not without other
/// events.
fn refused(call: &Call, size: usize) -> Result<Step, Trap> {
    if call.message { Ok(Step::Refused) } else { Err(Trap::new(call.name, TrapReason::NoRoom { size })) }
}

/// How a call into the guest stands.
enum Outcome<R> {
    Returned(R),
    OutOfFuel(TypedResumableCallOutOfFuel<R>),
}

impl Outcome<()> {
    fn suspended(self) -> Option<TypedResumableCallOutOfFuel<()>> {
        match self {
            Self::Returned(()) => None,
            Self::OutOfFuel(call) => Some(call),
        }
    }
}
