//! The names, numbers and encodings that a guest and its host agree on. Both take them from here.
//!
//! This is the interface of the published Stateroom hosts (protocol 0, version 1), called "jam" after its
//! exports. All pointers and lengths are `u32` into the guest's exported memory; text is UTF-8; client ids
//! count from 1.

/// The exported linear memory.
pub const MEMORY: &str = "memory";

/// `jam_malloc(size) -> ptr`: asks the guest where to put `size` bytes.
pub const MALLOC: &str = "jam_malloc";
/// `jam_free(ptr, size)`: gives bytes from [`MALLOC`] back.
pub const FREE: &str = "jam_free";
/// `initialize(ptr, len)`: the room's id, once, before every other event.
pub const INITIALIZE: &str = "initialize";
/// `connect(client)`: a client has come.
pub const CONNECT: &str = "connect";
/// `disconnect(client)`: a client has gone.
pub const DISCONNECT: &str = "disconnect";
/// `timer()`: the timer is due.
pub const TIMER: &str = "timer";
/// `message(client, ptr, len)`: a text message.
pub const MESSAGE: &str = "message";
/// `binary(client, ptr, len)`: a binary message.
pub const BINARY: &str = "binary";

/// `stateroom_save()`: the guest passes its state to [`SAVE`]. It is optional.
pub const SAVE_STATE: &str = "stateroom_save";
/// `stateroom_load(ptr, len)`: the guest takes over a state that [`SAVE_STATE`] of another version has passed. It comes once, after
/// [`INITIALIZE`] and before every other event. If the guest cannot take it over, it traps. It is optional.
pub const LOAD_STATE: &str = "stateroom_load";

/// The exported global with the *address* of two numbers: the begin and the end of the guest's inbox. It is optional.
/// The host may put data into the inbox without a call of [`MALLOC`] and [`FREE`].
pub const INBOX: &str = "jam_inbox";

/// The module of the imports that every host has. None is compulsory.
pub const ENV: &str = "env";
/// `env.send_message(recipient, ptr, len)`: sends text. A recipient is a signed number: 0 is everyone in the room, n
/// is the client n, and -n is everyone except that one.
pub const SEND_MESSAGE: &str = "send_message";
/// `env.send_binary(recipient, ptr, len)`: sends bytes.
pub const SEND_BINARY: &str = "send_binary";
/// `env.set_timer(ms)`: asks for [`TIMER`] in `ms` milliseconds; replaces an earlier request; 0 cancels.
pub const SET_TIMER: &str = "set_timer";

/// The module of this project's optional imports. A guest that uses none of them runs on any host.
pub const EXTENSIONS: &str = "stateroom";
/// `stateroom.log(level, ptr, len)`: writes a line of text to the host's log; see
/// [`LogLevel`](crate::LogLevel).
pub const LOG: &str = "log";
/// `stateroom.now_ms() -> i64`: milliseconds since the Unix epoch, the same during one event.
pub const NOW_MS: &str = "now_ms";
/// `stateroom.random(ptr, len)`: fills bytes from the room's generator.
pub const RANDOM: &str = "random";
/// `stateroom.close(recipient, code, ptr, len)`: closes the connections of the clients that `recipient` means (as in
/// [`SEND_MESSAGE`]) with a code and a reason in UTF-8; see [`is_close_code`] and [`CLOSE_REASON_SIZE`]. Earlier
/// messages to these clients arrive before the close, and later ones are dropped. [`DISCONNECT`] follows for each.
pub const CLOSE: &str = "close";
/// `stateroom.client_info(client, key_ptr, key_len, out_ptr, out_cap) -> i32`: reads what the connection of `client`
/// has brought with it, during [`CONNECT`] of that client only. The host writes a value of at most `out_cap` bytes to
/// `out_ptr`. It returns the value's length in bytes, or -1 if there is none. It does not write a longer value, so
/// that the guest can ask again with more space.
pub const CLIENT_INFO: &str = "client_info";

/// `stateroom.save(ptr, len)`: adds bytes to the state that is saved, during [`SAVE_STATE`] only.
pub const SAVE: &str = "save";

/// The longest reason of [`CLOSE`], in bytes: so much fits into a close frame (RFC 6455, section 5.5).
pub const CLOSE_REASON_SIZE: usize = 123;

/// Returns whether [`CLOSE`] takes this code: 1000, for a normal end, and 3000 to 4999, which are for applications
/// (RFC 6455, section 7.4). All others say something about the connection or the server.
#[must_use]
pub const fn is_close_code(code: u32) -> bool {
    matches!(code, 1000 | 3000..=4999)
}

/// The exported global that holds the *address* of [`VERSION`] as a little-endian `i32`.
pub const VERSION_GLOBAL: &str = "JAMSOCKET_API_VERSION";
/// The exported global that holds the *address* of [`PROTOCOL`] as a little-endian `i32`.
pub const PROTOCOL_GLOBAL: &str = "JAMSOCKET_API_PROTOCOL";
/// The version of the interface described here.
pub const VERSION: i32 = 1;
/// The protocol of the interface described here.
pub const PROTOCOL: i32 = 0;

/// The interface of the published 0.4 line: one function that takes every event, and one import that takes
/// everything that a guest asks for, each as a value in the bincode-1 format. Guests of this SDK do not use it;
/// hosts run modules that do.
pub mod recv {
    /// `stateroom_malloc(size) -> ptr`, as [`MALLOC`](super::MALLOC).
    pub const MALLOC: &str = "stateroom_malloc";
    /// `stateroom_free(ptr, size)`, as [`FREE`](super::FREE).
    pub const FREE: &str = "stateroom_free";
    /// `stateroom_recv(ptr, len)`: an event.
    pub const RECV: &str = "stateroom_recv";
    /// `env.stateroom_send(ptr, len)`: something that the guest asks for.
    pub const SEND: &str = "stateroom_send";
    /// The counterpart of [`VERSION_GLOBAL`](super::VERSION_GLOBAL), with the same version.
    pub const VERSION_GLOBAL: &str = "STATEROOM_API_VERSION";
    /// The counterpart of [`PROTOCOL_GLOBAL`](super::PROTOCOL_GLOBAL), with the same protocol.
    pub const PROTOCOL_GLOBAL: &str = "STATEROOM_API_PROTOCOL";
}

/// The result of a guest's [`MALLOC`] when it has no space: an address that no memory contains.
///
/// The host then refuses that one message (WebSocket close code 1009), and the room lives on. 0 cannot mean this:
/// published guests return 0 for every size, and accept the data there.
pub const ALLOC_FAILED: u32 = u32::MAX;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn close_codes_are_those_that_a_browser_may_send() {
        for code in [1000, 3000, 3999, 4000, 4999] {
            assert!(is_close_code(code), "{code}");
        }
        for code in [0, 999, 1001, 1005, 1006, 1011, 1015, 2999, 5000, 65535, (1 << 16) + 1000, u32::MAX] {
            assert!(!is_close_code(code), "{code}");
        }
    }
}
