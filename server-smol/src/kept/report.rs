use std::{
    fmt,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use stateroom_core::ClientId;
use stateroom_host_min::{Recording, RecordingHeader, RecordingStart};

use crate::{
    journal::{History, RoomOnDisk, hex},
    room::{Presence, RoomStatus},
};

/// A room, as `stateroom rooms list` prints it: a line.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeptRoom {
    /// Its id.
    pub id: String,
    /// The SHA-256 of its module, if it is on disk.
    pub module: Option<[u8; 32]>,
    /// The bytes of its base in the journal. `None` if it is not on disk.
    pub base_bytes: Option<u64>,
    /// The bytes of its events since the base.
    pub event_bytes: Option<u64>,
    /// The time at which its timer is due, in milliseconds since the Unix epoch. `None` if there is none, or it is not on disk.
    pub timer_due: Option<u64>,
    /// The room in memory. `None` if it is only on disk.
    pub loaded: Option<LoadedRoom>,
    /// True if all rooms wait for space on the disk, so that it is not known whether the room is in memory.
    pub is_unknown: bool,
}

/// A room that is in the memory of a server.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct LoadedRoom {
    /// The ids of its clients, in order.
    pub clients: Vec<ClientId>,
    /// True if it hibernates.
    pub hibernates: bool,
}

/// All that is known of a room, as `stateroom rooms show` prints it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RoomDetails {
    /// The same fields as in the list.
    pub room: KeptRoom,
    /// What its history says. Nothing if it is not on disk.
    pub history: Option<HistoryDetails>,
    /// Where it is.
    pub memory: RoomMemory,
}

/// The history of a room, as the journal has it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct HistoryDetails {
    /// True if its base is a snapshot, and not how the room began.
    pub is_snapshot: bool,
    /// The number of events since the base.
    pub events: u32,
    /// The clients that are in it after the last event.
    pub members: Vec<ClientId>,
    /// The version of the host that has written the base.
    pub host_version: String,
}

/// The place of a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum RoomMemory {
    /// It is only on disk.
    OnDisk,
    /// It is only on disk, and the server could not restore it.
    Quarantined,
    /// It is in memory.
    Loaded,
    /// All rooms wait for space on the disk, and it is not known which of them are in memory.
    Unknown,
}

impl From<RoomStatus> for LoadedRoom {
    fn from(status: RoomStatus) -> Self {
        Self { clients: status.clients, hibernates: status.hibernates }
    }
}

impl From<RoomOnDisk> for KeptRoom {
    fn from(room: RoomOnDisk) -> Self {
        Self {
            module: RecordingHeader::module_hash_of(&room.head),
            id: room.id,
            base_bytes: Some(room.base_bytes),
            event_bytes: Some(room.event_bytes),
            timer_due: room.timer_due,
            loaded: None,
            is_unknown: false,
        }
    }
}

impl From<RoomStatus> for KeptRoom {
    fn from(status: RoomStatus) -> Self {
        Self {
            id: status.id.as_str().to_owned(),
            module: None,
            base_bytes: None,
            event_bytes: None,
            timer_due: None,
            loaded: Some(status.into()),
            is_unknown: false,
        }
    }
}

impl RoomDetails {
    /// Returns the details of a room from what the disk has, and what its thread knows. Nothing if neither has it.
    ///
    /// # Errors
    /// Its history cannot be read.
    pub(crate) fn new(
        on_disk: Option<(RoomOnDisk, History)>,
        presence: Presence,
    ) -> Result<Option<Self>, String> {
        let (loaded, memory) = match presence {
            Presence::Absent => (None, RoomMemory::OnDisk),
            Presence::Unknown => (None, RoomMemory::Unknown),
            Presence::Quarantined => (None, RoomMemory::Quarantined),
            Presence::InMemory(status) => (Some(status), RoomMemory::Loaded),
        };
        let Some((room, history)) = on_disk else {
            let details = |status: RoomStatus| Self { room: status.into(), history: None, memory };
            return Ok(loaded.map(details));
        };
        let base = Recording::read(&history.base).map_err(|error| format!("its base: {error}"))?;
        let mut room = KeptRoom::from(room);
        room.module = Some(base.header.module_hash);
        room.loaded = loaded.map(LoadedRoom::from);
        let is_snapshot = matches!(base.header.start, RecordingStart::Snapshot(_));
        let host_version = base.header.host_version.to_owned();
        let whole = [&*history.base, &*history.records].concat();
        let members = Recording::read(&whole).and_then(|whole| whole.clients());
        let members = members.map_err(|error| format!("its events: {error}"))?;
        let history = HistoryDetails { is_snapshot, events: history.events, members, host_version };
        Ok(Some(Self { room, history: Some(history), memory }))
    }
}

