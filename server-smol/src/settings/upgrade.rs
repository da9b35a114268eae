/// Decides about a room whose program is replaced (`ServerHandle::replace_program`), if it can neither be migrated nor
/// replayed: its guest does not save its state, and there is no complete recording of its events, or they fail in the new program.
/// A room whose migration fails always keeps its program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Upgrade {
    /// It keeps its program. New rooms run the new one.
    #[default]
    Keep,
    /// It starts afresh with the new program, with `init`, and with `connect` for each of its clients.
    Reset,
}
