//! The calls into the guest, for each of the two interfaces that guests are made for.

use alloc::format;

use stateroom_core::{MessagePayload, abi};
use wasmi::{Instance, Store, TypedFunc, WasmParams, WasmResults};

use crate::{Event, Trap, TrapReason, bincode, module::AbiFlavor, state::State};

/// A guest's functions, looked up once.
pub(crate) struct Interface {
    /// Asks the guest where to put so many bytes.
    pub(crate) malloc: TypedFunc<u32, u32>,
    pub(crate) malloc_name: &'static str,
    /// The name of the function by which data is given back.
    pub(crate) free_name: &'static str,
    events: Events,
}

enum Events {
    Exports(Exports),
    Bincode(TypedFunc<(u32, u32), ()>),
}

/// The documented interface has a function for each kind of event.
struct Exports {
    initialize: TypedFunc<(u32, u32), ()>,
    connect: TypedFunc<u32, ()>,
    disconnect: TypedFunc<u32, ()>,
    timer: TypedFunc<(), ()>,
    message: TypedFunc<(u32, u32, u32), ()>,
    binary: TypedFunc<(u32, u32, u32), ()>,
}

/// A call into the guest, made from an event.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Call {
    /// The export that is called.
    pub(crate) name: &'static str,
    /// True if it hands over a message. A guest may have no space for one.
    pub(crate) message: bool,
    pub(crate) function: Function,
}

/// A function with what it gets beside the place of its data.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Function {
    Plain(TypedFunc<(), ()>),
    Client(TypedFunc<u32, ()>, u32),
    /// A function that gets data, and that gives the data back before it returns: see `prepare.rs`.
    Data(TypedFunc<(u32, u32), ()>, bincode::Head),
    ClientData(TypedFunc<(u32, u32, u32), ()>, u32),
}

impl Interface {
    pub(crate) fn new(
        abi_flavor: AbiFlavor,
        store: &Store<State>,
        instance: &Instance,
    ) -> Result<Self, Trap> {
        let (malloc_name, free_name, events) = match abi_flavor {
            AbiFlavor::Exports => (
                abi::MALLOC,
                abi::FREE,
                Events::Exports(Exports {
                    initialize: export(store, instance, abi::INITIALIZE)?,
                    connect: export(store, instance, abi::CONNECT)?,
                    disconnect: export(store, instance, abi::DISCONNECT)?,
                    timer: export(store, instance, abi::TIMER)?,
                    message: export(store, instance, abi::MESSAGE)?,
                    binary: export(store, instance, abi::BINARY)?,
                }),
            ),
            AbiFlavor::Bincode => (
                abi::recv::MALLOC,
                abi::recv::FREE,
                Events::Bincode(export(store, instance, abi::recv::RECV)?),
            ),
        };
        Ok(Self { malloc: export(store, instance, malloc_name)?, malloc_name, free_name, events })
    }

    /// Returns the call that hands in an event, and the data that it takes along.
    pub(crate) fn call<'a>(&self, event: Event<'a>, room_id: &'a str) -> (Call, &'a [u8]) {
        let message = matches!(event, Event::Message(..));
        let exports = match &self.events {
            Events::Exports(exports) => exports,
            Events::Bincode(function) => {
                let (head, data) = bincode::encode(event);
                let function = Function::Data(*function, head);
                return (Call { name: abi::recv::RECV, message, function }, data);
            }
        };
        let (name, function, data) = match event {
            Event::Init => {
                let function = Function::Data(exports.initialize, bincode::Head::default());
                (abi::INITIALIZE, function, room_id.as_bytes())
            }
            Event::Connect(client, _) => (abi::CONNECT, Function::Client(exports.connect, client.0), &[][..]),
            Event::Disconnect(client) => {
                (abi::DISCONNECT, Function::Client(exports.disconnect, client.0), &[][..])
            }
            Event::Timer => (abi::TIMER, Function::Plain(exports.timer), &[][..]),
            Event::Message(client, MessagePayload::Text(text)) => {
                (abi::MESSAGE, Function::ClientData(exports.message, client.0), text.as_bytes())
            }
            Event::Message(client, MessagePayload::Bytes(bytes)) => {
                (abi::BINARY, Function::ClientData(exports.binary, client.0), bytes)
            }
        };
        (Call { name, message, function }, data)
    }
}

/// Returns the call that saves the guest's state, if it has one. It is looked up each time, because it is rare.
pub(crate) fn save(store: &Store<State>, instance: &Instance) -> Option<Call> {
    let function = Function::Plain(export(store, instance, abi::SAVE_STATE).ok()?);
    Some(Call { name: abi::SAVE_STATE, message: false, function })
}

/// Returns the call that loads a state, if the guest has one.
pub(crate) fn load(store: &Store<State>, instance: &Instance) -> Option<Call> {
    let function = Function::Data(export(store, instance, abi::LOAD_STATE).ok()?, bincode::Head::default());
    Some(Call { name: abi::LOAD_STATE, message: false, function })
}

fn export<P: WasmParams, R: WasmResults>(
    store: &Store<State>,
    instance: &Instance,
    name: &'static str,
) -> Result<TypedFunc<P, R>, Trap> {
    // `module::problems` has found it, with the right type.
    instance
        .get_typed_func(store, name)
        .map_err(|error| Trap::new(name, TrapReason::Wasm(format!("{error}"))))
}
