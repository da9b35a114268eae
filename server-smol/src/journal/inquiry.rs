//! What the operator asks about the rooms in the journal, and their deletion. The journal's thread answers even while it waits for
//! space on the disk: to delete rooms makes space.

use std::{
    mem,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

use smol::channel;
#[cfg(feature = "rooms")]
use stateroom_journal::{Disk, RoomEntry};
use stateroom_journal::{Entries, Entry, RoomNumber};

use super::{
    files::Files,
    handle::Journal,
    requests::{Batch, Question, Requests, Write},
    writer::{AGAIN, Answer, Writer},
};

#[cfg(feature = "rooms")]
use super::writer::History;
#[cfg(feature = "metrics")]
use crate::metrics::Distribution;

/// The number of bytes at the start of a base that say which module the room runs.
#[cfg(feature = "rooms")]
const HEAD: usize = 256;

/// A question of the operator about the rooms that are kept, or the deletion of one.
pub(super) enum Inquiry {
    /// Return up to so many rooms in the order of their ids, those after this one.
    #[cfg(feature = "rooms")]
    List(Option<Box<str>>, usize, channel::Sender<Vec<RoomOnDisk>>),
    /// Return a room and its history, as they are on the disk.
    #[cfg(feature = "rooms")]
    Read(Box<str>, channel::Sender<Answer<Option<(RoomOnDisk, History)>>>),
    /// Say whether a room is kept.
    #[cfg(feature = "rooms")]
    Exists(Box<str>, channel::Sender<bool>),
    /// Return counts of the journal, and the times of its syncs in nanoseconds.
    #[cfg(feature = "metrics")]
    Measure(channel::Sender<(stateroom_journal::Stats, Distribution)>),
    /// Delete a room, and say whether there was one.
    Delete(Box<str>, Deletion, channel::Sender<Answer<bool>>),
}

/// The kind of a deletion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Deletion {
    /// The room is not in memory.
    Dormant,
    /// The room may be in memory. Then it adds to its history until it learns of the deletion.
    Forced,
}

/// A room as it is in the journal.
#[cfg(feature = "rooms")]
#[derive(Debug)]
pub(crate) struct RoomOnDisk {
    pub(crate) id: String,
    pub(crate) base_bytes: u64,
    pub(crate) event_bytes: u64,
    pub(crate) timer_due: Option<u64>,
    /// The first bytes of its base.
    pub(crate) head: Vec<u8>,
}

/// Answers the operator's questions about rooms that are kept, from any thread.
#[derive(Debug, Clone)]
pub(crate) struct KeptRooms {
    requests: Arc<Requests>,
    #[cfg(feature = "rooms")]
    is_filling: Arc<AtomicBool>,
    is_stalled: Arc<AtomicBool>,
}

impl KeptRooms {
    pub(super) fn new(
        requests: Arc<Requests>,
        is_stalled: Arc<AtomicBool>,
        #[cfg(feature = "rooms")] is_filling: Arc<AtomicBool>,
    ) -> Self {
        Self {
            requests,
            is_stalled,
            #[cfg(feature = "rooms")]
            is_filling,
        }
    }

    /// Returns whether the disk has no space for more rooms.
    #[cfg(feature = "rooms")]
    pub(crate) fn is_filling(&self) -> bool {
        self.is_filling.load(Ordering::Relaxed) || self.is_stalled()
    }

    /// Returns whether all rooms wait for space on the disk.
    pub(crate) fn is_stalled(&self) -> bool {
        self.is_stalled.load(Ordering::Relaxed)
    }

    /// Returns up to `most` rooms in the order of their ids, those after `after`.
    #[cfg(feature = "rooms")]
    pub(crate) async fn list(&self, after: Option<&str>, most: usize) -> Answer<Vec<RoomOnDisk>> {
        ask(&self.requests, |answer| Inquiry::List(after.map(Box::from), most, answer)).await
    }

    /// Returns a room and its history, as they are on the disk.
    #[cfg(feature = "rooms")]
    pub(crate) async fn read(&self, id: &str) -> Answer<Option<(RoomOnDisk, History)>> {
        ask(&self.requests, |answer| Inquiry::Read(id.into(), answer)).await?
    }

