use crate::{
    bytes::{Reader, put_varint},
    checksum,
};

/// The largest head of a record.
pub(crate) const HEAD: u64 = 56;
/// The largest payload of a record.
pub(crate) const MAX_BODY: u64 = 1 << 30;
/// The largest id.
pub(crate) const MAX_ID: u64 = 1 << 16;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A base: how a new room began.
    Created = 1,
    /// A base: a snapshot.
    Snapshot = 2,
    Event = 3,
    End = 4,
    /// The index of all rooms.
    Checkpoint = 5,
    /// A base in the place of a history that could not be read: its mark.
    Damaged = 6,
}

impl Kind {
    /// Returns whether it takes the place of all records of the room before it. Such records have the room's id.
    pub(crate) const fn is_base(self) -> bool {
        matches!(self, Self::Created | Self::Snapshot | Self::Damaged)
    }
}

/// The part of a record before its id and body.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Head {
    pub(crate) crc: u32,
    pub(crate) kind: Kind,
    pub(crate) room: u64,
    /// Events: how far back the room's last record is.
    pub(crate) back: u64,
    pub(crate) timer: Option<Option<u64>>,
    pub(crate) id: u64,
    pub(crate) body: u64,
    /// The length of the head itself.
    pub(crate) length: u64,
}

impl Head {
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader(bytes);
        let crc = reader.u32()?;
        let tag = reader.u8()?;
        let kind = match tag & 0xf {
            1 => Kind::Created,
            2 => Kind::Snapshot,
            3 => Kind::Event,
            4 => Kind::End,
            5 => Kind::Checkpoint,
            6 => Kind::Damaged,
            _ => return None,
        };
        let room = reader.varint()?;
        let back = if kind == Kind::Event { reader.varint()? } else { 0 };
        let timer = match tag >> 4 {
            0 => None,
            1 => Some(None),
            2 => Some(Some(reader.varint()?)),
            _ => return None,
        };
        let id = if kind.is_base() { reader.varint()? } else { 0 };
        let body = reader.varint()?;
        let length = (bytes.len() - reader.0.len()) as u64;
        (id <= MAX_ID && body <= MAX_BODY).then_some(Self { crc, kind, room, back, timer, id, body, length })
    }

    /// Returns the length of the whole record.
    pub(crate) const fn total(&self) -> u64 {
        self.length + self.id + self.body
    }
}

/// A record as it is on the disk, but for its place.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Record<'a> {
    pub(crate) kind: Kind,
    pub(crate) room: u64,
    pub(crate) back: u64,
    pub(crate) timer: Option<Option<u64>>,
    pub(crate) id: &'a str,
    pub(crate) body: &'a [u8],
}

impl<'a> Record<'a> {
    /// Appends the record. `crc` is the checksum of no bytes.
    pub(crate) fn encode(&self, crc: &checksum::Hasher, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(&[0; 4]);
        let timer = match self.timer {
            None => 0,
            Some(None) => 1,
            Some(Some(_)) => 2,
        };
        out.push(self.kind as u8 | timer << 4);
        put_varint(out, self.room);
        if self.kind == Kind::Event {
            put_varint(out, self.back);
        }
        if let Some(Some(due)) = self.timer {
            put_varint(out, due);
        }
        if self.kind.is_base() {
            put_varint(out, self.id.len() as u64);
        }
        put_varint(out, self.body.len() as u64);
        out.extend_from_slice(self.id.as_bytes());
        out.extend_from_slice(self.body);
        let mut crc = crc.clone();
        crc.update(&out[start + 4..]);
        let crc = crc.finalize();
        out[start..start + 4].copy_from_slice(&crc.to_le_bytes());
    }

    /// Takes a record from the front of some bytes. Returns it with its length, if it is undamaged.
    pub(crate) fn decode(bytes: &'a [u8]) -> Option<(Self, u64)> {
        let head = Head::decode(bytes)?;
        let bytes = bytes.get(..usize::try_from(head.total()).ok()?)?;
        if checksum::hash(&bytes[4..]) != head.crc {
            return None;
        }
        let (id, body) = bytes[head.length as usize..].split_at(head.id as usize);
        let (kind, room, back, timer) = (head.kind, head.room, head.back, head.timer);
        Some((Self { kind, room, back, timer, id: str::from_utf8(id).ok()?, body }, head.total()))
    }
}
