//! The imports of guests.

mod env;
mod extensions;
mod wasi;

use alloc::vec::Vec;
use core::fmt;

use wasmi::{Engine, Error, Func, FuncType, IntoFunc, Linker, Store, errors::HostError};

use crate::{TrapReason, state::State};

/// Every import that the host has.
pub(crate) struct Imports {
    pub(crate) linker: Linker<State>,
    /// Their modules, names and types: the engine's linker keeps those to itself.
    types: Vec<(&'static str, &'static str, FuncType)>,
    /// A store that is needed only to ask the engine for a function's type.
    store: Store<State>,
}

impl Imports {
    pub(crate) fn new(engine: &Engine, state: State) -> Result<Self, Error> {
        let mut imports =
            Self { linker: Linker::new(engine), types: Vec::new(), store: Store::new(engine, state) };
        env::define(&mut imports)?;
        extensions::define(&mut imports)?;
        wasi::define(&mut imports)?;
        Ok(imports)
    }

    pub(crate) fn ty(&self, module: &str, name: &str) -> Option<&FuncType> {
        let known = self.types.iter().find(|known| (known.0, known.1) == (module, name));
        known.map(|(_, _, ty)| ty)
    }

    fn add<P, R>(
        &mut self,
        module: &'static str,
        name: &'static str,
        function: impl IntoFunc<State, P, R> + Copy,
    ) -> Result<(), Error> {
        let ty = Func::wrap(&mut self.store, function).ty(&self.store);
        self.types.push((module, name, ty));
        self.linker.func_wrap(module, name, function)?;
        Ok(())
    }
}

/// Carries a [`TrapReason`] through the engine.
#[derive(Debug)]
pub(crate) struct Fault(pub(crate) TrapReason);

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl HostError for Fault {}

/// Suspends the guest, until what it has called for is [done](crate::operation::Operation).
#[derive(Debug)]
pub(crate) struct Paused;

impl fmt::Display for Paused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an import is at work")
    }
}

impl HostError for Paused {}

impl From<Paused> for Error {
    fn from(paused: Paused) -> Self {
        Self::host(paused)
    }
}

impl From<TrapReason> for Error {
    fn from(reason: TrapReason) -> Self {
        Self::host(Fault(reason))
    }
}
