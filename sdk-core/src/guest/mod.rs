//! The guest's side of the ABI: what `#[stateroom_wasm]` expands to. Not for direct use.
//!
//! This is the only part of the crate with unsafe code. It relies on two things that the ABI promises: the
//! host calls one export at a time (WebAssembly has no threads here, and the host never calls back from an
//! import), and the pointers that it passes are those that `jam_malloc` gave it, filled.

mod form;

#[cfg(target_family = "wasm")]
#[allow(unsafe_code, reason = "pointers from the host; see the module's documentation")]
mod exports;
// On other targets the C library has an allocator of its own, and believes that all memory is its own.
#[cfg(all(target_family = "wasm", target_os = "unknown", feature = "alloc"))]
#[allow(unsafe_code, reason = "an allocator hands out raw memory")]
mod heap;
#[cfg(target_family = "wasm")]
#[allow(unsafe_code, reason = "imports are unsafe to call")]
mod imports;
#[cfg(all(target_family = "wasm", not(feature = "heap")))]
#[path = "incoming_scratch.rs"]
#[allow(unsafe_code, reason = "hands out raw memory")]
mod incoming;
#[cfg(all(target_family = "wasm", feature = "heap"))]
#[path = "incoming_heap.rs"]
#[allow(unsafe_code, reason = "hands out raw memory")]
mod incoming;
#[cfg(all(target_family = "wasm", target_os = "unknown", any(feature = "alloc", not(feature = "heap"))))]
#[allow(unsafe_code, reason = "the linker's symbols are foreign items")]
mod linear_memory;
#[cfg(all(target_family = "wasm", target_os = "unknown"))]
mod panic;

pub use form::{BY_DEFAULT, BY_NEW, Guest, InForm, Lacking, Probe, form};

#[cfg(target_family = "wasm")]
pub use self::{
    exports::Room,
    incoming::{free, malloc},
};

/// Exports a service type, which has the form `$form`, as a guest.
#[doc(hidden)]
#[macro_export]
macro_rules! __export {
    ($service:ty, $form:expr) => {
        #[cfg(target_family = "wasm")]
        const _: () = {
            static ROOM: $crate::guest::Room<$crate::guest::InForm<$service, { $form }>> =
                $crate::guest::Room::new();

            #[unsafe(no_mangle)]
            pub static JAMSOCKET_API_VERSION: i32 = $crate::abi::VERSION;
            #[unsafe(no_mangle)]
            pub static JAMSOCKET_API_PROTOCOL: i32 = $crate::abi::PROTOCOL;

            #[unsafe(no_mangle)]
            extern "C" fn jam_malloc(size: usize) -> *mut u8 {
                $crate::guest::malloc(size)
            }
            #[unsafe(no_mangle)]
            unsafe extern "C" fn jam_free(at: *mut u8, size: usize) {
                // SAFETY: the host gives back what `jam_malloc` gave it.
                unsafe { $crate::guest::free(at, size) }
            }
            #[unsafe(no_mangle)]
            unsafe extern "C" fn initialize(at: *const u8, len: usize) {
                // SAFETY: the host put `len` bytes of text at `at`.
                unsafe { ROOM.initialize(at, len) }
            }
            #[unsafe(no_mangle)]
            unsafe extern "C" fn connect(client: u32) {
                // SAFETY: only the host calls this, one export at a time.
                unsafe { ROOM.connect(client) }
            }
            #[unsafe(no_mangle)]
            unsafe extern "C" fn disconnect(client: u32) {
                // SAFETY: only the host calls this, one export at a time.
                unsafe { ROOM.disconnect(client) }
            }
            #[unsafe(no_mangle)]
            unsafe extern "C" fn timer() {
                // SAFETY: only the host calls this, one export at a time.
                unsafe { ROOM.timer() }
            }
            #[unsafe(no_mangle)]
            unsafe extern "C" fn message(client: u32, at: *const u8, len: usize) {
                // SAFETY: the host put `len` bytes of text at `at`.
                unsafe { ROOM.message(client, at, len) }
            }
            #[unsafe(no_mangle)]
            unsafe extern "C" fn binary(client: u32, at: *const u8, len: usize) {
                // SAFETY: the host put `len` bytes at `at`.
                unsafe { ROOM.binary(client, at, len) }
            }
        };
    };
}
