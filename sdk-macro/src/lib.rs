//! The `#[stateroom_wasm]` attribute. Use it through `stateroom-sdk-core`, which re-exports it.

mod expand;
mod item;
mod saving;

use proc_macro::TokenStream;

/// Makes a service type the room of a WebAssembly module.
///
/// Put it on the struct, the enum or the type alias that implements `StateroomService` and `Default`, or
/// `SimpleStateroomService`. With `#[stateroom_wasm(save)]` the type also implements `SaveState`, and its rooms continue in a new
/// version of the module; `#[stateroom_wasm(save = "json")]` and `#[stateroom_wasm(save = "postcard")]` implement that for types with
/// serde's traits. A crate has one. It exports the functions that a host calls; off WebAssembly it
/// only checks that the type can be a room, and that it is the only one.
#[proc_macro_attribute]
pub fn stateroom_wasm(arguments: TokenStream, item: TokenStream) -> TokenStream {
    expand::expand(&arguments.into(), &item.into()).into()
}
