use alloc::{boxed::Box, format, sync::Arc, vec};
use core::fmt;

use sha2::{Digest as _, Sha256};
use stateroom_core::abi;
use wasmi::{Engine, ImportType, Instance, Linker, Module, Store};

use crate::{
    Limits, LoadError, Room, Trap, TrapReason,
    construction::Construction,
    image::Image,
    imports::Imports,
    interpreter::engine,
    live::Live,
    load_error::clip,
    module::{self, AbiFlavor, Layout, Outline},
    state::State,
};

/// A loaded module, which all rooms of a service share. It is cheap to clone, and threads can share it.
#[derive(Clone)]
pub struct Program(Arc<Loaded>);

pub(crate) struct Loaded {
    engine: Engine,
    module: Module,
    linker: Linker<State>,
    limits: Limits,
    /// The bytes that it was loaded from, if they are kept.
    source: Option<Box<[u8]>>,
    hash: [u8; 32],
    abi_flavor: AbiFlavor,
    /// The maximum size of data at address 0.
    space_at_zero: usize,
    /// The address of the guest's inbox, if it has one.
    inbox: Option<u32>,
    /// True if the module imports `client_info`.
    asks_for_client_info: bool,
    /// True if the module can save the state of a room, and load one.
    saves_state: bool,
    loads_state: bool,
    layout: Layout,
    /// The approximate size of an instance without its memory, in bytes.
    instance_size: usize,
    /// The memory of a room before its first event.
    image: Image,
}

impl Program {
    /// Checks and translates a module in the WebAssembly binary format.
    ///
    /// The module's `start` function and its `_initialize` run once in a trial instance. So faults that would
    /// end every room are found here.
    ///
    /// # Errors
    /// See [`LoadError`]; its message lists everything that is wrong with the module.
    pub fn load(module: &[u8], limits: Limits) -> Result<Self, LoadError> {
        Self::load_from(module, limits, None)
    }

    /// Does the same, and keeps the bytes of the module. So [recordings](crate::Recording) of its rooms contain it.
    ///
    /// # Errors
    /// The same.
    pub fn load_and_keep(module: Box<[u8]>, limits: Limits) -> Result<Self, LoadError> {
        Self::load_from(&module.clone(), limits, Some(module))
    }

    fn load_from(module: &[u8], limits: Limits, source: Option<Box<[u8]>>) -> Result<Self, LoadError> {
        limits.check().map_err(LoadError::Limits)?;
        if module.len() > limits.module_size {
            return Err(LoadError::TooLarge { size: module.len(), limit: limits.module_size });
        }
        match module {
            [0, b'a', b's', b'm', _, _, 0, 0, ..] => {}
            [0, b'a', b's', b'm', _, _, _, _, ..] => return Err(LoadError::Component),
            _ => return Err(LoadError::NotWasm),
        }
        let outline = Outline::read(module)?;
        module::admit(&outline, module)?;
        let engine = engine(&limits);
        let invalid = |error: wasmi::Error| LoadError::Invalid(clip(&format!("{error}")));
        let imports = Imports::new(&engine, State::new(limits, [0; 32])).map_err(invalid)?;
        let problems = module::problems(&outline, &imports);
        if !problems.is_empty() {
            return Err(LoadError::NotAGuest(problems));
        }
        let asked = outline.memory_size();
        let size = usize::try_from(asked).ok().filter(|size| *size <= limits.memory).ok_or_else(|| {
            let limit = limits.memory;
            let reason = format!("it asks for {asked} bytes of memory; {limit} are the limit (`memory`)");
            LoadError::CannotStart(reason)
        })?;
        let image = Image::new(size, outline.contents())
            .ok_or_else(|| LoadError::CannotStart("its data does not fit into its memory".into()))?;
        let prepared = module::prepare(&outline, &limits)?;
        // For example a function with a frame that is too large for the engine.
        let translated = Module::new(&engine, &prepared.bytes).map_err(invalid)?;

        let asked_for =
            |import: ImportType<'_>| (import.module(), import.name()) == (abi::EXTENSIONS, abi::CLIENT_INFO);
        let loaded = Loaded {
            engine,
            asks_for_client_info: translated.imports().any(asked_for),
            saves_state: outline.has_export(abi::SAVE_STATE),
            loads_state: outline.has_export(abi::LOAD_STATE),
            module: translated,
            linker: imports.linker,
            limits,
            source,
            hash: Sha256::digest(module).into(),
            abi_flavor: outline.abi_flavor(),
            space_at_zero: outline.space_at_zero(),
            inbox: outline.inbox(),
            layout: prepared.layout,
            instance_size: outline.instance_size(),
            image,
        };
        let program = Self(Arc::new(loaded));
        // The engine's message describes its own internals.
        let (store, instance) = program.0.instantiate([0; 32]).map_err(|_| {
            LoadError::CannotStart(format!(
                "its elements do not fit where they are to go, or a table is too large: {} elements are the limit of a table (`table_elements`)",
                limits.table_elements
            ))
        })?;
        let room = Live::new("", program.clone(), store, instance);
        let mut room = room.map_err(LoadError::Trapped)?;
        room.construct(program.construction()).map_err(LoadError::Trapped)?;
        room.try_startup().map_err(LoadError::Trapped)?;
        match module::wrong_version(&outline, room.memory()) {
            Some(problem) => Err(LoadError::NotAGuest(vec![problem])),
            None => Ok(program),
        }
    }

