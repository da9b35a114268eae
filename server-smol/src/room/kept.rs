//! What the operator does with rooms on disk.

use std::rc::Rc;

use stateroom_core::engine::EngineFactory;

use crate::journal::Journal;

use super::{Registry, RoomId};

#[cfg(feature = "rooms")]
use super::{RoomStatus, history::TooLarge};

/// The base of a room that comes from elsewhere.
#[cfg(feature = "rooms")]
#[derive(Debug)]
pub(crate) struct Base {
    pub(crate) bytes: Vec<u8>,
    /// The time at which its timer is due, in milliseconds since the Unix epoch.
    pub(crate) timer_due: Option<u64>,
}

/// The reason why a room from elsewhere was not added.
#[cfg(feature = "rooms")]
#[derive(Debug)]
pub(crate) enum NotImported {
    Exists,
    /// The text is the reason.
    TooLarge(String),
    /// The server ends.
    Ending,
}

/// A room, as its thread knows it.
#[cfg(feature = "rooms")]
#[derive(Debug)]
pub(crate) enum Presence {
    /// It is not in memory. It may be on disk.
    Absent,
    /// Its thread does not answer at the moment.
    Unknown,
    /// It is on disk, and cannot be restored.
    Quarantined,
    InMemory(RoomStatus),
}

impl<F: EngineFactory> Registry<F> {
    /// Returns what this thread knows of a room.
    #[cfg(feature = "rooms")]
    pub(crate) fn presence(&self, id: &RoomId) -> Presence {
        match self.find(id) {
            Some(room) => Presence::InMemory(room.status()),
            None if self.is_quarantined(id) => Presence::Quarantined,
            None => Presence::Absent,
        }
    }

    /// Returns whether a room is on disk and cannot be restored.
    pub(super) fn is_quarantined(&self, id: &RoomId) -> bool {
        self.quarantined.borrow().binary_search(id).is_ok()
    }

    /// Ends a room, wherever it is. One that is only on disk is not restored for this. Returns whether there was one.
    ///
    /// # Errors
    /// The disk has no space, not even for this.
    pub(crate) async fn delete(self: &Rc<Self>, id: &RoomId, journal: &Journal) -> Result<bool, String> {
        let _opening = match self.find_or_open(id).await {
            Ok(room) => {
                room.close();
                journal.synced().await;
                return Ok(true);
            }
            Err(opening) => opening,
        };
        let existed = journal.delete(id.as_str()).await?;
        // If it had a timer, nothing is found when that is due.
        self.quarantined.borrow_mut().retain(|room| room != id);
        Ok(existed)
    }

    /// Adds a room that comes from elsewhere, and returns when it is on the disk.
    ///
    /// # Errors
    /// It exists, or is too large for the journal.
    #[cfg(feature = "rooms")]
    pub(crate) async fn import(
        self: &Rc<Self>,
        id: &RoomId,
        base: &Base,
        journal: &Journal,
    ) -> Result<(), NotImported> {
        TooLarge::check(base.bytes.len(), journal)
            .map_err(|too_large| NotImported::TooLarge(too_large.to_string()))?;
        let Err(_opening) = self.find_or_open(id).await else { return Err(NotImported::Exists) };
        if journal.exists(id.as_str()).await.map_err(|_| NotImported::Ending)? {
            return Err(NotImported::Exists);
        }
        let number = journal.new_room();
        journal.add(|entries| entries.create_from(number, id.as_str(), base.timer_due, &base.bytes));
        journal.synced().await;
        base.timer_due.into_iter().for_each(|due| self.dormant.add(due, id.clone()));
        Ok(())
    }
}
