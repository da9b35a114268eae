//! The resumable sessions of a room, as its history in the journal has them: `docs/reference/sessions.md` describes the bytes.
//!
//! A note stands between the records of events. What follows from the records is in no note.

use std::{
    collections::BTreeMap,
    hash::{DefaultHasher, Hasher},
    ops::Range,
};

use stateroom_core::ClientId;
use stateroom_journal::Reader;

use crate::journal::NOTE;

use super::Token;

/// The kinds of notes.
const SESSIONS: u8 = 0;
const RESUMED: u8 = 1;
const NEXT: u8 = 2;

/// A note.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Note<'a> {
    /// These sessions begin, or have this state where the history begins.
    Sessions(Vec<SessionNote<'a>>),
    /// A client has another connection.
    Resumed { client: ClientId, attempt: u64, begun: u64 },
    /// The next client gets this id, or a higher one.
    Next(ClientId),
}

/// The state of a session.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct SessionNote<'a> {
    pub(super) client: ClientId,
    pub(super) token: Token,
    pub(super) attempt: u64,
    pub(super) begun: u64,
    /// True if `connect` has run.
    pub(super) is_here: bool,
    /// The number of messages that the room has received from the client.
    pub(super) received: u64,
    /// The number of messages to the client before those in `frames`, which are the last ones.
    pub(super) before: u64,
    pub(super) frames: Vec<&'a [u8]>,
}

/// Writes a note with sessions. Messages to several clients are in it once.
#[derive(Debug)]
pub(super) struct SessionsWriter {
    note: Vec<u8>,
    /// The messages in the note by their hashes: their numbers, and their places.
    known: BTreeMap<u64, (u32, Range<usize>)>,
    last: u32,
}

impl SessionsWriter {
    pub(super) fn new() -> Self {
        Self { note: vec![NOTE, SESSIONS], known: BTreeMap::new(), last: 0 }
    }

    pub(super) fn add(&mut self, session: &SessionNote<'_>) {
        let SessionNote { client, token, attempt, begun, is_here, received, before, frames } = session;
        let note = &mut self.note;
        note.extend(client.0.to_le_bytes());
        // It has at most 64 characters.
        note.push(token.as_str().len() as u8);
        note.extend(token.as_str().as_bytes());
        [attempt, begun, received, before].iter().for_each(|number| note.extend(number.to_le_bytes()));
        note.push((*is_here).into());
        note.extend((frames.len() as u32).to_le_bytes());
        frames.iter().for_each(|frame| self.add_frame(frame));
    }

    fn add_frame(&mut self, frame: &[u8]) {
        let mut hasher = DefaultHasher::new();
        hasher.write(frame);
        let hash = hasher.finish();
        if let Some((number, place)) = self.known.get(&hash)
            && self.note.get(place.clone()) == Some(frame)
        {
            return self.note.extend(number.to_le_bytes());
        }
        self.note.extend(0_u32.to_le_bytes());
        self.note.extend((frame.len() as u32).to_le_bytes());
        let begin = self.note.len();
        self.note.extend(frame);
        self.last += 1;
        self.known.insert(hash, (self.last, begin..self.note.len()));
    }

    pub(super) fn finish(self) -> Vec<u8> {
        self.note
    }
}

/// Returns the note that a client has another connection.
pub(super) fn resumed(client: ClientId, attempt: u64, begun: u64) -> Vec<u8> {
    let mut note = vec![NOTE, RESUMED];
    note.extend(client.0.to_le_bytes());
    [attempt, begun].iter().for_each(|number| note.extend(number.to_le_bytes()));
    note
}

/// Returns the note that the next client gets this id.
pub(super) fn next(client: u32) -> Vec<u8> {
    let mut note = vec![NOTE, NEXT];
    note.extend(client.to_le_bytes());
    note
}

impl<'a> Note<'a> {
    /// Reads a note. Returns `None` if it is none.
    pub(super) fn read(bytes: &'a [u8]) -> Option<Self> {
        let mut reader = Reader::new(bytes);
        let note = match [reader.u8()?, reader.u8()?] {
            [NOTE, SESSIONS] => {
                let (mut sessions, mut known) = (Vec::new(), Vec::new());
                while !reader.is_empty() {
                    sessions.push(SessionNote::read(&mut reader, &mut known)?);
                }
                Self::Sessions(sessions)
            }
            [NOTE, RESUMED] => Self::Resumed {
                client: ClientId(reader.u32()?),
                attempt: reader.u64()?,
                begun: reader.u64()?,
            },
            [NOTE, NEXT] => Self::Next(ClientId(reader.u32()?)),
            _ => return None,
        };
        reader.is_empty().then_some(note)
    }
}