    /// Returns counts of the journal, and the times of its syncs in nanoseconds.
    #[cfg(feature = "metrics")]
    pub(crate) async fn measure(&self) -> Answer<(stateroom_journal::Stats, Distribution)> {
        ask(&self.requests, Inquiry::Measure).await
    }

    /// Deletes a room, whether it is in memory or not. If it is, the caller has to close it there.
    pub(crate) async fn delete(&self, id: &str) -> Answer<bool> {
        ask(&self.requests, |answer| Inquiry::Delete(id.into(), Deletion::Forced, answer)).await?
    }
}

impl Journal {
    /// Deletes a room that is not in memory.
    pub(crate) async fn delete(&self, id: &str) -> Answer<bool> {
        // What it has had may have been added in this pass.
        self.hand_over();
        ask(&self.requests, |answer| Inquiry::Delete(id.into(), Deletion::Dormant, answer)).await?
    }

    /// Returns whether a room is kept.
    #[cfg(feature = "rooms")]
    pub(crate) async fn exists(&self, id: &str) -> Answer<bool> {
        self.hand_over();
        ask(&self.requests, |answer| Inquiry::Exists(id.into(), answer)).await
    }
}

async fn ask<T>(requests: &Requests, inquiry: impl FnOnce(channel::Sender<T>) -> Inquiry) -> Answer<T> {
    let (answer, answered) = channel::bounded(1);
    requests.ask(Question::Inquire(inquiry(answer)));
    answered.recv().await.map_err(|_| "the server is ending".to_owned())
}

impl Writer {
    /// Answers an inquiry while `waiting` are entries that could not be written yet.
    pub(super) fn inquire(&mut self, inquiry: Inquiry, waiting: &mut [Write]) {
        match inquiry {
            #[cfg(feature = "rooms")]
            Inquiry::List(after, most, answer) => {
                let _ = answer.try_send(list(&mut self.journal, after.as_deref(), most));
            }
            #[cfg(feature = "rooms")]
            Inquiry::Exists(id, answer) => {
                let _ = answer.try_send(self.journal.find(&id).is_some());
            }
            #[cfg(feature = "rooms")]
            Inquiry::Read(id, answer) => {
                if !self.is_synced {
                    self.sync();
                }
                let _ = answer.try_send(read(&mut self.journal, &id));
            }
            #[cfg(feature = "metrics")]
            Inquiry::Measure(answer) => {
                let _ = answer.try_send((self.journal.stats(), self.sync_times.distribution()));
            }
            Inquiry::Delete(id, deletion, answer) => {
                let _ = answer.try_send(self.delete(&id, deletion, waiting));
            }
        }
    }

    fn delete(&mut self, id: &str, deletion: Deletion, waiting: &mut [Write]) -> Answer<bool> {
        if deletion == Deletion::Dormant {
            // A room of this id that was deleted before is in memory no more, so it adds nothing more.
            self.deleted.retain(|(_, deleted)| **deleted != *id);
        }
        let number = if let Some(number) = end(&mut self.journal, id)? {
            self.is_synced = false;
            self.sync();
            number
        } else if let Some(number) = created(waiting.iter().chain(&self.delayed.writes), id) {
            number
        } else {
            // It may have been asked for twice.
            return Ok(self.deleted.iter().any(|(_, deleted)| **deleted == *id));
        };
        if deletion == Deletion::Forced {
            self.deleted.push((number, id.into()));
        }
        for Write { entries, .. } in waiting.iter_mut().chain(&mut self.delayed.writes) {
            *entries = without(entries, |room| room == number);
        }
        Ok(true)
    }

    /// Removes the entries of rooms that were deleted while they were in memory. When such a room has ended there, it is forgotten.
    pub(super) fn leave_out_deleted(&mut self, writes: &mut [Write]) {
        if self.deleted.is_empty() {
            return;
        }
        for Write { entries, .. } in writes {
            let kept = without(entries, |number| self.deleted.iter().any(|(deleted, _)| *deleted == number));
            for entry in entries.iter() {
                if let Entry::End { room } = entry {
                    self.deleted.retain(|(deleted, _)| *deleted != room);
                }
            }
            *entries = kept;
        }
    }

