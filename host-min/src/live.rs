use alloc::{boxed::Box, format, vec::Vec};
use core::mem;

use wasmi::{
    Error, Instance, Store, TrapCode, TypedFunc, TypedResumableCall, TypedResumableCallHostTrap,
    TypedResumableCallOutOfFuel, Val, WasmParams, WasmResults,
};

use crate::{
    Effects, Event, Program, Step, Trap, TrapReason,
    client_info::Newcomer,
    construction::Construction,
    engine::slice,
    hibernation::Progress,
    image::WINDOW,
    interface::{Call, Function, Interface},
    module::{self, LARGE},
    state::{State, span},
    trap::reason,
};

/// A [`Room`](crate::Room) with its instance. What its methods are is said there.
pub(crate) struct Live {
    pub(crate) id: Box<str>,
    pub(crate) program: Program,
    pub(crate) store: Store<State>,
    pub(crate) instance: Instance,
    interface: Interface,
    /// What is to be done before anything runs.
    pub(crate) construction: Option<Box<Construction>>,
    /// How far it is on its way into hibernation.
    pub(crate) hibernation: Option<Box<Progress>>,
    /// Whether the functions have run that come before the first event.
    pub(crate) started: bool,
    /// The large data that the event has put into the guest's inbox, and that is still to be cleared: where, and how much.
    delivered: Option<(u32, u32)>,
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
    /// Before anything has run; what comes then.
    Construction(Option<Pending>),
    /// In one of the functions that come before the first event; which one, and what comes then.
    Startup(usize, Paused<()>, Option<Pending>),
    /// While the guest looks for a place for data.
    Malloc(Paused<u32>, Pending),
    /// In the export of this name.
    Call(&'static str, Paused<()>),
    /// Behind it, before all data has been [cleared](Live::clear).
    Clearing,
}

/// A call into the guest that can go on.
enum Paused<R> {
    /// When it has been given fuel.
    OutOfFuel(TypedResumableCallOutOfFuel<R>),
    /// When an import has [done](Operation) what it has been called for.
    Importing(TypedResumableCallHostTrap<R>),
}

/// What an event comes down to, with a copy of its data.
struct Pending {
    call: Call,
    data: Vec<u8>,
}

impl Suspended {
    /// How many bytes of the event it keeps.
    fn held(&self) -> usize {
        match self {
            Self::Construction(pending) | Self::Startup(_, _, pending) => {
                pending.as_ref().map_or(0, |pending| pending.data.capacity())
            }
            Self::Malloc(_, pending) => pending.data.capacity(),
            Self::Call(..) | Self::Clearing => 0,
        }
    }
}

/// As how many bytes the stack of a suspended call counts: what the engine begins with.
const STACK: usize = 1 << 10;

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
        let size = program.image().size();
        Ok(Self {
            id: id.into(),
            program,
            store,
            instance,
            interface,
            construction: Some(Box::new(Construction::new(size))),
            hibernation: None,
            started: false,
            delivered: None,
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
        if self.hibernation.is_some() {
            self.stay_awake();
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
        let is_ready = self.started && self.construction.is_none();
        let result = if is_ready { self.run(&call, data) } else { self.set_up(Some((&call, data))) };
        self.id = id;
        self.settle(result)
    }

    pub(crate) fn resume(&mut self) -> Result<Step, Trap> {
        match mem::replace(&mut self.status, Status::Ready(Step::Done)) {
            Status::Suspended(suspended) => {
                if self.hibernation.is_some() {
                    self.stay_awake();
                }
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

    /// How large its memory is for the guest.
    pub(crate) fn memory_size(&self) -> usize {
        self.construction
            .as_ref()
            .map_or_else(|| self.memory().len(), |construction| construction.memory_size())
    }

    /// How many bytes it takes, about.
    pub(crate) fn held(&self) -> usize {
        let data = self.store.data();
        let rare = match (&self.status, &self.construction, &self.hibernation, &data.newcomer) {
            (Status::Ready(_), None, None, None) => 0,
            _ => self.rarely_held(),
        };
        self.program.instance_size() + self.memory().len() + data.effects.held() + rare
    }

    /// What it takes in the middle of something.
    #[cold]
    fn rarely_held(&self) -> usize {
        let pending = match &self.status {
            Status::Suspended(suspended) => STACK + suspended.held(),
            Status::Ready(_) | Status::Broken(_) => 0,
        };
        pending
            + self.construction.as_ref().map_or(0, |construction| construction.held())
            + self.hibernation.as_ref().map_or(0, |progress| progress.held())
            + self.store.data().newcomer.as_ref().map_or(0, |newcomer| newcomer.held())
    }

    /// How many bytes it would give back, at most, if it hibernated.
    pub(crate) fn reclaimable(&self) -> usize {
        self.program.instance_size() + self.memory_size()
    }

    pub(crate) fn memory(&self) -> &[u8] {
        self.store.data().memory.map_or(&[], |memory| memory.data(&self.store))
    }

    pub(crate) fn memory_mut(&mut self) -> &mut [u8] {
        self.store.data().memory.map_or(&mut [], |memory| memory.data_mut(&mut self.store))
    }

    /// Runs what comes before the first event, and nothing else.
    pub(crate) fn try_startup(&mut self) -> Result<(), Trap> {
        let budget = self.store.data().limits.startup_fuel;
        self.begin(budget);
        let result = self.set_up(None);
        let mut step = self.settle(result)?;
        while step == Step::Suspended {
            step = self.resume()?;
        }
        Ok(())
    }

    /// Makes the instance ready for events, and then does what the event comes down to.
    fn set_up(&mut self, then: Option<(&Call, &[u8])>) -> Result<Step, Trap> {
        if self.construct()? {
            return self.start(then);
        }
        let then = then.map(|(call, data)| Pending { call: *call, data: data.to_vec() });
        self.suspend(Suspended::Construction(then))
    }

    fn start(&mut self, then: Option<(&Call, &[u8])>) -> Result<Step, Trap> {
        match then {
            _ if !self.started => self.start_up(0, then),
            Some((call, data)) => self.run(call, data),
            None => Ok(Step::Done),
        }
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
        self.start(then)
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
            Suspended::Construction(then) => {
                if !self.construct()? {
                    return self.suspend(Suspended::Construction(then));
                }
                self.start(then.as_ref().map(|pending| (&pending.call, &pending.data[..])))
            }
            Suspended::Clearing => Ok(Step::Done),
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
                Outcome::Paused(call) => self.suspend(Suspended::Malloc(call, pending)),
            },
            Suspended::Call(name, call) => match self.next_slice(name, call)? {
                Outcome::Returned(()) => Ok(Step::Done),
                Outcome::Paused(call) => self.suspend(Suspended::Call(name, call)),
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
                Outcome::Paused(suspended) => {
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
        if len >= LARGE && self.inbox_begin() == Some(at) {
            self.delivered = Some((at, len));
        }
        match &call.function {
            Function::Plain(function) => self.call(call.name, function, ()),
            Function::Client(function, client) => self.call(call.name, function, *client),
            Function::Data(function, _) => self.call(call.name, function, (at, len)),
            Function::ClientData(function, client) => self.call(call.name, function, (*client, at, len)),
        }
    }

    /// The guest's inbox, if it has one and `len` bytes fit into it.
    fn inbox(&self, len: u32) -> Option<u32> {
        let (begin, end) = self.inbox_bounds()?;
        (begin.checked_add(len)? <= end && end as usize <= self.memory().len()).then_some(begin)
    }

    fn inbox_begin(&self) -> Option<u32> {
        self.inbox_bounds().map(|(begin, _)| begin)
    }

    /// The two numbers that are the guest's inbox, in order or not.
    fn inbox_bounds(&self) -> Option<(u32, u32)> {
        let at = self.program.inbox()? as usize;
        let [b0, b1, b2, b3, e0, e1, e2, e3] = *self.memory().get(at..)?.first_chunk()?;
        Some((u32::from_le_bytes([b0, b1, b2, b3]), u32::from_le_bytes([e0, e1, e2, e3])))
    }

    /// Clears large data in the guest's inbox after the event, a window of it at a time; whether that is all. A room that
    /// hibernates keeps what is not zero. Where the guest has its inbox elsewhere by now, it may have kept the data.
    #[cold]
    fn clear(&mut self, at: u32, len: u32) -> bool {
        self.delivered = None;
        let rest = len.saturating_sub(WINDOW as u32);
        if self.inbox_begin() == Some(at)
            && let Some(place) = self.memory_mut().get_mut(at as usize..at as usize + len as usize)
        {
            place[rest as usize..].fill(0);
            self.delivered = (rest > 0).then_some((at, rest));
        }
        self.delivered.is_none()
    }

    /// The place that the guest has for data, if it is one.
    fn place(&mut self, at: u32, len: u32) -> Option<&mut [u8]> {
        if at == 0 && len as usize > AT_ZERO && self.program.versioned() {
            return None;
        }
        self.memory_mut().get_mut(span(at, len)?)
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
                Outcome::Paused(call) => self.suspend(Suspended::Call(name, call)),
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
            Ok(TypedResumableCall::OutOfFuel(call)) => Ok(Outcome::Paused(Paused::OutOfFuel(call))),
            Ok(TypedResumableCall::HostTrap(call)) if self.store.data().operation.is_some() => {
                Ok(Outcome::Paused(Paused::Importing(call)))
            }
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
        call: Paused<R>,
    ) -> Result<Outcome<R>, Trap> {
        let required = match &call {
            Paused::OutOfFuel(call) => call.required_fuel(),
            Paused::Importing(_) => 0,
        };
        let left_over = self.store.get_fuel().unwrap_or(0);
        let debt = mem::take(&mut self.store.data_mut().debt);
        self.fuel = self.fuel.saturating_add(left_over).saturating_sub(debt);
        let _ = self.store.set_fuel(0);
        if self.fuel < required.max(1) {
            return Err(self.trap(name, &TrapCode::OutOfFuel.into()));
        }
        let result = match call {
            Paused::OutOfFuel(call) => {
                self.refuel(required);
                call.resume(&mut self.store)
            }
            Paused::Importing(call) => {
                let done = self.operate().map_err(|reason| self.trap(name, &reason.into()))?;
                let Some(results) = done else { return Ok(Outcome::Paused(Paused::Importing(call))) };
                self.refuel(0);
                call.resume(&mut self.store, results)
            }
        };
        self.outcome(name, result)
    }

    /// Does a piece of what an import has been called for; what the import answers where that was the last.
    fn operate(&mut self) -> Result<Option<&'static [Val]>, TrapReason> {
        let Some(mut operation) = self.store.data_mut().operation.take() else { return Ok(Some(&[])) };
        let memory = self.store.data().memory;
        let Some((memory, state)) = memory.map(|memory| memory.data_and_store_mut(&mut self.store)) else {
            return Ok(Some(&[]));
        };
        if operation.step(memory, state)? {
            return Ok(Some(operation.results()));
        }
        state.operation = Some(operation);
        Ok(None)
    }

    /// Fills up a slice, which has to have `required` units at least.
    fn refuel(&mut self, required: u64) {
        let slice = slice(&self.store.data().limits).max(required).min(self.fuel);
        self.fuel -= slice;
        // Fails only where fuel is not metered, which `engine` turns on.
        let _ = self.store.set_fuel(slice);
    }

    /// Puts the room into the state that the outcome of an event leaves it in.
    fn settle(&mut self, result: Result<Step, Trap>) -> Result<Step, Trap> {
        if let (Some((at, len)), Ok(Step::Done)) = (self.delivered, &result)
            && !self.clear(at, len)
        {
            return self.suspend(Suspended::Clearing);
        }
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
    Paused(Paused<R>),
}

impl Outcome<()> {
    fn suspended(self) -> Option<Paused<()>> {
        match self {
            Self::Returned(()) => None,
            Self::Paused(call) => Some(call),
        }
    }
}
