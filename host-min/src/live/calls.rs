//! Calls into the guest, slice by slice.

use alloc::format;
use core::mem;

use wasmi::{
    Error, TrapCode, TypedFunc, TypedResumableCall, TypedResumableCallHostTrap, TypedResumableCallOutOfFuel,
    Val, WasmParams, WasmResults,
};

use super::{Live, suspended::Suspended};
use crate::{Step, Trap, TrapReason, module, trap::reason};

/// A suspended call into the guest.
pub(super) enum Paused<R> {
    /// It continues when it has fuel again.
    OutOfFuel(TypedResumableCallOutOfFuel<R>),
    /// It continues when an import has [finished](crate::operation::Operation) its work.
    Importing(TypedResumableCallHostTrap<R>),
}

/// The state of a call into the guest.
pub(super) enum CallState<R> {
    Returned(R),
    Paused(Paused<R>),
}

impl CallState<()> {
    pub(super) fn suspended(self) -> Option<Paused<()>> {
        match self {
            Self::Returned(()) => None,
            Self::Paused(call) => Some(call),
        }
    }
}

impl Live {
    pub(super) fn call<P: WasmParams>(
        &mut self,
        name: &'static str,
        function: &TypedFunc<P, ()>,
        parameters: P,
    ) -> Result<Step, Trap> {
        match function.call_resumable(&mut self.store, parameters) {
            Ok(TypedResumableCall::Finished(())) => Ok(Step::Done),
            result => match self.outcome(name, result)? {
                CallState::Returned(()) => Ok(Step::Done),
                CallState::Paused(call) => self.suspend(Suspended::Call(name, call)),
            },
        }
    }

    #[cold]
    pub(super) fn outcome<R: WasmResults>(
        &self,
        name: &'static str,
        result: Result<TypedResumableCall<R>, Error>,
    ) -> Result<CallState<R>, Trap> {
        match result {
            Ok(TypedResumableCall::Finished(value)) => Ok(CallState::Returned(value)),
            Ok(TypedResumableCall::OutOfFuel(call)) => Ok(CallState::Paused(Paused::OutOfFuel(call))),
            Ok(TypedResumableCall::HostTrap(call)) if self.store.data().operation.is_some() => {
                Ok(CallState::Paused(Paused::Importing(call)))
            }
            Ok(TypedResumableCall::HostTrap(call)) => Err(self.trap(name, call.host_error())),
            Err(error) => Err(self.trap(name, &error)),
        }
    }

    #[cold]
    pub(super) fn trap(&self, name: &'static str, error: &Error) -> Trap {
        let freeing = self.instance.get_global(&self.store, module::FREEING);
        let freeing = freeing.is_some_and(|global| matches!(global.get(&self.store), Val::I32(1)));
        let name = if freeing { self.interface.free_name } else { name };
        let reason = reason(error, self.budget).unwrap_or_else(|| TrapReason::Wasm(format!("{error}")));
        Trap::new(name, reason)
    }

    /// Makes the fuel of an event ready, and its first slice.
    pub(super) fn begin(&mut self, budget: u64) {
        let state = self.store.data_mut();
        state.debt = 0;
        state.growth.begin();
        (self.budget, self.fuel) = (budget, budget);
        self.refuel(0);
    }

    /// Returns the fuel that the event has used up to now.
    pub(crate) fn fuel_used(&self) -> u64 {
        let left = self.fuel.saturating_add(self.store.get_fuel().unwrap_or(0));
        self.budget.saturating_sub(left.saturating_sub(self.store.data().debt))
    }

    /// Continues a call for another slice, or ends the event if it has no fuel left for it.
    pub(super) fn next_slice<R: WasmResults>(
        &mut self,
        name: &'static str,
        call: Paused<R>,
    ) -> Result<CallState<R>, Trap> {
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
                let Some(results) = done else { return Ok(CallState::Paused(Paused::Importing(call))) };
                self.refuel(0);
                call.resume(&mut self.store, results)
            }
        };
        self.outcome(name, result)
    }

    /// Does one piece of an import's work. After the last piece it returns the result of the import.
    pub(super) fn operate(&mut self) -> Result<Option<&'static [Val]>, TrapReason> {
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
    pub(super) fn refuel(&mut self, required: u64) {
        let slice = self.store.data().limits.slice.max(required).min(self.fuel);
        self.fuel -= slice;
        // It fails only if fuel is not metered, and `engine` turns this on.
        let _ = self.store.set_fuel(slice);
    }
}