impl fmt::Display for KeptRoom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let module = self.module.map_or_else(|| "-".to_owned(), |hash| hex(&hash[..4]));
        let bytes = self.base_bytes.zip(self.event_bytes);
        let bytes = bytes.map_or_else(|| "-".to_owned(), |(base, events)| size(base + events));
        let loaded = match &self.loaded {
            Some(loaded) => loaded.to_string(),
            None if self.is_unknown => "?".to_owned(),
            None => "on disk".to_owned(),
        };
        let timer = self.timer_due.map_or_else(|| "-".to_owned(), due);
        write!(f, "{module:<8}  {bytes:>9}  {loaded:<10}  {timer:<20}  {}", shown(&self.id))
    }
}

impl fmt::Display for LoadedRoom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.clients.len() {
            1 => f.write_str("1 client"),
            count => write!(f, "{count} clients"),
        }
    }
}

impl fmt::Display for RoomDetails {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let room = &self.room;
        writeln!(f, "id       {}", shown(&room.id))?;
        if let (Some(hash), Some(base), Some(events), Some(history)) =
            (room.module, room.base_bytes, room.event_bytes, &self.history)
        {
            writeln!(f, "module   {}", hex(&hash))?;
            let kind = if history.is_snapshot { "a snapshot" } else { "its beginning" };
            writeln!(f, "base     {} ({kind}, written by version {})", size(base), history.host_version)?;
            writeln!(f, "events   {} since the base ({})", history.events, size(events))?;
            writeln!(f, "timer    {}", room.timer_due.map_or_else(|| "none".to_owned(), due))?;
        } else {
            writeln!(f, "disk     no, the server has no `--data`")?;
        }
        let memory = match (self.memory, &room.loaded) {
            (RoomMemory::Quarantined, _) => {
                "no, quarantined: it could not be restored (the server's log says why)"
            }
            (RoomMemory::Unknown, _) => "not known: all rooms wait for space on the disk",
            (_, Some(LoadedRoom { hibernates: true, .. })) => "yes, it hibernates",
            (_, Some(_)) => "yes",
            (_, None) => "no",
        };
        writeln!(f, "memory   {memory}")?;
        let members = match (&self.history, &room.loaded) {
            (Some(history), _) => &*history.members,
            (None, Some(loaded)) => &loaded.clients,
            (None, None) => &[],
        };
        let ids: Vec<_> = members.iter().map(|client| client.0.to_string()).collect();
        let members = match members.len() {
            0 => "none".to_owned(),
            1 => format!("client {}", ids.join("")),
            _ => format!("clients {}", ids.join(", ")),
        };
        writeln!(f, "members  {members}")
    }
}

/// Returns an id as people see it: escaped, and in quotes if spaces begin or end it.
fn shown(id: &str) -> String {
    if id.trim() == id { id.escape_debug().to_string() } else { format!("{id:?}") }
}

/// Returns a size in words.
fn size(bytes: u64) -> String {
    match bytes {
        ..1_024 => format!("{bytes} B"),
        1_024..1_048_576 => format!("{} KiB", bytes.div_ceil(1024)),
        _ => format!("{} MiB", bytes.div_ceil(1 << 20)),
    }
}

/// Says when a timer is due.
fn due(due_ms: u64) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let left = Duration::from_millis(due_ms).saturating_sub(now).as_secs();
    match left {
        0 => "timer is due".to_owned(),
        1..120 => format!("timer in {left} s"),
        120..7_200 => format!("timer in {} min", left / 60),
        7_200..172_800 => format!("timer in {} h", left / 3_600),
        _ => format!("timer in {} days", left / 86_400),
    }
}
