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
use stateroom_journal::{Entries, Entry, RoomNumber};

use super::{
    files::Files,
    handle::Journal,
    requests::{Batch, Question, Requests, Write},
    writer::{AGAIN, Answer, Writer},
};

#[cfg(feature = "rooms")]
use super::{listing::Listing, modules::Modules, writer::History};
#[cfg(feature = "metrics")]
use crate::metrics::Distribution;
#[cfg(feature = "rooms")]
use {
    smol::unblock,
    stateroom_journal::{Disk, HistoryPlace, RoomEntry},
    std::path::PathBuf,
};

/// The number of bytes at the start of a base that say which module the room runs.
#[cfg(feature = "rooms")]
const HEAD: usize = 256;

/// The number of attempts to read a history that is moved meanwhile.
#[cfg(feature = "rooms")]
const ATTEMPTS: u32 = 10;

/// A question of the operator about the rooms that are kept, or the deletion of one.
pub(super) enum Inquiry {
    /// Return up to so many rooms in the order of their ids, those after this one.
    #[cfg(feature = "rooms")]
    List(Option<Box<str>>, usize, ListAnswer),
    /// Return a room, and the place at which all of its history is on the disk.
    #[cfg(feature = "rooms")]
    Find(Box<str>, channel::Sender<Answer<Option<(RoomNumber, RoomOnDisk, HistoryPlace)>>>),
    /// Say whether a room is kept.
    #[cfg(feature = "rooms")]
    Exists(Box<str>, channel::Sender<bool>),
    /// Return counts of the journal, its largest size, and the times of its syncs in nanoseconds.
    #[cfg(feature = "metrics")]
    Measure(channel::Sender<(stateroom_journal::Stats, u64, Distribution)>),
    /// Remove the modules that are not among these. Say how many were removed.
    #[cfg(feature = "rooms")]
    RemoveModules(Modules, Vec<[u8; 32]>, channel::Sender<Answer<usize>>),
    /// Delete a room, and say whether there was one.
    Delete(Box<str>, Deletion, channel::Sender<Answer<bool>>),
}

/// The receiver of a page of the list of rooms.
#[cfg(feature = "rooms")]
pub(super) type ListAnswer = channel::Sender<Vec<(RoomOnDisk, HistoryPlace)>>;

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
    /// The directory of the journal's files.
    #[cfg(feature = "rooms")]
    files: PathBuf,
    is_stalled: Arc<AtomicBool>,
}

impl KeptRooms {
    pub(super) fn new(
        requests: Arc<Requests>,
        is_stalled: Arc<AtomicBool>,
        #[cfg(feature = "rooms")] is_filling: Arc<AtomicBool>,
        #[cfg(feature = "rooms")] files: PathBuf,
    ) -> Self {
        Self {
            requests,
            is_stalled,
            #[cfg(feature = "rooms")]
            is_filling,
            #[cfg(feature = "rooms")]
            files,
        }
    }

    /// Returns whether the disk has no space for more rooms.
    #[cfg(feature = "rooms")]
    pub(crate) fn is_filling(&self) -> bool {
        self.is_filling.load(Ordering::Relaxed)
    }

    /// Returns whether all rooms wait for space on the disk.
    pub(crate) fn is_stalled(&self) -> bool {
        self.is_stalled.load(Ordering::Relaxed)
    }

    /// Returns up to `most` rooms in the order of their ids, those after `after`.
    #[cfg(feature = "rooms")]
    pub(crate) async fn list(&self, after: Option<&str>, most: usize) -> Answer<Vec<RoomOnDisk>> {
        let rooms = ask(&self.requests, |answer| Inquiry::List(after.map(Box::from), most, answer)).await?;
        let mut files = Files::new(self.files.clone());
        let read = move |(mut room, place): (RoomOnDisk, HistoryPlace)| {
            // If this cannot be read, the list has the room all the same.
            room.head = place.base_start(&mut files, HEAD).unwrap_or_default();
            room
        };
        Ok(unblock(move || rooms.into_iter().map(read).collect()).await)
    }

