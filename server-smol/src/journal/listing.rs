use std::collections::BTreeSet;

use stateroom_journal::{Disk, HistoryPlace, Journal};

use super::inquiry::RoomOnDisk;

/// The search for a page of the list of rooms. It goes through all rooms in steps, because writing waits for each step.
pub(super) struct Listing {
    after: Option<Box<str>>,
    most: usize,
    next_step: usize,
    /// The first ids of those that were looked at.
    ids: BTreeSet<Box<str>>,
}

/// The steps of the journal that are one step here: 16,384 rooms, less than 1 ms.
const STEPS: usize = 64;

impl Listing {
    /// Begins to look for up to `most` rooms in the order of their ids, those after `after`.
    pub(super) fn new(after: Option<Box<str>>, most: usize) -> Self {
        Self { after, most, next_step: 0, ids: BTreeSet::new() }
    }

    /// Looks at some rooms. Returns whether there are more.
    pub(super) fn step(&mut self, journal: &Journal<impl Disk>) -> bool {
        for _ in 0..STEPS {
            let Some(rooms) = journal.some_rooms(self.next_step) else { return false };
            self.next_step += 1;
            for id in rooms.map(|room| room.id) {
                let is_behind = self.after.as_deref().is_none_or(|after| id > after);
                let is_on_page =
                    self.ids.len() < self.most || self.ids.last().is_some_and(|last| id < &**last);
                if is_behind && is_on_page {
                    self.ids.insert(id.into());
                    if self.ids.len() > self.most {
                        self.ids.pop_last();
                    }
                }
            }
        }
        true
    }

    /// Returns the rooms that were found and still exist, with the places of their histories.
    pub(super) fn rooms(&self, journal: &Journal<impl Disk>) -> Vec<(RoomOnDisk, HistoryPlace)> {
        let numbers = self.ids.iter().filter_map(|id| journal.find(id));
        numbers
            .filter_map(|number| Some((RoomOnDisk::of(journal.room(number)?), journal.place(number).ok()?)))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use std::{env, fs, process};

    use stateroom_journal::{Entries, Options};

    use super::{super::files::Files, *};

    #[test]
    fn a_page_is_found_in_several_steps() {
        const ROOMS: u32 = 40_000;
        let directory = env::temp_dir().join(format!("stateroom-listing-{}", process::id()));
        fs::create_dir(&directory).expect("it can be made");
        let mut options = Options::new([1; 16]);
        options.segment_size = 1 << 20;
        let (mut journal, _) = Journal::open(Files::new(directory.clone()), options).expect("it is new");
        let mut entries = Entries::default();
        let mut ids: Vec<_> =
            (0..ROOMS).map(|number| (number.wrapping_mul(2_654_435_761)).to_string()).collect();
        for (number, id) in (1..).zip(&ids) {
            entries.create(stateroom_journal::RoomNumber(number), id, b"");
        }
        journal.write(&[&entries]).expect("there is space");
        ids.sort_unstable();
        let page = |after: Option<&str>| {
            let mut listing = Listing::new(after.map(Box::from), 100);
            let mut steps = 1;
            while listing.step(&journal) {
                steps += 1;
            }
            assert!(steps > ROOMS / (64 * 256), "{steps}");
            listing.rooms(&journal).into_iter().map(|(room, _)| room.id).collect::<Vec<_>>()
        };
        assert_eq!(page(None), ids[..100]);
        assert_eq!(page(Some(&ids[5_000])), ids[5_001..5_101]);
        assert_eq!(page(Some(&ids[39_990])), ids[39_991..]);
        fs::remove_dir_all(&directory).expect("it is ours");
    }
}
