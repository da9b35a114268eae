//! Room for what the host hands over, in guests without an allocator: the memory behind everything that the
//! linker laid out.
//!
//! The host hands over one thing at a time and takes it back before the next, so one place serves for all. It
//! grows when a message needs more, and is never smaller again. A host that knows of inboxes need not ask for it.

use core::{cell::Cell, ptr};

use crate::abi::ALLOC_FAILED;

use super::linear_memory::{self, HEAP_BASE, HEAP_END};

/// The bounds of the inbox, as [`INBOX`](crate::abi::INBOX) describes them.
#[repr(C)]
struct Inbox {
    begin: *mut u8,
    end: Cell<*mut u8>,
}

// SAFETY: a guest has one thread.
unsafe impl Sync for Inbox {}

// SAFETY: nobody else uses the name, which is the interface's.
#[unsafe(export_name = "jam_inbox")]
static INBOX: Inbox = Inbox { begin: HEAP_BASE, end: Cell::new(HEAP_END) };

/// Returns space for `size` bytes, or [`ALLOC_FAILED`].
pub(super) fn malloc(size: usize) -> *mut u8 {
    let end = INBOX.end.get().addr();
    let wanted = HEAP_BASE.addr().wrapping_add(size);
    if wanted > end {
        // Where there is no more; or somebody else has grown the memory in between, and what is theirs stays
        // theirs.
        if linear_memory::grow(wanted - end) != end {
            return ptr::without_provenance_mut(ALLOC_FAILED as usize);
        }
        INBOX.end.set(ptr::without_provenance_mut(linear_memory::end()));
    }
    HEAP_BASE
}

/// # Safety
/// None is needed: nothing is given back.
pub(super) unsafe fn free(_at: *mut u8, _size: usize) {}

/// Resets the inbox for tests, which have one instance after the other.
#[cfg(test)]
pub(super) fn reset() {
    INBOX.end.set(HEAP_END);
}
