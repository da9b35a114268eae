/// What happens to a room whose [program is replaced](crate::ServerHandle::replace_program), if the guest cannot take its state
/// along, and its events are not recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Upgrade {
    /// It keeps its program. New rooms run the new one.
    #[default]
    Keep,
    /// It starts afresh with the new program, with `init`, and with `connect` for each of its clients.
    Reset,
}
