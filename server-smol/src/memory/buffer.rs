use std::{
    marker::PhantomData,
    mem,
    ops::{Deref, DerefMut},
    rc::Rc,
};

use super::{Charge, Ledger, OutOfMemory, Purpose};

/// Bytes on their way, whose memory is charged to a [`Ledger`] before it is taken.
#[derive(Debug)]
pub(crate) struct Buffer<D = Outgoing> {
    bytes: Vec<u8>,
    charge: Charge,
    direction: PhantomData<D>,
}

/// The direction in which the bytes of a buffer go.
pub(crate) trait Direction {
    /// Returns what a buffer of `capacity` bytes is charged as.
    fn purpose(capacity: usize) -> Purpose;
}

/// From a client to its room.
#[derive(Debug)]
pub(crate) enum Incoming {}

/// From a room to a client.
#[derive(Debug)]
pub(crate) enum Outgoing {}

impl Direction for Incoming {
    fn purpose(capacity: usize) -> Purpose {
        if capacity <= SMALL_INCOMING { Purpose::New } else { Purpose::LargeMessage }
    }
}

impl Direction for Outgoing {
    fn purpose(capacity: usize) -> Purpose {
        if capacity <= SMALL_OUTGOING { Purpose::Small } else { Purpose::Running }
    }
}

/// The size of the largest small message that comes in, in bytes. Each connection may have begun one.
const SMALL_INCOMING: usize = 4 << 10;
/// The size of the largest small message that goes out, in bytes.
const SMALL_OUTGOING: usize = 64 << 10;

/// The least that a buffer grows to.
const LEAST: usize = 256;

impl<D: Direction> Buffer<D> {
    /// Returns an empty one, which takes nothing.
    pub(crate) fn new(ledger: &Rc<Ledger>) -> Self {
        Self { bytes: Vec::new(), charge: ledger.empty_charge(), direction: PhantomData }
    }

    /// Takes the bytes out, and leaves a buffer that takes nothing.
    pub(crate) fn take(&mut self) -> Self {
        let empty = Self::new(self.charge.ledger());
        mem::replace(self, empty)
    }

    /// Adds bytes at the end.
    ///
    /// # Errors
    /// There is no memory for them. Nothing is added.
    pub(crate) fn extend(&mut self, bytes: &[u8]) -> Result<(), OutOfMemory> {
        self.reserve(bytes.len())?;
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }

    /// Adds so many zeros at the end, and makes room for no more than that.
    ///
    /// # Errors
    /// There is no memory for them. Nothing is added.
    #[cfg(feature = "compression")]
    pub(crate) fn extend_with_zeros(&mut self, more: usize) -> Result<(), OutOfMemory> {
        self.reserve_exact(more)?;
        self.bytes.resize(self.bytes.len() + more, 0);
        Ok(())
    }

    /// Makes room for so many more bytes.
    ///
    /// # Errors
    /// There is no memory for them.
    pub(crate) fn reserve(&mut self, more: usize) -> Result<(), OutOfMemory> {
        match self.grown(more) {
            None => Ok(()),
            Some(capacity) => self.grow(capacity, D::purpose(capacity)),
        }
    }

    /// Makes room for so many more bytes, which are charged as what can be refused.
    ///
    /// # Errors
    /// There is no memory for them.
    #[cold]
    pub(crate) fn reserve_refusable(&mut self, more: usize) -> Result<(), OutOfMemory> {
        self.grown(more).map_or(Ok(()), |capacity| self.grow(capacity, Purpose::New))
    }

    /// Returns the capacity to grow to for so many more bytes. `None` if there is room for them.
    #[inline]
    fn grown(&self, more: usize) -> Option<usize> {
        let (len, capacity) = (self.bytes.len(), self.bytes.capacity());
        (more > capacity - len).then(|| (len + more).max(2 * capacity).max(LEAST))
    }

    /// Makes room for exactly so many more bytes, if that is more than there is room for.
    ///
    /// # Errors
    /// There is no memory for them.
    pub(crate) fn reserve_exact(&mut self, more: usize) -> Result<(), OutOfMemory> {
        let (len, capacity) = (self.bytes.len(), self.bytes.capacity());
        if more <= capacity - len { Ok(()) } else { self.grow(len + more, D::purpose(len + more)) }
    }

    #[cold]
    fn grow(&mut self, capacity: usize, purpose: Purpose) -> Result<(), OutOfMemory> {
        self.charge.set(capacity, purpose)?;
        self.bytes.reserve_exact(capacity - self.bytes.len());
        Ok(())
    }

    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
    }

    pub(crate) fn truncate(&mut self, len: usize) {
        self.bytes.truncate(len);
    }

    pub(crate) fn capacity(&self) -> usize {
        self.bytes.capacity()
    }
}

impl<D> Deref for Buffer<D> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

impl<D> DerefMut for Buffer<D> {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_is_charged_for_what_it_has_room_for() {
        let ledger = Ledger::new(1_000);
        let mut buffer: Buffer = Buffer::new(&ledger);
        assert_eq!(ledger.used(), 0);
        buffer.extend(b"hello").unwrap();
        assert_eq!((&*buffer, ledger.used()), (&b"hello"[..], LEAST));
        assert_eq!(buffer.extend(&[0; 1_000]), Err(OutOfMemory));
        assert_eq!((&*buffer, ledger.used()), (&b"hello"[..], LEAST));
        buffer.extend(&[0; 500]).unwrap();
        assert_eq!(ledger.used(), buffer.capacity());
        let taken = buffer.take();
        assert_eq!((taken.len(), buffer.len(), ledger.used()), (505, 0, taken.capacity()));
        drop(taken);
        assert_eq!(ledger.used(), 0);
    }

    #[test]
    fn what_clients_begin_leaves_space_for_what_rooms_answer() {
        let ledger = Ledger::new(16 << 20);
        let begin = |size: usize| {
            let mut begun = Buffer::<Incoming>::new(&ledger);
            begun.reserve_exact(size).ok().map(|()| begun)
        };
        let large: Vec<_> = (0..).map_while(|_| begin(64 << 10)).collect();
        assert_eq!(ledger.used(), 12 << 20);
        let small: Vec<_> = (0..).map_while(|_| begin(SMALL_INCOMING)).collect();
        assert_eq!(ledger.used(), 14 << 20);
        let mut answers = [(); 2].map(|()| Buffer::<Outgoing>::new(&ledger));
        answers[0].reserve_exact(1 << 20).unwrap();
        assert!(answers[1].reserve_exact(SMALL_OUTGOING + 1).is_err());
        answers[1].reserve_exact(SMALL_OUTGOING).unwrap();
        drop((large, small));
    }
}
