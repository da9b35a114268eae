//! The end of the linear memory, in bytes: `stateroom build` gives small guests pages of one byte, other
//! builds pages of 64 KiB, so nothing here may assume a page size.

use core::arch::wasm32::{memory_grow, memory_size};

unsafe extern "C" {
    // All are made by the linker; only their addresses mean something.
    static __heap_base: u8;
    #[cfg(not(feature = "heap"))]
    static __heap_end: u8;
    static __wasm_first_page_end: u8;
}

/// The end of the memory that the linker laid out.
pub(super) const HEAP_BASE: *mut u8 = (&raw const __heap_base).cast_mut();

/// The end of the memory at first.
#[cfg(not(feature = "heap"))]
pub(super) const HEAP_END: *mut u8 = (&raw const __heap_end).cast_mut();

fn page_size() -> usize {
    &raw const __wasm_first_page_end as usize
}

/// Returns where the memory ends.
pub(super) fn end() -> usize {
    memory_size::<0>() * page_size()
}

/// Adds at least `bytes` at the end and returns where the addition begins, or, where the host grants no more, the
/// begin of the very last page there can be.
pub(super) fn grow(bytes: usize) -> usize {
    // A division that rounds up would take more instructions than the page that this may waste is worth.
    memory_grow::<0>(bytes / page_size() + 1).wrapping_mul(page_size())
}
