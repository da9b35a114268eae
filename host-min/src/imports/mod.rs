//! What a guest may import.

mod env;
mod extensions;
mod wasi;

use core::fmt;

use wasmi::{Engine, Error, Linker, errors::HostError};

use crate::{TrapReason, state::State};

/// Every import that the host has.
pub(crate) fn linker(engine: &Engine) -> Result<Linker<State>, Error> {
    let mut linker = Linker::new(engine);
    env::define(&mut linker)?;
    extensions::define(&mut linker)?;
    wasi::define(&mut linker)?;
    Ok(linker)
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

impl From<TrapReason> for Error {
    fn from(reason: TrapReason) -> Self {
        Self::host(Fault(reason))
    }
}
