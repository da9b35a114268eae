use std::ops::Range;

use crate::{
    Disk, Journal, JournalError, RoomNumber,
    bytes::{Reader, put_varint},
    index::Room,
    layout::{BATCH, HEADER, Layout},
    record::{HEAD, Head, Kind, Record},
};

/// The bytes that are read at first of a record.
const GUESS: u64 = 512;

/// The kind of a base.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BaseKind {
    /// With the base of a new room.
    Created,
    /// With a snapshot.
    Snapshot,
}

/// The history of a room: its base, and the events after it.
#[derive(Debug, Clone)]
pub struct History {
    /// The kind of its base.
    pub kind: BaseKind,
    /// The time at which the timer was due when the base was made, in milliseconds since the Unix epoch.
    pub due: Option<u64>,
    base: Vec<u8>,
    /// The events, from the last to the first.
    events: Vec<u8>,
    places: Vec<(Option<Option<u64>>, Range<usize>)>,
}

/// An event of a [`History`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct HistoryEvent<'a> {
    /// `None`: the timer is unchanged. `Some(None)`: it is cancelled. `Some(Some(ms))`: it is due at this time.
    pub timer: Option<Option<u64>>,
    /// The event.
    pub event: &'a [u8],
}

impl History {
    /// Returns the base.
    #[must_use]
    pub fn base(&self) -> &[u8] {
        &self.base
    }

    /// Returns the events in their order.
    pub fn events(&self) -> impl DoubleEndedIterator<Item = HistoryEvent<'_>> + ExactSizeIterator {
        self.places
            .iter()
            .rev()
            .map(|(timer, place)| HistoryEvent { timer: *timer, event: &self.events[place.clone()] })
    }
}

/// The place of a history in the files. With it, another thread can [read](Self::read) the history, with a [`Disk`] of its own.
///
/// It is valid until the journal writes a new base of the room or empties the segment. After that, reading returns the history as it was,
/// or an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HistoryPlace {
    layout: Layout,
    room: u64,
    base: u64,
    last: u64,
    base_bytes: u32,
    event_bytes: u32,
    id_bytes: u32,
    /// The newest segment.
    head: u64,
}

impl<D: Disk> Journal<D> {
    /// Returns the place of the history of a room.
    ///
    /// # Errors
    ///
    /// [`UnknownRoom`](JournalError::UnknownRoom), and [`Broken`](JournalError::Broken) if the journal failed before.
    pub fn place(&self, room: RoomNumber) -> Result<HistoryPlace, JournalError> {
        self.check_broken()?;
        let Some(&Room { base, last, base_bytes, event_bytes, ref id, .. }) = self.index.get(room.0) else {
            return Err(JournalError::UnknownRoom(room));
        };
        let (layout, id_bytes, head) = (self.layout, id.len() as u32, self.head.segment);
        Ok(HistoryPlace { layout, room: room.0, base, last, base_bytes, event_bytes, id_bytes, head })
    }

    /// Reads the history of a room, whether it is durable or not. Every byte is checked.
    ///
    /// # Errors
    ///
    /// [`UnknownRoom`](JournalError::UnknownRoom), [`Damaged`](JournalError::Damaged), [`Read`](JournalError::Read),
    /// and [`Broken`](JournalError::Broken) if the journal failed before.
    pub fn history(&mut self, room: RoomNumber) -> Result<History, JournalError> {
        self.place(room)?.read(&mut self.disk)
    }

    /// Reads [up to `most` bytes](HistoryPlace::base_start) from the start of the base of a room.
    ///
    /// # Errors
    ///
    /// The same as those of [`history`](Self::history).
    pub fn base_start(&mut self, room: RoomNumber, most: usize) -> Result<Vec<u8>, JournalError> {
        self.place(room)?.base_start(&mut self.disk, most)
    }

    /// Returns a mark for a room whose history is damaged at this place, and whether it is new: one that it has is kept.
    pub(crate) fn mark(&mut self, room: RoomNumber, damage: u64) -> Result<(bool, Vec<u8>), JournalError> {
        let mut bytes = Vec::new();
        let place = self.place(room)?;
        if let Ok(Some(record)) =
            place.record(&mut self.disk, place.base, place.base_bytes.into(), &mut bytes)
            && record.kind == Kind::Damaged
        {
            return Ok((false, record.body.to_vec()));
        }
        bytes.clear();
        put_varint(&mut bytes, damage);
        put_varint(&mut bytes, place.base);
        Ok((true, bytes))
    }
}

