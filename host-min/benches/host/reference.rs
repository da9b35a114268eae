//! A host that is nothing but the engine.

use wasmi::{Caller, CompilationMode, Config, Engine, Linker, Memory, Module, Store, TypedFunc};

pub(crate) struct Program {
    engine: Engine,
    module: Module,
    linker: Linker<State>,
}

#[derive(Default)]
pub(crate) struct State {
    memory: Option<Memory>,
    sent: Vec<u8>,
}

pub(crate) struct Room {
    store: Store<State>,
    memory: Memory,
    malloc: TypedFunc<u32, u32>,
    free: TypedFunc<(u32, u32), ()>,
    initialize: TypedFunc<(u32, u32), ()>,
    message: TypedFunc<(u32, u32, u32), ()>,
}

impl Program {
    pub(crate) fn load(module: &[u8]) -> Self {
        let mut config = Config::default();
        config.consume_fuel(true).wasm_custom_page_sizes(true);
        config.compilation_mode(CompilationMode::Eager);
        let engine = Engine::new(&config);
        let module = Module::new(&engine, module).expect("it is valid");
        let mut linker = Linker::new(&engine);
        let defined = linker.func_wrap("env", "send_message", send);
        defined.expect("it is the only one");
        Self { engine, module, linker }
    }

    pub(crate) fn room(&self) -> Room {
        let mut store = Store::new(&self.engine, State::default());
        store.set_fuel(u64::MAX).expect("fuel is metered");
        let instance = self.linker.instantiate_and_start(&mut store, &self.module).expect("it can be linked");
        let memory = instance.get_memory(&store, "memory").expect("it has one");
        store.data_mut().memory = Some(memory);
        Room {
            memory,
            malloc: instance.get_typed_func(&store, "jam_malloc").expect("it has one"),
            free: instance.get_typed_func(&store, "jam_free").expect("it has one"),
            initialize: instance.get_typed_func(&store, "initialize").expect("it has one"),
            message: instance.get_typed_func(&store, "message").expect("it has one"),
            store,
        }
    }
}

impl Room {
    pub(crate) fn initialize(&mut self, id: &[u8]) {
        let (at, len) = self.write(id);
        self.initialize.call(&mut self.store, (at, len)).expect("it does not trap");
        self.free.call(&mut self.store, (at, len)).expect("it does not trap");
    }

    pub(crate) fn message(&mut self, data: &[u8]) {
        self.store.data_mut().sent.clear();
        let (at, len) = self.write(data);
        self.message.call(&mut self.store, (1, at, len)).expect("it does not trap");
        self.free.call(&mut self.store, (at, len)).expect("it does not trap");
    }

    fn write(&mut self, data: &[u8]) -> (u32, u32) {
        let len = data.len() as u32;
        let at = self.malloc.call(&mut self.store, len).expect("it does not trap");
        self.memory.write(&mut self.store, at as usize, data).expect("there is room");
        (at, len)
    }
}

fn send(mut caller: Caller<'_, State>, _recipient: i32, at: u32, len: u32) {
    let memory = caller.data().memory.expect("it is known");
    let (bytes, state) = memory.data_and_store_mut(&mut caller);
    state.sent.extend_from_slice(&bytes[at as usize..][..len as usize]);
}