    /// Waits a while for space on the disk, and answers the operator meanwhile.
    pub(super) fn wait_for_space(&mut self, waiting: &mut [Write]) {
        let end = Instant::now() + AGAIN;
        let mut is_over = false;
        while !is_over {
            let mut batch = Batch::default();
            self.requests.take(&mut batch, Some(end.saturating_duration_since(Instant::now())));
            is_over = Instant::now() >= end;
            let questions = mem::take(&mut batch.questions);
            self.delayed = mem::take(&mut self.delayed).followed_by(batch);
            for question in questions {
                match question {
                    Question::Inquire(inquiry) => {
                        // There may be space after a deletion.
                        is_over |= matches!(inquiry, Inquiry::Delete(..));
                        self.inquire(inquiry, waiting);
                    }
                    question => self.delayed.questions.push(question),
                }
            }
        }
    }
}

/// The rooms that were deleted while they were in memory, and have not ended there yet.
pub(super) type DeletedRooms = Vec<(RoomNumber, Box<str>)>;

/// Returns the number of a room that is new in entries which have not been written.
fn created<'a>(mut writes: impl Iterator<Item = &'a Write>, id: &str) -> Option<RoomNumber> {
    writes.find_map(|Write { entries, .. }| {
        entries.iter().find_map(|entry| match entry {
            Entry::Create { room, id: new, .. } if new == id => Some(room),
            _ => None,
        })
    })
}

/// Returns entries without those of some rooms.
fn without(entries: &Entries, is_out: impl Fn(RoomNumber) -> bool) -> Entries {
    let mut kept = Entries::default();
    for entry in entries.iter() {
        match entry {
            Entry::Create { room, id, base } if !is_out(room) => kept.create(room, id, base),
            Entry::Event { room, timer, event } if !is_out(room) => kept.event(room, timer, event),
            Entry::Snapshot { room, due, snapshot } if !is_out(room) => kept.snapshot(room, due, snapshot),
            Entry::End { room } if !is_out(room) => kept.end(room),
            _ => {}
        }
    }
    kept
}

/// Returns up to `most` rooms in the order of their ids, those after `after`.
#[cfg(feature = "rooms")]
pub(super) fn list(
    journal: &mut stateroom_journal::Journal<impl Disk>,
    after: Option<&str>,
    most: usize,
) -> Vec<RoomOnDisk> {
    // There may be a million rooms, of which a page is wanted.
    let mut rooms: Vec<RoomEntry<'_>> = Vec::new();
    for room in journal.rooms().filter(|room| after.is_none_or(|after| room.id > after)) {
        if rooms.len() == most && rooms.last().is_none_or(|last| last.id < room.id) {
            continue;
        }
        let index = rooms.partition_point(|other| other.id < room.id);
        rooms.insert(index, room);
        rooms.truncate(most);
    }
    let mut rooms: Vec<_> = rooms.into_iter().map(|room| (room.number, RoomOnDisk::of(room))).collect();
    for (number, room) in &mut rooms {
        // If this cannot be read, the list has the room all the same.
        room.head = journal.base_start(*number, HEAD).unwrap_or_default();
    }
    rooms.into_iter().map(|(_, room)| room).collect()
}

/// Returns a room and its history.
#[cfg(feature = "rooms")]
pub(super) fn read(
    journal: &mut stateroom_journal::Journal<impl Disk>,
    id: &str,
) -> Answer<Option<(RoomOnDisk, History)>> {
    let Some(number) = journal.find(id) else { return Ok(None) };
    let room = journal.room(number).map(RoomOnDisk::of);
    let history = journal.history(number).map_err(|error| error.to_string())?;
    Ok(room.map(|room| (room, History::new(number, history))))
}

/// Ends a room in the journal, without reading its history. Returns its number, if there is such a room.
pub(super) fn end(journal: &mut stateroom_journal::Journal<Files>, id: &str) -> Answer<Option<RoomNumber>> {
    let Some(number) = journal.find(id) else { return Ok(None) };
    let mut entries = Entries::default();
    entries.end(number);
    journal.write(&[&entries]).map_err(|error| error.to_string())?;
    Ok(Some(number))
}

#[cfg(feature = "rooms")]
impl RoomOnDisk {
    fn of(room: RoomEntry<'_>) -> Self {
        Self {
            id: room.id.to_owned(),
            base_bytes: room.base_bytes,
            event_bytes: room.event_bytes,
            timer_due: room.due,
            head: Vec::new(),
        }
    }
}
