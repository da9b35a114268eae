//! A journal for the histories of rooms: an append-only log with group commit, snapshots, cleaning and recovery.
//!
//! The history of a room is a *base*, which is how the room began or a snapshot, and the *events* after it. To the
//! journal, all of these are bytes. One thread writes. It does no input or output itself, but calls a [`Disk`].
//!
//! - Threads encode [`Entries`]. [`Journal::write`] writes those of several threads as one commit, and
//!   [`Journal::sync`] makes all that was written durable, with one call.
//! - After a crash, [`Journal::open`] finds all commits that were synced, and perhaps some more, in their order. Of
//!   each commit it finds all or nothing. What it finds is durable.
//! - If bytes that were synced have changed, opening fails and names the place. It never drops them.
//! - After a failed write or sync the journal does nothing more. The process has to end, and open it anew.
//!
//! `docs/reference/journal.md` describes the files.
//!
//! ```
//! # use std::{collections::BTreeMap, io};
//! use stateroom_journal::{Disk, Entries, Journal, Options};
//! # #[derive(Default)]
//! # struct Memory(BTreeMap<String, Vec<u8>>);
//! # impl Disk for Memory {
//! #     fn list(&mut self) -> io::Result<Vec<String>> { Ok(self.0.keys().cloned().collect()) }
//! #     fn size(&mut self, file: &str) -> io::Result<u64> { Ok(self.0[file].len() as u64) }
//! #     fn create(&mut self, file: &str, size: u64) -> io::Result<()> {
//! #         self.0.insert(file.into(), vec![0; size as usize]);
//! #         Ok(())
//! #     }
//! #     fn read(&mut self, file: &str, at: u64, into: &mut [u8]) -> io::Result<()> {
//! #         into.copy_from_slice(&self.0[file][at as usize..][..into.len()]);
//! #         Ok(())
//! #     }
//! #     fn write(&mut self, file: &str, at: u64, bytes: &[u8]) -> io::Result<()> {
//! #         self.0.get_mut(file).unwrap()[at as usize..][..bytes.len()].copy_from_slice(bytes);
//! #         Ok(())
//! #     }
//! #     fn sync(&mut self, _: &str) -> io::Result<()> { Ok(()) }
//! #     fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
//! #         let file = self.0.remove(from).unwrap();
//! #         self.0.insert(to.into(), file);
//! #         Ok(())
//! #     }
//! #     fn remove(&mut self, file: &str) -> io::Result<()> { self.0.remove(file); Ok(()) }
//! #     fn sync_directory(&mut self) -> io::Result<()> { Ok(()) }
//! # }
//! # fn example(disk: &mut dyn Disk) -> Result<(), Box<dyn std::error::Error>> {
//! let random = [7; 16]; // Of the system, and new each time.
//! let (mut journal, _) = Journal::open(&mut *disk, Options::new(random))?;
//! let room = journal.next_room();
//! let mut entries = Entries::default();
//! entries.create(room, "lobby", b"how it began");
//! entries.event(room, Some(Some(1_800_000_000_000)), b"a message");
//! journal.write(&[&entries])?;
//! journal.sync()?;
//! // Now the outputs of these events may be sent.
//! drop(journal);
//!
//! let (mut journal, recovery) = Journal::open(disk, Options::new([8; 16]))?;
//! assert_eq!(recovery.rooms, 1);
//! let room = journal.find("lobby").expect("it lives");
//! let history = journal.history(room)?;
//! assert_eq!(history.base(), b"how it began");
//! assert_eq!(history.events().next().map(|event| event.event), Some(&b"a message"[..]));
//! # Ok(()) }
//! # example(&mut Memory::default()).unwrap();
//! ```
#![forbid(unsafe_code)]
// Sizes are checked where they enter, and memory is addressed with at least 32 bits.
#![allow(clippy::cast_possible_truncation)]

mod batch;
mod bytes;
mod checksum;
mod disk;
mod entries;
mod error;
mod history;
mod index;
mod journal;
mod layout;
mod options;
mod record;
mod recovery;
mod scan;
mod segment;
mod stats;
mod upkeep;
mod window;

pub use bytes::Reader;
pub use disk::Disk;
pub use entries::{Entries, Entry};
pub use error::{Contradiction, JournalError, OpenError};
pub use history::{BaseKind, History, HistoryEvent, HistoryPlace};
pub use journal::Journal;
pub use options::Options;
pub use recovery::Recovery;
pub use stats::{DamagedRoom, RoomEntry, Stats};

/// The number of a room in the journal. It is never used twice, and never 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RoomNumber(pub u64);
