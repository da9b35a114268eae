/// Decides how safely rooms are kept on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Durability {
    /// Nothing that an event has caused is sent to clients before the event is on the disk.
    #[default]
    On,
    /// Clients do not wait for the disk. Events of the last moments are lost if the machine loses power or the system fails. They are not
    /// lost if only the process ends.
    Lazy,
    /// Rooms are in memory only.
    Off,
}
