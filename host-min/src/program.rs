use alloc::{format, sync::Arc, vec};
use core::fmt;

use stateroom_sdk_core::abi;
use wasmi::{Engine, Instance, Linker, Module, Store};

use crate::{
    Limits, LoadError, Room, Trap, TrapReason, engine::engine, imports::Imports, inspect, state::State,
    trap::reason,
};

/// A loaded module: what all rooms of a service have in common. Cheap to clone, and shared by threads.
#[derive(Clone)]
pub struct Program(Arc<Loaded>);

struct Loaded {
    engine: Engine,
    module: Module,
    linker: Linker<State>,
    limits: Limits,
    /// Whether the module names a version, as those made by the published SDKs do.
    versioned: bool,
}

impl Program {
    /// Checks and translates a module in the WebAssembly binary format.
    ///
    /// The module's `start` function and its `_initialize` run once, so that what fails in every room fails here.
    ///
    /// # Errors
    /// See [`LoadError`]; its message lists everything that is wrong with the module.
    pub fn load(module: &[u8], limits: Limits) -> Result<Self, LoadError> {
        if module.len() > limits.module_size {
            return Err(LoadError::TooLarge { size: module.len(), limit: limits.module_size });
        }
        match module {
            [0, b'a', b's', b'm', _, _, 0, 0, ..] => {}
            [0, b'a', b's', b'm', _, _, _, _, ..] => return Err(LoadError::Component),
            _ => return Err(LoadError::NotWasm),
        }
        let invalid = |error: wasmi::Error| LoadError::Invalid(format!("{error}"));
        let engine = engine(&limits);
        let module = Module::new(&engine, module).map_err(invalid)?;
        let imports = Imports::new(&engine, State::new(limits, [0; 32])).map_err(invalid)?;
        let problems = inspect::problems(&module, &imports);
        if !problems.is_empty() {
            return Err(LoadError::NotAGuest(problems));
        }

        let mut loaded = Loaded { engine, module, linker: imports.linker, limits, versioned: false };
        let (store, instance) = loaded.instantiate([0; 32]).map_err(|error| match error {
            Unstarted::Trapped(reason) => LoadError::Trapped(Trap::new("start", reason)),
            Unstarted::Refused(error) => LoadError::CannotStart(format!(
                "{error}; the limits are {} bytes of memory, the stack included, and {} elements in a table",
                limits.memory, limits.table_elements
            )),
        })?;
        loaded.versioned =
            inspect::version(&store, &instance).map_err(|problem| LoadError::NotAGuest(vec![problem]))?;
        // Its `_initialize` fails here, too, if it fails.
        Room::new("", store, &instance, loaded.versioned).map_err(LoadError::Trapped)?;
        Ok(Self(Arc::new(loaded)))
    }

    /// Makes a room, which then wants [`Event::Init`](crate::Event::Init). Its random numbers follow from
    /// `seed`.
    ///
    /// # Errors
    /// The module's `start` function, or its `_initialize`, failed.
    pub fn room(&self, room_id: &str, seed: [u8; 32]) -> Result<Room, Trap> {
        let (store, instance) = self.0.instantiate(seed).map_err(|error| {
            let reason = match error {
                Unstarted::Trapped(reason) => reason,
                Unstarted::Refused(error) => TrapReason::Wasm(format!("{error}")),
            };
            Trap::new("start", reason)
        })?;
        Room::new(room_id, store, &instance, self.0.versioned)
    }

    /// The limits that the program was loaded with.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.0.limits
    }
}

impl fmt::Debug for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Program").field("limits", &self.0.limits).finish_non_exhaustive()
    }
}

/// Why there is no instance.
enum Unstarted {
    Trapped(TrapReason),
    Refused(wasmi::Error),
}

impl Loaded {
    fn instantiate(&self, seed: [u8; 32]) -> Result<(Store<State>, Instance), Unstarted> {
        let mut store = Store::new(&self.engine, State::new(self.limits, seed));
        store.limiter(|state| &mut state.growth);
        store.set_fuel(self.limits.startup_fuel).map_err(Unstarted::Refused)?;
        let instance = self.linker.instantiate_and_start(&mut store, &self.module).map_err(|error| {
            match reason(&error, self.limits.startup_fuel) {
                Some(reason) => Unstarted::Trapped(reason),
                None => Unstarted::Refused(error),
            }
        })?;
        store.data_mut().memory = instance.get_memory(&store, abi::MEMORY);
        Ok((store, instance))
    }
}
