//! Room for what the host hands over, in guests without an allocator: the memory behind everything that the
//! linker laid out.
//!
//! The host hands over one thing at a time and takes it back before the next, so one place serves for all. It
//! grows when a message needs more, and is never smaller again.

use core::{cell::Cell, ptr};

use crate::abi::NO_ROOM;

use super::linear_memory;

/// Begin and end of the place; both 0 until the first message.
struct Scratch(Cell<(usize, usize)>);

// SAFETY: a guest has one thread.
unsafe impl Sync for Scratch {}

static SCRATCH: Scratch = Scratch(Cell::new((0, 0)));

/// Room for `size` bytes, or [`NO_ROOM`].
#[must_use]
pub fn malloc(size: usize) -> *mut u8 {
    let (mut begin, mut end) = SCRATCH.0.get();
    if begin == 0 {
        begin = linear_memory::heap_base();
        end = linear_memory::end();
    }
    if end - begin < size {
        let Some(grown) = linear_memory::grow(size - (end - begin)) else {
            return ptr::without_provenance_mut(NO_ROOM as usize);
        };
        if grown != end {
            // Somebody else has grown the memory in between: what is theirs stays theirs. The addition alone
            // may be too small.
            begin = grown;
        }
        end = linear_memory::end();
        SCRATCH.0.set((begin, end));
        return if end - begin < size { malloc(size) } else { begin as *mut u8 };
    }
    SCRATCH.0.set((begin, end));
    begin as *mut u8
}

/// # Safety
/// None is needed: nothing is given back.
pub unsafe fn free(_at: *mut u8, _size: usize) {}