    /// Returns a room and its history, as they are on the disk. The journal's thread goes on while they are read.
    #[cfg(feature = "rooms")]
    pub(crate) async fn read(&self, id: &str) -> Answer<Option<(RoomOnDisk, History)>> {
        let (mut before, mut attempts) = (None, 0);
        loop {
            let Some((number, room, place)) =
                ask(&self.requests, |answer| Inquiry::Find(id.into(), answer)).await??
            else {
                return Ok(None);
            };
            let mut files = Files::new(self.files.clone());
            let read = move || place.read(&mut files).map(|history| History::new(number, history));
            match unblock(read).await {
                Ok(history) => return Ok(Some((room, history))),
                // The journal may have moved the history meanwhile, and used its file again.
                Err(_) if before != Some(place) && attempts < ATTEMPTS => {
                    (before, attempts) = (Some(place), attempts + 1);
                }
                Err(error) => return Err(error.to_string()),
            }
        }
    }

    /// Removes the modules that are not among these.
    #[cfg(feature = "rooms")]
    pub(crate) async fn remove_modules(&self, modules: Modules, needed: Vec<[u8; 32]>) -> Answer<usize> {
        ask(&self.requests, |answer| Inquiry::RemoveModules(modules, needed, answer)).await?
    }

    /// Returns counts of the journal, its largest size, and the times of its syncs in nanoseconds.
    #[cfg(feature = "metrics")]
    pub(crate) async fn measure(&self) -> Answer<(stateroom_journal::Stats, u64, Distribution)> {
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
                self.listings.push_back((Listing::new(after, most), answer));
            }
            #[cfg(feature = "rooms")]
            Inquiry::Exists(id, answer) => {
                let _ = answer.try_send(self.journal.find(&id).is_some());
            }
            #[cfg(feature = "rooms")]
            Inquiry::Find(id, answer) => {
                if !self.is_synced {
                    self.sync();
                }
                let find = |number| {
                    let room = self.journal.room(number).map(RoomOnDisk::of);
                    let place = self.journal.place(number).map_err(|error| error.to_string())?;
                    Ok(room.map(|room| (number, room, place)))
                };
                let _ = answer.try_send(self.journal.find(&id).map_or(Ok(None), find));
            }
            #[cfg(feature = "metrics")]
            Inquiry::Measure(answer) => {
                let _ =
                    answer.try_send((self.journal.stats(), self.max_size, self.sync_times.distribution()));
            }
            #[cfg(feature = "rooms")]
            Inquiry::RemoveModules(modules, needed, answer) => {
                // This thread has the lock of the directory.
                let _ = answer.try_send(modules.remove_all_but(&needed).map_err(|error| error.to_string()));
            }
            Inquiry::Delete(id, deletion, answer) => {
                let _ = answer.try_send(self.delete(&id, deletion, waiting));
            }
        }
    }

    /// Looks for some rooms of the lists that were asked for.
    #[cfg(feature = "rooms")]
    pub(super) fn step_listings(&mut self) {
        if let Some((mut listing, answer)) = self.listings.pop_front() {
            if listing.step(&self.journal) {
                self.listings.push_back((listing, answer));
            } else {
                let _ = answer.try_send(listing.rooms(&self.journal));
            }
        }
    }

    fn delete(&mut self, id: &str, deletion: Deletion, waiting: &mut [Write]) -> Answer<bool> {
        if deletion == Deletion::Dormant {
            // A room of this id that was deleted before is in memory no more, so it adds nothing more.
            self.deleted.retain(|(_, deleted)| **deleted != *id);
        }
        let ended = end(&mut self.journal, id)?;
        if ended.is_some() {
            self.is_synced = false;
            self.sync();
        }
        let waiting = waiting.iter_mut().chain(&mut self.delayed.writes);
        let entries: Vec<_> = waiting.map(|write| &mut write.entries).collect();
        let rooms = remove(entries, id, ended);
        if rooms.is_empty() {
            // It may have been asked for twice.
            return Ok(self.deleted.iter().any(|(_, deleted)| **deleted == *id));
        }
        if deletion == Deletion::Forced {
            let in_memory = rooms.into_iter().filter(|(_, has_ended)| !has_ended);
            self.deleted.extend(in_memory.map(|(number, _)| (number, id.into())));
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
            self.requests.take(&mut batch, Some(end.saturating_duration_since(Instant::now())), None);
            is_over = Instant::now() >= end;
            let questions = mem::take(&mut batch.questions);
            self.delayed = mem::take(&mut self.delayed).followed_by(batch);
            for question in questions {
                match question {
                    Question::Inquire(inquiry) => {
                        // There may be space after a deletion.
                        is_over |= matches!(inquiry, Inquiry::Delete(..));
                        self.inquire(inquiry, waiting);
                        // Nothing is written at the moment.
                        #[cfg(feature = "rooms")]
                        while !self.listings.is_empty() {
                            self.step_listings();
                        }
                    }
                    question => self.delayed.questions.push(question),
                }
            }
        }
    }
}

