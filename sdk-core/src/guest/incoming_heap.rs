//! Room for what the host hands over, from the guest's allocator.

use alloc::alloc::{alloc, dealloc};
use core::{alloc::Layout, ptr};

use crate::abi::ALLOC_FAILED;

/// Returns space for `size` bytes, or [`ALLOC_FAILED`].
pub(super) fn malloc(size: usize) -> *mut u8 {
    let failed = ptr::without_provenance_mut(ALLOC_FAILED as usize);
    match Layout::array::<u8>(size) {
        Ok(layout) if size > 0 => {
            // SAFETY: the layout's size is not 0.
            let at = unsafe { alloc(layout) };
            if at.is_null() { failed } else { at }
        }
        Ok(_) => ptr::dangling_mut(),
        Err(_) => failed,
    }
}

/// # Safety
/// `at` came from [`malloc`] with the same `size`, and is not used again.
pub(super) unsafe fn free(at: *mut u8, size: usize) {
    if let Ok(layout) = Layout::array::<u8>(size)
        && size > 0
    {
        // SAFETY: the caller's promise.
        unsafe { dealloc(at, layout) }
    }
}
