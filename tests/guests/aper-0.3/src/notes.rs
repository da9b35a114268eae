use std::fmt;

use aper::{data_structures::Counter, NeverConflict, StateMachine};
use aper_stateroom::{StateProgram, TransitionEvent};
use chrono::DateTime;
use serde::{Deserialize, Serialize};

/// Notes in the order in which the room took them, and a bell that the room rings by itself.
///
/// Aper's own lists and maps are not `Send`, and a service has to be.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Notes {
    notes: Vec<String>,
    /// The number of times that the bell has rung.
    rings: Counter,
    /// The time at which it rings next, in milliseconds since the Unix epoch.
    bell: Option<i64>,
}

/// A change of the notes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Change {
    Note(String),
    SetBell(i64),
    Ring,
}

impl StateMachine for Notes {
    type Transition = TransitionEvent<Change>;
    type Conflict = NeverConflict;

    fn apply(&self, event: &Self::Transition) -> Result<Self, NeverConflict> {
        let mut next = self.clone();
        match &event.transition {
            Change::Note(text) => next.notes.push(text.clone()),
            Change::SetBell(at) => next.bell = Some(*at),
            Change::Ring => {
                next.rings = self.rings.apply(&Counter::increment(1))?;
                next.bell = None;
            }
        }
        Ok(next)
    }
}

impl StateProgram for Notes {
    type T = Change;

    fn suspended_event(&self) -> Option<TransitionEvent<Change>> {
        let at = DateTime::from_timestamp_millis(self.bell?)?;
        Some(TransitionEvent::new(None, at, Change::Ring))
    }

    fn new() -> Self {
        Self::default()
    }
}

impl fmt::Display for Notes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}] rung {}", self.notes.join(" "), self.rings.value())
    }
}
