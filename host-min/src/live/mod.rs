mod calls;
mod delivery;
mod suspended;

use alloc::{boxed::Box, vec::Vec};
use core::mem;

use wasmi::{Instance, Store};

use self::{
    calls::CallState,
    suspended::{Pending, STACK, Suspended},
};

use crate::{
    ClientId, ClientInfo, Effects, Event, Program, Step, Trap, TrapReason,
    client_info::Newcomer,
    construction::Construction,
    hibernation::HibernationProgress,
    interface::{self, Call, Function, Interface},
    module,
    presence::Presence,
    state::State,
    trap::growth_refused,
};

/// A [`Room`](crate::Room) with its instance. The methods are documented there.
pub(crate) struct Live {
    pub(crate) id: Box<str>,
    pub(crate) program: Program,
    pub(crate) store: Store<State>,
    pub(crate) instance: Instance,
    interface: Interface,
    /// The construction of its instance, if it is not finished.
    pub(crate) construction: Option<Box<Construction>>,
    /// The progress of its hibernation.
    pub(crate) hibernation: Option<Box<HibernationProgress>>,
    /// True if the functions that come before the first event have run.
    pub(crate) started: bool,
    pub(crate) presence: Presence,
    /// The address and length of large data in the guest's inbox that must still be cleared.
    delivered: Option<(u32, u32)>,
    /// The fuel that the running event may use.
    budget: u64,
    /// The fuel that is left beyond the present slice.
    fuel: u64,
    status: LiveState,
}

enum LiveState {
    /// Ready for an event, with the result of the last one.
    Ready(Step),
    Suspended(Box<Suspended>),
    Broken(Trap),
}

/// The exports that run before the first event, in this order, if a module has them.
const STARTUP: [&str; 2] = [module::START, module::REACTOR];

impl Live {
    pub(crate) fn new(
        id: &str,
        program: Program,
        store: Store<State>,
        instance: Instance,
    ) -> Result<Self, Trap> {
        let interface = Interface::new(program.abi_flavor(), &store, &instance)?;
        Ok(Self {
            id: id.into(),
            program,
            store,
            instance,
            interface,
            construction: None,
            hibernation: None,
            started: false,
            presence: Presence::default(),
            delivered: None,
            budget: 0,
            fuel: 0,
            status: LiveState::Ready(Step::Done),
        })
    }

    pub(crate) fn handle(&mut self, event: Event<'_>, now_ms: u64) -> Result<Step, Trap> {
        match &self.status {
            LiveState::Ready(_) => {}
            LiveState::Suspended(_) => return Ok(Step::Suspended),
            LiveState::Broken(trap) => return Err(trap.clone()),
        }
        let now_ms = self.presence.time(now_ms);
        self.presence.set_time(now_ms);
        match event {
            Event::Message(..) | Event::Init => {}
            Event::Connect(client, info) => self.admit(client, info),
            Event::Disconnect(client) => self.presence.disconnect(client),
            Event::Timer => self.presence.take_timer(),
        }
        let id = mem::take(&mut self.id);
        let (call, data) = self.interface.call(event, &id);
        let result = self.begin_call(&call, data, now_ms);
        self.id = id;
        result
    }

    /// Notes a client whose `connect` begins.
    #[cold]
    fn admit(&mut self, client: ClientId, info: ClientInfo<'_>) {
        self.presence.connect(client);
        if self.program.asks_for_client_info() {
            self.store.data_mut().newcomer = Newcomer::new(client, info);
        }
    }

    /// Begins to save the state of the guest. Returns `None` if the guest does not do this.
    #[cold]
    pub(crate) fn begin_save(&mut self, now_ms: u64) -> Option<Result<Step, Trap>> {
        let call = interface::save(&self.store, &self.instance)?;
        self.store.data_mut().saved = Some(Vec::new());
        Some(self.begin_call(&call, &[], now_ms))
    }

    /// Returns the state that was saved.
    pub(crate) fn take_saved(&mut self) -> Vec<u8> {
        self.store.data_mut().saved.take().unwrap_or_default()
    }

    /// Begins to load a state. Returns `None` if the guest does not do this.
    #[cold]
    pub(crate) fn begin_load(&mut self, saved: &[u8], now_ms: u64) -> Option<Result<Step, Trap>> {
        let call = interface::load(&self.store, &self.instance)?;
        Some(self.begin_call(&call, saved, now_ms))
    }

    /// Begins a call of a guest that is between two events.
    // It was a part of `handle`, and takes a few percent of an event as a call of its own.
    #[inline(always)]
    fn begin_call(&mut self, call: &Call, data: &[u8], now_ms: u64) -> Result<Step, Trap> {
        if self.hibernation.is_some() {
            self.stay_awake();
        }
        let state = self.store.data_mut();
        state.effects.clear();
        state.now_ms = now_ms;
        let budget = state.limits.fuel;
        self.begin(budget);
        let is_ready = self.started && self.construction.is_none();
        let result = if is_ready { self.run(call, data) } else { self.set_up(Some((call, data))) };
        self.settle(result)
    }

