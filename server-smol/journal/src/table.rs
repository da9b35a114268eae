/// Finds slots by a hash: open addressing with linear probing, 4 bytes for each place. It is full to at most four
/// fifths, and at least two fifths if nothing was removed.
#[derive(Debug, Default)]
pub(crate) struct Table {
    /// Slots plus one; 0 is free.
    places: Vec<u32>,
    used: usize,
}

impl Table {
    pub(crate) fn find(&self, hash: u64, is: impl Fn(u32) -> bool) -> Option<u32> {
        if self.places.is_empty() {
            return None;
        }
        let mut place = self.home(hash);
        loop {
            let slot = self.places[place].checked_sub(1)?;
            if is(slot) {
                return Some(slot);
            }
            place = self.after(place);
        }
    }

    pub(crate) fn insert(&mut self, slot: u32, hash: &dyn Fn(u32) -> u64) {
        if (self.used + 1) * 5 > self.places.len() * 4 {
            let size = (self.places.len() * 2).max(16);
            let old = std::mem::replace(&mut self.places, vec![0; size]);
            for place in old {
                if let Some(slot) = place.checked_sub(1) {
                    self.put(slot, hash(slot));
                }
            }
        }
        self.put(slot, hash(slot));
        self.used += 1;
    }

    pub(crate) fn remove(&mut self, slot: u32, hash: &dyn Fn(u32) -> u64) {
        let mut hole = self.home(hash(slot));
        while self.places[hole] != slot + 1 {
            if self.places[hole] == 0 {
                return;
            }
            hole = self.after(hole);
        }
        // Those behind the hole move into it, if it is not before their home.
        let mut place = self.after(hole);
        while let Some(other) = self.places[place].checked_sub(1) {
            let home = self.home(hash(other));
            let mask = self.places.len() - 1;
            if (place.wrapping_sub(home) & mask) >= (place.wrapping_sub(hole) & mask) {
                self.places[hole] = other + 1;
                hole = place;
            }
            place = self.after(place);
        }
        self.places[hole] = 0;
        self.used -= 1;
    }

    #[cfg(test)]
    pub(crate) fn bytes(&self) -> usize {
        self.places.capacity() * size_of::<u32>()
    }

    fn put(&mut self, slot: u32, hash: u64) {
        let mut place = self.home(hash);
        while self.places[place] != 0 {
            place = self.after(place);
        }
        self.places[place] = slot + 1;
    }

    fn home(&self, hash: u64) -> usize {
        hash as usize & (self.places.len() - 1)
    }

    fn after(&self, place: usize) -> usize {
        (place + 1) & (self.places.len() - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::Table;

    #[test]
    fn finds_what_was_inserted_and_not_removed() {
        let mut random = fastrand::Rng::with_seed(1);
        // Many share a home.
        let hash = |slot: u32| u64::from(slot % 37) * 3;
        let mut table = Table::default();
        let mut model = vec![false; 500];
        for _ in 0..20_000 {
            let slot = random.u32(..500);
            if model[slot as usize] {
                table.remove(slot, &hash);
            } else {
                table.insert(slot, &hash);
            }
            model[slot as usize] ^= true;
            let other = random.u32(..500);
            assert_eq!(table.find(hash(other), |slot| slot == other).is_some(), model[other as usize]);
        }
    }
}
