/// The maximum length of a text that is formatted without an allocator, in bytes: by `text!` of the SDK, or by
/// sending `format_args!(…)` in a guest without one.
///
/// A longer one panics, which ends the room. To decide for yourself what happens to a text that does not fit,
/// `write!` into a [`heapless::String`] of the size that you want, and send that.
pub const TEXT_CAPACITY: usize = 256;

/// Panics for a text that is longer than [`TEXT_CAPACITY`], which the words name themselves: the standard library keeps
/// what formats a panic, a kilobyte for a number. Of a guest without it nothing of this is left, not even a function.
#[doc(hidden)]
#[inline(always)]
#[track_caller]
pub fn too_long() -> ! {
    panic!("a text is longer than 256 bytes (TEXT_CAPACITY)")
}