impl HistoryPlace {
    /// Reads the history. Every byte is checked.
    ///
    /// # Errors
    ///
    /// [`Damaged`](JournalError::Damaged) and [`Read`](JournalError::Read).
    pub fn read(&self, disk: &mut impl Disk) -> Result<History, JournalError> {
        let &Self { room, base, last, base_bytes, event_bytes, .. } = self;
        let mut history = History {
            kind: BaseKind::Created,
            due: None,
            base: Vec::new(),
            events: Vec::new(),
            places: Vec::new(),
        };
        let mut position = last;
        let mut left = u64::from(event_bytes);
        let mut bytes = Vec::new();
        while position != base {
            let Some(record) = self.record(disk, position, left, &mut bytes)? else {
                return Err(self.damaged(position));
            };
            if record.kind != Kind::Event
                || record.room != room
                || record.back == 0
                || record.back > position - base
            {
                return Err(self.damaged(position));
            }
            let start = history.events.len();
            history.events.extend_from_slice(record.body);
            history.places.push((record.timer, start..history.events.len()));
            position -= record.back;
            left -= bytes.len() as u64;
        }
        let Some(record) = self.record(disk, base, base_bytes.into(), &mut bytes)? else {
            return Err(self.damaged(base));
        };
        history.kind = match record.kind {
            Kind::Created => BaseKind::Created,
            Kind::Snapshot => BaseKind::Snapshot,
            // Its first number is the place of the damage.
            Kind::Damaged => return Err(self.damaged(Reader(record.body).varint().unwrap_or(base))),
            _ => return Err(self.damaged(base)),
        };
        if record.room != room || left != 0 {
            return Err(self.damaged(base));
        }
        history.due = record.timer.flatten();
        history.base.extend_from_slice(record.body);
        Ok(history)
    }

    /// Reads up to `most` bytes from the start of the base. They are not checked: only the whole base has a checksum.
    ///
    /// # Errors
    ///
    /// The same as those of [`read`](Self::read).
    pub fn base_start(&self, disk: &mut impl Disk, most: usize) -> Result<Vec<u8>, JournalError> {
        let mut bytes = Vec::new();
        let length = HEAD + u64::from(self.id_bytes) + most as u64;
        self.append(disk, self.base, length.min(self.base_bytes.into()), &mut bytes)?;
        let head = Head::decode(&bytes).ok_or_else(|| self.damaged(self.base))?;
        let start = ((head.length + head.id) as usize).min(bytes.len());
        bytes.drain(..start);
        bytes.truncate(most.min(head.body as usize));
        Ok(bytes)
    }

    /// Reads a record of at most `most` bytes, and returns `None` if it is damaged.
    fn record<'b>(
        &self,
        disk: &mut impl Disk,
        position: u64,
        most: u64,
        bytes: &'b mut Vec<u8>,
    ) -> Result<Option<Record<'b>>, JournalError> {
        bytes.clear();
        let mut guess = most.min(GUESS);
        if self.layout.segment(position) == self.head {
            // There is no segment after it.
            guess = guess.min(self.layout.size - self.layout.offset(position));
        }
        self.append(disk, position, guess, bytes)?;
        let Some(head) = Head::decode(bytes) else { return Ok(None) };
        let total = head.total();
        if total > most {
            return Ok(None);
        }
        let have = bytes.len() as u64;
        if total > have {
            self.append(disk, self.layout.advance(position, have), total - have, bytes)?;
        }
        bytes.truncate(total as usize);
        Ok(Record::decode(bytes).map(|(record, _)| record))
    }

    /// Appends this many bytes of data, from one segment or several ones.
    fn append(
        &self,
        disk: &mut impl Disk,
        mut position: u64,
        length: u64,
        bytes: &mut Vec<u8>,
    ) -> Result<(), JournalError> {
        let mut at = bytes.len();
        bytes.resize(at + length as usize, 0);
        while at < bytes.len() {
            let (segment, offset) = (self.layout.segment(position), self.layout.offset(position));
            if segment > self.head {
                return Err(self.damaged(position));
            }
            let part = (bytes.len() - at).min((self.layout.size - offset) as usize);
            let name = crate::segment::segment_name(segment);
            disk.read(&name, offset, &mut bytes[at..at + part]).map_err(JournalError::Read)?;
            at += part;
            position = self.layout.position(segment + 1, HEADER + BATCH);
        }
        Ok(())
    }

    const fn damaged(&self, position: u64) -> JournalError {
        JournalError::Damaged { segment: self.layout.segment(position), offset: self.layout.offset(position) }
    }
}
