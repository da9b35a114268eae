use crate::{RoomNumber, bytes::Reader};

/// Entries for the journal that were encoded by one thread and are not yet written.
///
/// Encoding appends to one buffer. [`clear`](Self::clear) keeps the buffer for the next entries.
#[derive(Debug, Default, Clone)]
pub struct Entries {
    bytes: Vec<u8>,
    count: u64,
    /// The largest id or body.
    longest: usize,
    has_snapshots: bool,
    /// The last entry, if it is an event that others can become a part of.
    open: Option<Open>,
}

/// An event whose end is that of all entries.
#[derive(Debug, Clone, Copy)]
struct Open {
    room: RoomNumber,
    /// The place of its body.
    body: usize,
}

/// The most bytes of an event that has become one of several ones.
const JOINED: usize = 64 << 10;

/// One of [`Entries`], as another store would need it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Entry<'a> {
    /// A new room.
    Create {
        /// Its number, which no room had before.
        room: RoomNumber,
        /// Its id, which no living room has.
        id: &'a str,
        /// Its state at the beginning.
        base: &'a [u8],
    },
    /// An event of a room.
    Event {
        /// The number of the room.
        room: RoomNumber,
        /// `None`: its timer is unchanged. `Some(None)`: its timer is cancelled. `Some(Some(ms))`: its timer is due
        /// at this time, in milliseconds since the Unix epoch.
        timer: Option<Option<u64>>,
        /// The event.
        event: &'a [u8],
    },
    /// A snapshot of a room, which takes the place of all before.
    Snapshot {
        /// The number of the room.
        room: RoomNumber,
        /// The time at which its timer is due, in milliseconds since the Unix epoch.
        due: Option<u64>,
        /// The snapshot.
        snapshot: &'a [u8],
    },
    /// The end of a room.
    End {
        /// The number of the room.
        room: RoomNumber,
    },
    /// A history that could not be read, and was given up. Only the journal adds it.
    Damaged {
        /// The number of the room.
        room: RoomNumber,
        /// Its id.
        id: &'a str,
        /// The places of the damage and of the base.
        mark: &'a [u8],
    },
}

const CREATE: u8 = 0;
const EVENT: u8 = 1;
const SNAPSHOT: u8 = 2;
const END: u8 = 3;
const DAMAGED: u8 = 4;

impl Entries {
    /// Adds a new room and its first base.
    pub fn create(&mut self, room: RoomNumber, id: &str, base: &[u8]) {
        self.begin(CREATE, room);
        self.put_bytes(id.as_bytes());
        self.put_bytes(base);
    }

    /// Adds an event of a room. If `timer` is `None`, the room's timer is unchanged. `Some(None)` cancels it, and
    /// with `Some(Some(ms))` it is due at this time (milliseconds since the Unix epoch).
    pub fn event(&mut self, room: RoomNumber, timer: Option<Option<u64>>, event: &[u8]) {
        self.begin(EVENT, room);
        self.put_timer(timer);
        self.put_bytes(event);
    }

    /// Does the same, but appends the event to the one before it, if that was added in the same way, and for the same
    /// room. Together they are one [`Entry::Event`], which takes less on the disk, and less time, than two. The caller has to
    /// know where each of them ends.
    pub fn join_event(&mut self, room: RoomNumber, timer: Option<Option<u64>>, event: &[u8]) {
        if let Some(open) = self.open
            && open.room == room
            && let size = self.bytes.len() - open.body + event.len()
            && size <= JOINED
            && let Some(head) = self.bytes[..open.body].last_chunk_mut::<{ TIMER + LENGTH }>()
        {
            if timer.is_some() {
                head[..TIMER].copy_from_slice(&encode_timer(timer));
            }
            head[TIMER..].copy_from_slice(&(size as u32).to_le_bytes());
            self.longest = self.longest.max(size);
            self.bytes.extend_from_slice(event);
            return;
        }
        self.event(room, timer, event);
        self.open = Some(Open { room, body: self.bytes.len() - event.len() });
    }

    /// Adds a snapshot of a room. It takes the place of the room's base and of all its events before.
    pub fn snapshot(&mut self, room: RoomNumber, due: Option<u64>, snapshot: &[u8]) {
        self.begin(SNAPSHOT, room);
        self.has_snapshots = true;
        self.put_timer(due.map(Some));
        self.put_bytes(snapshot);
    }

