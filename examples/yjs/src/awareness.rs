//! Cursors, names and colours: one state for each Yjs client, which its connection owns.

use std::collections::HashMap;

use stateroom_sdk_core::ClientId;

use crate::wire::{self, Reader, write_bytes, write_number};

/// Bounds on what clients make the room remember.
const MAX_STATES: usize = 1000;
const MAX_STATE: usize = 4096;

/// The state in the protocol that means: there is none any more.
const NULL: &str = "null";

/// The states by Yjs clients.
#[derive(Default)]
pub(crate) struct Awareness(HashMap<u64, State>);

struct State {
    /// Counts the changes: of two states, the later one has more.
    clock: u32,
    /// The last connection that has changed it.
    owner: ClientId,
    /// JSON. Of a client that has gone, only the clock stays, as others may send its last state once more:
    /// `y-websocket` sends all that it receives.
    json: Option<Box<str>>,
}

impl Awareness {
    /// Returns the message with all states, if there are any.
    pub(crate) fn all(&self) -> Option<Vec<u8>> {
        let present = self.0.iter().filter(|(_, state)| state.json.is_some());
        message(present.map(|(id, state)| (*id, state)))
    }

    /// Applies an update. Returns the message with what it changes, if it changes something; nothing at all for what is no
    /// update.
    pub(crate) fn apply(&mut self, owner: ClientId, update: &[u8]) -> Option<Option<Vec<u8>>> {
        let mut reader = Reader::new(update);
        let mut news = Vec::new();
        for _ in 0..reader.count(3)? {
            let (id, clock, json) = (reader.number()?, reader.short()?, reader.text()?);
            if json.len() > MAX_STATE {
                return None;
            }
            news.push((id, clock, (json != NULL).then_some(json)));
        }
        let mut changed = Vec::new();
        for (id, clock, json) in news {
            let is_new = match self.0.get(&id) {
                Some(old) if old.clock == clock => {
                    json.is_none() && old.json.is_some() && old.owner == owner
                }
                Some(old) => old.clock < clock,
                None => json.is_some() && self.has_space(),
            };
            if is_new {
                self.0.insert(
                    id,
                    State {
                        clock,
                        owner,
                        json: json.map(Box::from),
                    },
                );
                changed.push(id);
            }
        }
        Some(self.message_of(&changed))
    }

    /// Removes the states of a connection. Returns the message that says so, if there were any.
    pub(crate) fn remove(&mut self, owner: ClientId) -> Option<Vec<u8>> {
        let mut gone = Vec::new();
        for (id, state) in &mut self.0 {
            if state.owner == owner && state.json.take().is_some() {
                gone.push(*id);
            }
        }
        self.message_of(&gone)
    }

    /// Returns whether there is space for one more, after forgetting those who have gone if need be.
    fn has_space(&mut self) -> bool {
        if self.0.len() >= MAX_STATES {
            self.0.retain(|_, state| state.json.is_some());
        }
        self.0.len() < MAX_STATES
    }

    fn message_of(&self, ids: &[u64]) -> Option<Vec<u8>> {
        message(ids.iter().filter_map(|id| Some((*id, self.0.get(id)?))))
    }
}

fn message<'a>(states: impl Iterator<Item = (u64, &'a State)>) -> Option<Vec<u8>> {
    let (mut count, mut content) = (0, Vec::new());
    for (id, state) in states {
        count += 1;
        write_number(&mut content, id);
        write_number(&mut content, state.clock.into());
        write_bytes(
            &mut content,
            state.json.as_deref().unwrap_or(NULL).as_bytes(),
        );
    }
    let mut update = Vec::new();
    write_number(&mut update, count);
    update.extend_from_slice(&content);
    (count > 0).then(|| wire::awareness(&update))
}