/// The rooms that were deleted while they were in memory, and have not ended there yet.
pub(super) type DeletedRooms = Vec<(RoomNumber, Box<str>)>;

/// Removes all rooms with an id from entries which have not been written: the room `in_journal`, and those that are new in them, because
/// several rooms may have had the id one after the other. Returns their numbers, and whether they end in these entries.
fn remove(
    mut waiting: Vec<&mut Entries>,
    id: &str,
    in_journal: Option<RoomNumber>,
) -> Vec<(RoomNumber, bool)> {
    let mut rooms: Vec<_> = in_journal.into_iter().map(|number| (number, false)).collect();
    for entry in waiting.iter().flat_map(|entries| entries.iter()) {
        match entry {
            Entry::Create { room, id: new, .. } if new == id => rooms.push((room, false)),
            Entry::End { room } => {
                let ended = rooms.iter_mut().find(|(number, _)| *number == room);
                ended.into_iter().for_each(|(_, has_ended)| *has_ended = true);
            }
            _ => {}
        }
    }
    for entries in &mut waiting {
        **entries = without(entries, |room| rooms.iter().any(|(number, _)| *number == room));
    }
    rooms
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
    let mut listing = Listing::new(after.map(Box::from), most);
    while listing.step(journal) {}
    let found = listing.rooms(journal);
    let read = |(mut room, _): (RoomOnDisk, _)| {
        let number = journal.find(&room.id);
        room.head = number.and_then(|number| journal.base_start(number, HEAD).ok()).unwrap_or_default();
        room
    };
    found.into_iter().map(read).collect()
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
    pub(super) fn of(room: RoomEntry<'_>) -> Self {
        Self {
            id: room.id.to_owned(),
            base_bytes: room.base_bytes,
            event_bytes: room.event_bytes,
            timer_due: room.due,
            head: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_rooms_that_had_the_id_are_removed() {
        let number = RoomNumber;
        let (mut first, mut second) = (Entries::default(), Entries::default());
        first.event(number(1), None, b"a");
        first.end(number(1));
        first.create(number(2), "room", b"");
        first.create(number(3), "other", b"");
        second.end(number(2));
        second.event(number(3), None, b"b");
        second.create(number(4), "room", b"");
        second.event(number(4), None, b"c");
        let rooms = remove(vec![&mut first, &mut second], "room", Some(number(1)));
        assert_eq!(rooms, [(number(1), true), (number(2), true), (number(4), false)]);
        let left: Vec<_> = first.iter().chain(second.iter()).collect();
        let created = Entry::Create { room: number(3), id: "other", base: b"" };
        assert_eq!(left, [created, Entry::Event { room: number(3), timer: None, event: b"b" }]);
        assert!(remove(vec![&mut first], "room", None).is_empty());
    }
}
