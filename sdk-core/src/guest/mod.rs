//! The guest's side of the ABI: what `#[stateroom_wasm]` expands to. Not for direct use.
//!
//! This is the only part of the crate with unsafe code. It rests on what the ABI promises of a host, by these
//! names:
//!
//! - *First*: it calls `initialize` once, before any other event.
//! - *One at a time*: it calls one export at a time, and none from within an import. There are no threads.
//! - *Handed over*: the address and length that it passes to an event are those of a `jam_malloc`, or lie in the
//!   [inbox](crate::abi::INBOX), and it has written all of these bytes. Text is UTF-8.
//! - *Given back*: when the event is over, it calls `jam_free` with those of a `jam_malloc`, once, and has them no more.
//! - *Lent*: in an import it reads the bytes that it is given, or writes them where the import is made for that,
//!   as many as it says; and no others, and not later.
//!
//! All of it but the very imports and the end of memory is tested natively, against a host that keeps these
//! promises, so that Miri can look for what does not: `cargo +nightly miri test -p stateroom-sdk-core --lib guest`.

mod form;
// On other targets the C library has an allocator of its own, and believes that all memory is its own.
#[cfg(any(
    all(target_family = "wasm", target_os = "unknown", feature = "alloc"),
    all(test, feature = "alloc")
))]
mod heap;
#[cfg(any(target_family = "wasm", test))]
mod imports;
#[cfg(all(any(target_family = "wasm", test), not(feature = "heap")))]
#[path = "incoming_scratch.rs"]
mod incoming;
#[cfg(all(any(target_family = "wasm", test), feature = "heap"))]
#[path = "incoming_heap.rs"]
mod incoming;
#[cfg(all(target_family = "wasm", target_os = "unknown", any(feature = "alloc", not(feature = "heap"))))]
mod linear_memory;
#[cfg(all(target_family = "wasm", target_os = "unknown"))]
mod panic;
// With a system the standard library's own macros write.
#[cfg(all(any(all(target_family = "wasm", target_os = "unknown"), test), feature = "std"))]
mod print;
#[cfg(any(target_family = "wasm", test))]
mod room;
#[cfg(any(target_family = "wasm", test))]
mod room_id;
#[cfg(test)]
mod test_host;
#[cfg(test)]
mod tests;

// `text!` expands to these two.
pub use crate::text::Text;
pub use form::{BY_DEFAULT, BY_NEW, Guest, InForm, Lacking, Probe, form};
pub use stateroom_core::too_long;

#[cfg(all(any(all(target_family = "wasm", target_os = "unknown"), test), feature = "std"))]
pub use print::{ERR, OUT, print};
#[cfg(any(target_family = "wasm", test))]
pub use room::{Address, Room};
#[cfg(any(target_family = "wasm", test))]
pub use room_id::{Place, RoomId};
#[cfg(all(test, any(feature = "alloc", not(feature = "heap"))))]
use test_host::linear_memory;

/// Exports a service type, which has the form `$form`, as a guest.
#[doc(hidden)]
#[macro_export]
macro_rules! __export {
    ($service:ty, $form:expr $(, $save:ident)?) => {
        #[cfg(target_family = "wasm")]
        const _: () = {
            struct __Place;
            impl $crate::guest::Place for __Place {
                fn id() -> &'static $crate::guest::RoomId {
                    static ID: $crate::guest::RoomId = $crate::guest::RoomId::new();
                    &ID
                }
            }

            // SAFETY: only the exports know the room, and only the host knows the exports.
            static ROOM: $crate::guest::Room<$crate::guest::InForm<$service, { $form }>, __Place> =
                unsafe { $crate::guest::Room::new() };

            #[unsafe(no_mangle)]
            pub static JAMSOCKET_API_VERSION: i32 = $crate::abi::VERSION;
            #[unsafe(no_mangle)]
            pub static JAMSOCKET_API_PROTOCOL: i32 = $crate::abi::PROTOCOL;

            #[unsafe(no_mangle)]
            extern "C" fn jam_malloc(size: usize) -> $crate::guest::Address {
                ROOM.malloc(size)
            }
            #[unsafe(no_mangle)]
            extern "C" fn jam_free(at: $crate::guest::Address, size: usize) {
                ROOM.free(at, size);
            }
            #[unsafe(no_mangle)]
            extern "C" fn initialize(at: $crate::guest::Address, len: usize) {
                ROOM.initialize(at, len);
            }
            #[unsafe(no_mangle)]
            extern "C" fn connect(client: u32) {
                ROOM.connect(client);
            }
            #[unsafe(no_mangle)]
            extern "C" fn disconnect(client: u32) {
                ROOM.disconnect(client);
            }
            #[unsafe(no_mangle)]
            extern "C" fn timer() {
                ROOM.timer();
            }
            #[unsafe(no_mangle)]
            extern "C" fn message(client: u32, at: $crate::guest::Address, len: usize) {
                ROOM.message(client, at, len);
            }
            #[unsafe(no_mangle)]
            extern "C" fn binary(client: u32, at: $crate::guest::Address, len: usize) {
                ROOM.binary(client, at, len);
            }
            $($crate::__export_state!($save);)?
        };
    };
}

/// Exports what saves and loads the state, next to the other exports.
#[doc(hidden)]
#[macro_export]
macro_rules! __export_state {
    (save) => {
        #[unsafe(no_mangle)]
        extern "C" fn stateroom_save() {
            ROOM.save();
        }
        #[unsafe(no_mangle)]
        extern "C" fn stateroom_load(at: $crate::guest::Address, len: usize) {
            ROOM.load(at, len);
        }
    };
}

/// Implements `SaveState` in JSON.
#[cfg(feature = "json")]
#[doc(hidden)]
#[macro_export]
macro_rules! __save_as_json {
    ($service:ty) => {
        impl $crate::SaveState for $service {
            type Error = $crate::JsonError;

            fn save(&self, write: &mut impl FnMut(&[u8])) {
                $crate::ToPayload::with_payload(&$crate::Json(self), |saved| write(saved.data()));
            }

            fn load(
                &mut self,
                saved: &[u8],
                _: &impl $crate::StateroomContext,
            ) -> ::core::result::Result<(), $crate::JsonError> {
                *self = $crate::load_json(saved)?;
                Ok(())
            }
        }
    };
}

/// Says what is missing.
#[cfg(not(feature = "json"))]
#[doc(hidden)]
#[macro_export]
macro_rules! __save_as_json {
    ($service:ty) => {
        ::core::compile_error!("`save = \"json\"` needs the feature `json` of stateroom-sdk-core");
    };
}

/// Implements `SaveState` in the postcard format.
#[cfg(feature = "postcard")]
#[doc(hidden)]
#[macro_export]
macro_rules! __save_as_postcard {
    ($service:ty) => {
        impl $crate::SaveState for $service {
            type Error = $crate::PostcardError;

            fn save(&self, write: &mut impl FnMut(&[u8])) {
                $crate::ToPayload::with_payload(&$crate::Postcard(self), |saved| write(saved.data()));
            }

            fn load(
                &mut self,
                saved: &[u8],
                _: &impl $crate::StateroomContext,
            ) -> ::core::result::Result<(), $crate::PostcardError> {
                *self = $crate::MessagePayload::Bytes(saved).postcard()?;
                Ok(())
            }
        }
    };
}

/// Says what is missing.
#[cfg(not(feature = "postcard"))]
#[doc(hidden)]
#[macro_export]
macro_rules! __save_as_postcard {
    ($service:ty) => {
        ::core::compile_error!("`save = \"postcard\"` needs the feature `postcard` of stateroom-sdk-core");
    };
}