    /// Adds a new room that begins with a snapshot: the base of a new room has no timer.
    pub fn create_from(&mut self, room: RoomNumber, id: &str, due: Option<u64>, snapshot: &[u8]) {
        self.create(room, id, &[]);
        self.snapshot(room, due, snapshot);
    }

    /// Adds the end of a room. Its history is no longer kept.
    pub fn end(&mut self, room: RoomNumber) {
        self.begin(END, room);
    }

    /// Adds a room whose history could not be read.
    pub(crate) fn damaged(&mut self, room: RoomNumber, id: &str, mark: &[u8]) {
        self.begin(DAMAGED, room);
        self.put_bytes(id.as_bytes());
        self.put_bytes(mark);
    }

    /// Returns whether there are no entries.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Returns the size of the entries in bytes. On the disk each has at most 20 bytes more, and a snapshot also
    /// the room's id.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Frees memory for more than this number of bytes.
    pub fn shrink_to(&mut self, bytes: usize) {
        self.bytes.shrink_to(bytes);
    }

    /// Removes all entries, and keeps the memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
        (self.count, self.longest, self.has_snapshots, self.open) = (0, 0, false, None);
    }

    /// Returns how many there are.
    pub(crate) const fn count(&self) -> u64 {
        self.count
    }

    /// Returns the size of the largest id or body.
    pub(crate) const fn longest(&self) -> usize {
        self.longest
    }

    pub(crate) const fn has_snapshots(&self) -> bool {
        self.has_snapshots
    }

    /// Returns the entries in order.
    pub fn iter(&self) -> impl Iterator<Item = Entry<'_>> {
        let mut reader = Reader(&self.bytes);
        std::iter::from_fn(move || next(&mut reader))
    }

    fn begin(&mut self, kind: u8, room: RoomNumber) {
        self.count += 1;
        self.open = None;
        self.bytes.push(kind);
        self.bytes.extend_from_slice(&room.0.to_le_bytes());
    }

    // Nothing is larger than the caller's limits, and those are below 4 GiB.
    fn put_bytes(&mut self, bytes: &[u8]) {
        self.longest = self.longest.max(bytes.len());
        self.bytes.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
        self.bytes.extend_from_slice(bytes);
    }

    fn put_timer(&mut self, timer: Option<Option<u64>>) {
        self.bytes.extend_from_slice(&encode_timer(timer));
    }
}

/// The bytes of a timer and of a length. They are fixed, so that both can be changed.
const TIMER: usize = 9;
const LENGTH: usize = 4;

fn encode_timer(timer: Option<Option<u64>>) -> [u8; TIMER] {
    let mut bytes = [0; TIMER];
    bytes[0] = u8::from(timer.is_some()) + u8::from(timer.flatten().is_some());
    bytes[1..].copy_from_slice(&timer.flatten().unwrap_or(0).to_le_bytes());
    bytes
}

fn next<'a>(reader: &mut Reader<'a>) -> Option<Entry<'a>> {
    let kind = reader.u8()?;
    let room = RoomNumber(reader.u64()?);
    Some(match kind {
        CREATE => Entry::Create { room, id: str::from_utf8(bytes(reader)?).ok()?, base: bytes(reader)? },
        EVENT => Entry::Event { room, timer: timer(reader)?, event: bytes(reader)? },
        SNAPSHOT => Entry::Snapshot { room, due: timer(reader)?.flatten(), snapshot: bytes(reader)? },
        DAMAGED => Entry::Damaged { room, id: str::from_utf8(bytes(reader)?).ok()?, mark: bytes(reader)? },
        _ => Entry::End { room },
    })
}

fn timer(reader: &mut Reader<'_>) -> Option<Option<Option<u64>>> {
    let (kind, due) = (reader.u8()?, reader.u64()?);
    Some((kind > 0).then_some((kind > 1).then_some(due)))
}

fn bytes<'a>(reader: &mut Reader<'a>) -> Option<&'a [u8]> {
    let length = reader.u32()?;
    reader.take(length.into())
}
