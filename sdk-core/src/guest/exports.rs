use core::{cell::UnsafeCell, mem::MaybeUninit, slice, str};

use crate::{ClientId, MessagePayload, StateroomService};

use super::{Guest, imports::Host};

/// The one room of this instance: empty until `initialize`.
///
/// Whether it is empty is not noted: a check in every event would cost a small guest a tenth of its code, and a
/// host that breaks its word hurts nothing but its own copy of the guest.
#[derive(Debug)]
pub struct Room<G: Guest>(UnsafeCell<MaybeUninit<G::Service>>);

// SAFETY: a guest has one thread.
unsafe impl<G: Guest> Sync for Room<G> {}

impl<G: Guest> Room<G> {
    /// A room before `initialize`.
    #[must_use]
    #[allow(clippy::new_without_default, reason = "made in a static only")]
    pub const fn new() -> Self {
        Self(UnsafeCell::new(MaybeUninit::uninit()))
    }

    /// Calls `event` with the service.
    ///
    /// # Safety
    /// `initialize` has been called, and no other export of the guest is running.
    unsafe fn with(&'static self, event: impl FnOnce(&mut G::Service)) {
        // SAFETY: the caller's promise; the host never calls from within an import, so this is the only
        // reference.
        event(unsafe { (*self.0.get()).assume_init_mut() });
    }

    /// # Safety
    /// `at` and `len` describe text from the host, which calls one export at a time.
    pub unsafe fn initialize(&'static self, at: *const u8, len: usize) {
        // SAFETY: the caller's promise.
        let room_id = unsafe { text(at, len) };
        #[cfg(all(feature = "std", target_os = "unknown", debug_assertions))]
        super::panic::watch();
        let service = G::create(room_id, &Host);
        // SAFETY: as in `Room::with`; the service's constructor has returned and cannot hold a reference into the
        // cell.
        unsafe { (*self.0.get()).write(service) };
    }

    /// A client has come.
    ///
    /// # Safety
    /// Called by the host alone, after `initialize`, and not while another export runs.
    pub unsafe fn connect(&'static self, client: u32) {
        // SAFETY: the caller's promise.
        unsafe { self.with(|service| service.connect(ClientId(client), &Host)) };
    }

    /// A client has gone.
    ///
    /// # Safety
    /// Called by the host alone, after `initialize`, and not while another export runs.
    pub unsafe fn disconnect(&'static self, client: u32) {
        // SAFETY: the caller's promise.
        unsafe { self.with(|service| service.disconnect(ClientId(client), &Host)) };
    }

    /// The timer is due.
    ///
    /// # Safety
    /// Called by the host alone, after `initialize`, and not while another export runs.
    pub unsafe fn timer(&'static self) {
        // SAFETY: the caller's promise.
        unsafe { self.with(|service| service.timer(&Host)) };
    }

    /// # Safety
    /// `at` and `len` describe text from the host, which calls one export at a time.
    pub unsafe fn message(&'static self, client: u32, at: *const u8, len: usize) {
        // SAFETY: the caller's promise.
        let text = unsafe { text(at, len) };
        // SAFETY: the caller's promise.
        unsafe { self.with(|service| service.message(ClientId(client), MessagePayload::Text(text), &Host)) };
    }

    /// # Safety
    /// `at` and `len` describe bytes from the host, which calls one export at a time.
    pub unsafe fn binary(&'static self, client: u32, at: *const u8, len: usize) {
        // SAFETY: the caller's promise.
        let bytes = unsafe { slice::from_raw_parts(at, len) };
        // SAFETY: the caller's promise.
        unsafe {
            self.with(|service| service.message(ClientId(client), MessagePayload::Bytes(bytes), &Host))
        };
    }
}

/// # Safety
/// `at` and `len` describe readable bytes that are UTF-8 and stay as they are for `'a`.
unsafe fn text<'a>(at: *const u8, len: usize) -> &'a str {
    // SAFETY: the caller's promise. Checking UTF-8 again here would cost every small guest a kilobyte for
    // nothing: a host that breaks its word can corrupt nothing that it does not own.
    unsafe { str::from_utf8_unchecked(slice::from_raw_parts(at, len)) }
}
