use std::{collections::hash_map::Entry, rc::Rc};

use smol::channel::{Receiver, Sender, bounded};
use stateroom_core::engine::EngineFactory;

use super::{Registry, Room, RoomId};

/// The exclusive right to open a room, until this is dropped.
pub(super) struct Opening<F: EngineFactory> {
    registry: Rc<Registry<F>>,
    id: RoomId,
}

/// The end of an opening: nothing is ever sent, and the channel closes.
pub(super) type OpeningEnd = (Sender<()>, Receiver<()>);

impl<F: EngineFactory> Opening<F> {
    /// Begins to open a room.
    ///
    /// # Errors
    /// Another task opens it. The channel closes when that has ended.
    fn begin(registry: &Rc<Registry<F>>, id: &RoomId) -> Result<Self, Receiver<()>> {
        match registry.opening.borrow_mut().entry(id.clone()) {
            Entry::Occupied(other) => Err(other.get().1.clone()),
            Entry::Vacant(place) => {
                place.insert(bounded(1));
                Ok(Self { registry: Rc::clone(registry), id: id.clone() })
            }
        }
    }
}

impl<F: EngineFactory> Drop for Opening<F> {
    fn drop(&mut self) {
        self.registry.opening.borrow_mut().remove(&self.id);
    }
}

impl<F: EngineFactory> Registry<F> {
    /// Returns the room, if it is in memory. If it is not, nobody opens it until the opening is dropped.
    pub(super) async fn find_or_open(self: &Rc<Self>, id: &RoomId) -> Result<Rc<Room<F>>, Opening<F>> {
        loop {
            if let Some(room) = self.find(id) {
                return Ok(room);
            }
            match Opening::begin(self, id) {
                Ok(opening) => return Err(opening),
                // Another task opens it.
                Err(other) => _ = other.recv().await,
            }
        }
    }
}