/// Returns the size of the first note of sessions, which is nearly always the one beside the base, and of all other notes.
pub(super) fn sizes(notes: &[Vec<u8>]) -> (usize, usize) {
    let all = notes.iter().map(Vec::len).sum::<usize>();
    let first = notes.iter().find(|note| note.starts_with(&[NOTE, SESSIONS])).map_or(0, Vec::len);
    (first, all - first)
}

/// Returns the lowest id that these notes allow for a new client.
pub(super) fn next_noted(notes: &[Vec<u8>]) -> ClientId {
    let ids = notes.iter().filter_map(|note| match Note::read(note)? {
        Note::Sessions(sessions) => sessions.iter().map(|session| session.client.0.saturating_add(1)).max(),
        Note::Resumed { .. } => None,
        Note::Next(client) => Some(client.0),
    });
    ClientId(ids.max().unwrap_or(1))
}

impl<'a> SessionNote<'a> {
    fn read(reader: &mut Reader<'a>, known: &mut Vec<&'a [u8]>) -> Option<Self> {
        let client = ClientId(reader.u32()?);
        let len = reader.u8()?;
        let token = Token::read(str::from_utf8(reader.take(len.into())?).ok()?)?;
        let mut session = Self {
            client,
            token,
            attempt: reader.u64()?,
            begun: reader.u64()?,
            received: reader.u64()?,
            before: reader.u64()?,
            is_here: reader.u8()? == 1,
            frames: Vec::new(),
        };
        for _ in 0..reader.u32()? {
            let frame = match reader.u32()? {
                0 => {
                    let len = reader.u32()?;
                    let frame = reader.take(len.into())?;
                    known.push(frame);
                    frame
                }
                number => known.get(number as usize - 1)?,
            };
            session.frames.push(frame);
        }
        Some(session)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session(client: u32, frames: Vec<&[u8]>) -> SessionNote<'_> {
        SessionNote {
            client: ClientId(client),
            token: Token::read(&format!("token-of-client-{client}")).expect("a token"),
            attempt: u64::MAX,
            begun: 2,
            is_here: client != 7,
            received: 3,
            before: 1 << 40,
            frames,
        }
    }

    fn written(sessions: &[SessionNote<'_>]) -> Vec<u8> {
        let mut writer = SessionsWriter::new();
        sessions.iter().for_each(|session| writer.add(session));
        writer.finish()
    }

    #[test]
    fn notes_come_back_and_the_messages_of_several_clients_are_in_them_once() {
        let large = [9; 10_000];
        let sessions = vec![
            session(1, vec![b"a", &large, b"b"]),
            session(7, vec![]),
            session(8, vec![&large, b"c", b"b", &large]),
        ];
        let note = written(&sessions);
        assert!(note.len() < large.len() + 500, "{}", note.len());
        assert_eq!(Note::read(&note), Some(Note::Sessions(sessions)));
        let resumed = resumed(ClientId(5), 6, u64::MAX);
        let expected = Note::Resumed { client: ClientId(5), attempt: 6, begun: u64::MAX };
        assert_eq!(Note::read(&resumed), Some(expected));
        assert_eq!(next_noted(&[note, next(12), next(9)]), ClientId(12));
        assert_eq!(Note::read(&[NOTE, NEXT, 1, 0, 0]), None);
    }

    #[test]
    fn what_is_no_note_is_refused() {
        let note = written(&[session(1, vec![b"a", b"b"]), session(2, vec![b"b"])]);
        let whole = written(&[session(1, vec![b"a", b"b"])]).len();
        for len in (0..note.len()).filter(|len| ![2, whole].contains(len)) {
            assert_eq!(Note::read(&note[..len]), None, "{len}");
        }
        // There is no message with this number.
        let mut other = note.clone();
        let at = other.len() - 4;
        other[at] = 3;
        assert_eq!(Note::read(&other), None);
        assert_eq!(Note::read(&[NOTE, 3]), None);
        assert_eq!(Note::read(&[1, SESSIONS]), None);
    }
}
