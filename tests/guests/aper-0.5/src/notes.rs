use std::{convert::Infallible, fmt};

use aper::{
    data_structures::{Atom, AtomMap},
    Aper, AperSync, Store,
};
use aper_stateroom::{IntentEvent, StateProgram};
use chrono::DateTime;
use serde::{Deserialize, Serialize};

/// Notes in the order in which the room took them, and a bell that the room rings by itself.
#[derive(AperSync)]
pub struct Notes {
    /// The notes by their numbers, from 0 on.
    notes: AtomMap<u32, String>,
    count: Atom<u32>,
    /// The number of times that the bell has rung.
    rings: Atom<u32>,
    /// The time at which it rings next, in milliseconds since the Unix epoch.
    bell: Atom<Option<i64>>,
}

/// A change of the notes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Change {
    Note(String),
    SetBell(i64),
    Ring,
}

impl Aper for Notes {
    type Intent = IntentEvent<Change>;
    type Error = Infallible;

    fn apply(&mut self, event: &Self::Intent) -> Result<(), Infallible> {
        match &event.intent {
            Change::Note(text) => {
                let count = self.count.get();
                self.notes.set(&count, text);
                self.count.set(count + 1);
            }
            Change::SetBell(at) => self.bell.set(Some(*at)),
            Change::Ring => {
                self.rings.set(self.rings.get() + 1);
                self.bell.set(None);
            }
        }
        Ok(())
    }
}

impl StateProgram for Notes {
    type T = Change;

    fn suspended_event(&self) -> Option<IntentEvent<Change>> {
        let at = DateTime::from_timestamp_millis(self.bell.get()?)?;
        Some(IntentEvent::new(None, at, Change::Ring))
    }

    fn new() -> Self {
        Self::attach(Store::default().handle())
    }
}

impl fmt::Display for Notes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let notes: Vec<_> = (0..self.count.get()).filter_map(|number| self.notes.get(&number)).collect();
        write!(f, "[{}] rung {}", notes.join(" "), self.rings.get())
    }
}
