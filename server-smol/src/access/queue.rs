use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Mutex, MutexGuard, PoisonError},
};

use crate::subnet::Subnet;

/// The clients that wait for the answer to a question: how many there are, by address.
#[derive(Debug, Default)]
pub(super) struct Queue(Mutex<HashMap<Subnet, usize>>);

/// The place of a client in the queue, until it is dropped.
#[derive(Debug)]
pub(super) struct Place<'a> {
    queue: &'a Queue,
    subnet: Subnet,
}

/// The most clients that wait at a time, and the most of one address.
const MOST: usize = 256;
const MOST_OF_ADDRESS: usize = 64;

impl Queue {
    /// Takes a place. Returns `None` if there is none.
    pub(super) fn enter(&self, address: IpAddr) -> Option<Place<'_>> {
        let subnet = Subnet::of(address);
        let mut counts = self.counts();
        if counts.values().sum::<usize>() >= MOST {
            return None;
        }
        let count = counts.entry(subnet).or_default();
        if *count >= MOST_OF_ADDRESS {
            return None;
        }
        *count += 1;
        Some(Place { queue: self, subnet })
    }

    fn counts(&self) -> MutexGuard<'_, HashMap<Subnet, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut counts = self.queue.counts();
        if let Some(count) = counts.get_mut(&self.subnet) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.subnet);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_leaves_places_for_others_and_gives_its_own_back() {
        let queue = Queue::default();
        let enter = |address: u8| queue.enter([10, 0, 0, address].into());
        let mut places: Vec<_> = (0..MOST_OF_ADDRESS).map_while(|_| enter(1)).collect();
        assert!(enter(1).is_none());
        places.extend((2..).map_while(enter));
        assert_eq!(places.len(), MOST);
        drop(places.pop());
        assert!(enter(1).is_none() && enter(2).is_some());
        places.clear();
        assert!(queue.counts().is_empty());
    }
}
