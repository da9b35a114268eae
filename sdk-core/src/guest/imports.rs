use core::{marker::PhantomData, str};

use crate::{ClientId, LogLevel, MessagePayload, MessageRecipient, StateroomContext, ToPayload};

use super::Place;
#[cfg(not(target_family = "wasm"))]
use super::test_host::{env, extensions};

#[cfg(target_family = "wasm")]
mod env {
    #[link(wasm_import_module = "env")]
    unsafe extern "C" {
        pub(super) fn send_message(recipient: i32, at: *const u8, len: usize);
        pub(super) fn send_binary(recipient: i32, at: *const u8, len: usize);
        pub(super) fn set_timer(ms_delay: u32);
    }
}

#[cfg(target_family = "wasm")]
mod extensions {
    #[link(wasm_import_module = "stateroom")]
    unsafe extern "C" {
        pub(super) fn log(level: u32, at: *const u8, len: usize);
        pub(super) fn now_ms() -> i64;
        pub(super) fn random(at: *mut u8, len: usize);
        pub(super) fn close(recipient: i32, code: u32, at: *const u8, len: usize);
        pub(super) fn save(at: *const u8, len: usize);
        /// Returns `usize::MAX` if there is no value. The ABI calls this -1.
        pub(super) fn client_info(
            client: u32,
            key_at: *const u8,
            key_len: usize,
            out: *mut u8,
            capacity: usize,
        ) -> usize;
    }
}

/// The host, as the guest sees it. What a guest does not call is not imported.
#[derive(Debug)]
pub(super) struct Host<P>(PhantomData<P>);

impl<P> Host<P> {
    pub(super) const fn new() -> Self {
        Self(PhantomData)
    }
}

/// Writes a line to the host's log.
pub(super) fn log(level: LogLevel, message: &str) {
    // SAFETY: `message` is *lent*.
    unsafe { extensions::log(level as u32, message.as_ptr(), message.len()) }
}

/// Adds bytes to the state that is saved.
pub(super) fn save(bytes: &[u8]) {
    // SAFETY: `bytes` are *lent*.
    unsafe { extensions::save(bytes.as_ptr(), bytes.len()) }
}

impl<P: Place> StateroomContext for Host<P> {
    fn send_message(&self, recipient: impl Into<MessageRecipient>, message: impl ToPayload) {
        let recipient = recipient.into().encode_i32();
        message.with_payload(|payload| {
            let data = payload.data();
            let send = match payload {
                MessagePayload::Text(_) => env::send_message,
                MessagePayload::Bytes(_) => env::send_binary,
            };
            // SAFETY: `data` is *lent*.
            unsafe { send(recipient, data.as_ptr(), data.len()) }
        });
    }

    fn room_id(&self) -> &str {
        P::id().get()
    }

    fn set_timer(&self, ms_delay: u32) {
        // SAFETY: takes a number only.
        unsafe { env::set_timer(ms_delay) }
    }

    fn log(&self, level: LogLevel, message: &str) {
        log(level, message);
    }

    fn now_ms(&self) -> u64 {
        // SAFETY: takes nothing.
        unsafe { extensions::now_ms() }.cast_unsigned()
    }

    fn random(&self, bytes: &mut [u8]) {
        // SAFETY: `bytes` is *lent*.
        unsafe { extensions::random(bytes.as_mut_ptr(), bytes.len()) }
    }

    fn close(&self, recipient: impl Into<MessageRecipient>, code: u16, reason: &str) {
        let recipient = recipient.into().encode_i32();
        // SAFETY: `reason` is *lent*.
        unsafe { extensions::close(recipient, code.into(), reason.as_ptr(), reason.len()) }
    }

    fn client_info<'b>(&self, client: ClientId, key: &str, buffer: &'b mut [u8]) -> Option<&'b str> {
        let (out, capacity) = (buffer.as_mut_ptr(), buffer.len());
        // SAFETY: `key` and `buffer` are *lent*.
        let len = unsafe { extensions::client_info(client.0, key.as_ptr(), key.len(), out, capacity) };
        // No buffer is as long as the answer that there is nothing.
        let value = buffer.get(..len)?;
        // SAFETY: the host says that it has written these bytes, as text; see `Address::text` on why it is believed.
        Some(unsafe { str::from_utf8_unchecked(value) })
    }
}
