//! The end of the linear memory, in bytes: `stateroom build` gives small guests pages of one byte, other
//! builds pages of 64 KiB, so nothing here may assume a page size.

use core::arch::wasm32::{memory_grow, memory_size};

unsafe extern "C" {
    // Both are made by the linker; only their addresses mean something.
    static __heap_base: u8;
    static __wasm_first_page_end: u8;
}

/// Where the memory that the linker laid out ends.
pub(super) fn heap_base() -> usize {
    &raw const __heap_base as usize
}

fn page_size() -> usize {
    &raw const __wasm_first_page_end as usize
}

/// Where the memory ends.
pub(super) fn end() -> usize {
    memory_size::<0>() * page_size()
}

/// Adds at least `bytes` at the end and returns where the addition begins, or nothing where the host grants
/// no more.
pub(super) fn grow(bytes: usize) -> Option<usize> {
    match memory_grow::<0>(bytes.div_ceil(page_size())) {
        usize::MAX => None,
        pages => Some(pages * page_size()),
    }
}