    /// Creates a room. Its first event must be [`Event::Init`](crate::Event::Init). Its random numbers depend
    /// only on `seed`.
    ///
    /// # Errors
    /// There is not enough memory for it.
    pub fn room(&self, room_id: &str, seed: [u8; 32]) -> Result<Room, Trap> {
        self.live(room_id, seed, self.construction()).map(Room::from)
    }

    /// Returns the approximate number of bytes that a new room takes at once, before its first event.
    #[must_use]
    pub fn room_size(&self) -> usize {
        self.0.instance_size + self.0.image.size()
    }

    /// Returns the construction of a new room.
    pub(crate) fn construction(&self) -> Construction {
        Construction::new(self.0.image.size())
    }

    /// Makes an instance, and does the first step of its construction.
    pub(crate) fn live(
        &self,
        room_id: &str,
        seed: [u8; 32],
        construction: Construction,
    ) -> Result<Live, Trap> {
        let (store, instance) = self.0.instantiate(seed).map_err(|_| {
            let reason = TrapReason::Wasm("there is not enough memory for another room".into());
            Trap::new(module::START, reason)
        })?;
        let mut live = Live::new(room_id, self.clone(), store, instance)?;
        live.construct(construction)?;
        Ok(live)
    }

    /// Returns the limits that the program was loaded with.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.0.limits
    }

    /// Returns the bytes of the module, if they were [kept](Self::load_and_keep).
    #[must_use]
    pub fn module(&self) -> Option<&[u8]> {
        self.0.source.as_deref()
    }

    /// Returns the SHA-256 of the module. Snapshots name it.
    #[must_use]
    pub fn hash(&self) -> [u8; 32] {
        self.0.hash
    }

    pub(crate) fn instance_size(&self) -> usize {
        self.0.instance_size
    }

    pub(crate) fn abi_flavor(&self) -> AbiFlavor {
        self.0.abi_flavor
    }

    pub(crate) fn space_at_zero(&self) -> usize {
        self.0.space_at_zero
    }

    pub(crate) fn inbox(&self) -> Option<u32> {
        self.0.inbox
    }

    pub(crate) fn asks_for_client_info(&self) -> bool {
        self.0.asks_for_client_info
    }

    /// Returns true if a room of this program can pass its state to another program: see [`Migration`](crate::Migration).
    #[must_use]
    pub fn saves_state(&self) -> bool {
        self.0.saves_state
    }

    /// Returns true if a room of this program can take over the state of another program.
    #[must_use]
    pub fn loads_state(&self) -> bool {
        self.0.loads_state
    }

    pub(crate) fn layout(&self) -> &Layout {
        &self.0.layout
    }

    pub(crate) fn image(&self) -> &Image {
        &self.0.image
    }
}

impl fmt::Debug for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Program").field("limits", &self.0.limits).finish_non_exhaustive()
    }
}

impl Loaded {
    fn instantiate(&self, seed: [u8; 32]) -> Result<(Store<State>, Instance), wasmi::Error> {
        let mut store = Store::new(&self.engine, State::new(self.limits, seed));
        store.limiter(|state| &mut state.growth);
        // The prepared module has no start function, so no code of the guest runs here: see `prepare.rs`.
        let instance = self.linker.instantiate_and_start(&mut store, &self.module)?;
        store.data_mut().memory = instance.get_memory(&store, abi::MEMORY);
        if let Some(tables) = &self.layout.account {
            tables.watch(&mut store, &instance)?;
        }
        Ok((store, instance))
    }
}
