use core::{
    cell::{Cell, UnsafeCell},
    slice, str,
};

/// The maximum length of an id, in bytes. Rooms of this project's server have no longer ones.
const CAPACITY: usize = 512;

/// The room's id. The host hands it over once, and it is copied so that it is there in all events.
///
/// It is in the guest's crate, so that the compiler leaves the copy out if the guest never reads it.
#[derive(Debug)]
pub struct RoomId {
    bytes: UnsafeCell<[u8; CAPACITY]>,
    len: Cell<usize>,
}

/// The place of a room's id: a type of the guest's crate.
pub trait Place {
    /// Returns the id.
    fn id() -> &'static RoomId;
}

// SAFETY: *one at a time*, and so never two threads at a time.
unsafe impl Sync for RoomId {}

impl RoomId {
    /// Returns an empty id.
    #[must_use]
    pub const fn new() -> Self {
        Self { bytes: UnsafeCell::new([0; CAPACITY]), len: Cell::new(0) }
    }

    /// Keeps the id. One that is too long is as if there were none: a part of it could be the id of another room.
    ///
    /// # Safety
    /// Nobody has what [`get`](Self::get) returned.
    // Seen where the copy is, it is left out before functions with the same code become one.
    #[inline(always)]
    pub(super) unsafe fn keep(&self, id: &str) {
        let len = if id.len() <= CAPACITY { id.len() } else { 0 };
        // SAFETY: `len` is at most the length of both, and nobody has a reference to the copy.
        unsafe { self.bytes.get().cast::<u8>().copy_from_nonoverlapping(id.as_ptr(), len) };
        self.len.set(len);
    }

    /// Returns the id.
    pub(super) fn get(&self) -> &str {
        // SAFETY: nobody writes it while somebody has it, as `keep` demands.
        let bytes = unsafe { slice::from_raw_parts(self.bytes.get().cast::<u8>(), self.len.get()) };
        // SAFETY: it is a copy of a text.
        unsafe { str::from_utf8_unchecked(bytes) }
    }
}

impl Default for RoomId {
    fn default() -> Self {
        Self::new()
    }
}