    pub(crate) fn resume(&mut self) -> Result<Step, Trap> {
        match mem::replace(&mut self.status, LiveState::Ready(Step::Done)) {
            LiveState::Suspended(suspended) => {
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

    /// Copies the result of the last event from the stored room.
    pub(crate) fn rest(&mut self, last: Step) {
        self.status = LiveState::Ready(last);
    }

    pub(crate) fn last(&self) -> Result<Step, &Trap> {
        match &self.status {
            LiveState::Ready(step) => Ok(*step),
            LiveState::Suspended(_) => Ok(Step::Suspended),
            LiveState::Broken(trap) => Err(trap),
        }
    }

    /// Returns the export that an event is in, if it is suspended in one, with the fuel that the event has used.
    pub(crate) fn running(&self) -> Option<(&'static str, u64)> {
        let LiveState::Suspended(suspended) = &self.status else { return None };
        let name = match &**suspended {
            Suspended::Startup(index, ..) => STARTUP[*index],
            Suspended::Malloc(..) => self.interface.malloc_name,
            Suspended::Call(name, _) => *name,
            Suspended::Construction(_) | Suspended::Clearing => return None,
        };
        Some((name, self.fuel_used()))
    }

    pub(crate) fn effects(&self) -> Effects<'_> {
        let effects = self.store.data().effects.iter();
        match self.status {
            LiveState::Suspended(_) => effects.none(),
            LiveState::Ready(_) | LiveState::Broken(_) => effects,
        }
    }

    /// Returns the size of its memory that the guest sees.
    pub(crate) fn memory_size(&self) -> usize {
        self.construction
            .as_ref()
            .map_or_else(|| self.memory().len(), |construction| construction.memory_size())
    }

    /// Returns its approximate size in bytes.
    pub(crate) fn held(&self) -> usize {
        let data = self.store.data();
        let rare = match (&self.status, &self.construction, &self.hibernation, &data.newcomer, &data.saved) {
            (LiveState::Ready(_), None, None, None, None) => 0,
            _ => self.rarely_held(),
        };
        let presence = self.presence.held();
        self.program.instance_size() + data.growth.allocated() + data.effects.held() + presence + rare
    }

    /// Returns the size of the data for work that is rarely in progress, in bytes.
    #[cold]
    fn rarely_held(&self) -> usize {
        let pending = match &self.status {
            LiveState::Suspended(suspended) => STACK + suspended.held(),
            LiveState::Ready(_) | LiveState::Broken(_) => 0,
        };
        pending
            + self.construction.as_ref().map_or(0, |construction| construction.held())
            + self.hibernation.as_ref().map_or(0, |progress| progress.held())
            + self.store.data().newcomer.as_ref().map_or(0, |newcomer| newcomer.held())
            + self.store.data().saved.as_ref().map_or(0, Vec::capacity)
    }

    /// Returns the maximum number of bytes that hibernation would free.
    pub(crate) fn reclaimable(&self) -> usize {
        self.program.instance_size() + self.store.data().growth.allocated()
    }

    pub(crate) fn memory(&self) -> &[u8] {
        self.store.data().memory.map_or(&[], |memory| memory.data(&self.store))
    }

    pub(crate) fn memory_mut(&mut self) -> &mut [u8] {
        self.store.data().memory.map_or(&mut [], |memory| memory.data_mut(&mut self.store))
    }

    /// Runs only the functions that come before the first event.
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

    /// Makes the instance ready for events, and then makes the event's call.
    fn set_up(&mut self, then: Option<(&Call, &[u8])>) -> Result<Step, Trap> {
        if self.go_on_constructing()? {
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

    /// Calls the functions that come before the first event, from index `from` on, and then makes the event's
    /// call.
    fn start_up(&mut self, from: usize, then: Option<(&Call, &[u8])>) -> Result<Step, Trap> {
        for (index, name) in STARTUP.iter().enumerate().skip(from) {
            let function = self.instance.get_func(&self.store, name);
            let Some(Ok(function)) = function.map(|function| function.typed::<(), ()>(&self.store)) else {
                continue;
            };
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
                if !self.go_on_constructing()? {
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
                CallState::Returned(at) => self.deliver(&pending.call, &pending.data, at),
                CallState::Paused(call) => self.suspend(Suspended::Malloc(call, pending)),
            },
            Suspended::Call(name, call) => match self.next_slice(name, call)? {
                CallState::Returned(()) => Ok(Step::Done),
                CallState::Paused(call) => self.suspend(Suspended::Call(name, call)),
            },
        }
    }

    #[cold]
    fn suspend(&mut self, suspended: Suspended) -> Result<Step, Trap> {
        self.status = LiveState::Suspended(Box::new(suspended));
        Ok(Step::Suspended)
    }

    /// Updates the state of the room with the result of an event.
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
            Ok(Step::Done) => {
                self.status = LiveState::Ready(Step::Done);
                let state = self.store.data();
                if let Some(ms) = state.effects.timer() {
                    self.presence.set_timer(state.now_ms, ms);
                }
            }
            Ok(Step::Refused) => {
                self.store.data_mut().effects.undo();
                self.status = LiveState::Ready(Step::Refused);
            }
            Err(trap) => {
                let state = self.store.data_mut();
                state.effects.undo();
                let trap = match why_unreachable(state, trap) {
                    Some(reason) => Trap::new(trap.during(), reason),
                    None => trap.clone(),
                };
                self.status = LiveState::Broken(trap.clone());
                return Err(trap);
            }
        }
        result
    }
}

/// Returns a better reason for a trap than that the guest executed `unreachable`, if the event has left one.
#[cold]
fn why_unreachable(state: &mut State, trap: &Trap) -> Option<TrapReason> {
    if *trap.reason() != TrapReason::Unreachable {
        return None;
    }
    let limit = state.limits.memory;
    let refused = state.growth.refused();
    match (state.effects.take_panic(), refused) {
        (Some(message), Some(size)) if message.contains("memory allocation of ") => {
            let message = alloc::format!("{message}: {}", growth_refused(size, limit));
            Some(TrapReason::Panicked { message })
        }
        (Some(message), _) => Some(TrapReason::Panicked { message }),
        (None, refused) => refused.map(|size| TrapReason::MemoryFull { size, limit }),
    }
}
