/// How many bytes a text may have that is put together without an allocator: by [`text!`](crate::text), or by
/// sending `format_args!(…)` in a guest without one.
///
/// A longer one panics, which ends the room. To decide for yourself what happens to a text that does not fit,
/// `write!` (or [`uwrite!`](crate::ufmt::uwrite), which is smaller) into a [`heapless::String`] of the size
/// that you want, and send that.
pub const TEXT_CAPACITY: usize = 256;

/// Puts a text together as `format!` does, but without a heap, and in a fraction of the code: a guest that
/// formats a number with it is 2 KB smaller than one that uses `format_args!`.
///
/// It knows `{}` and `{:?}`, without names or widths between the braces, for whatever implements
/// [`uDisplay`](crate::ufmt::uDisplay) or [`uDebug`](crate::ufmt::uDebug): text, whole numbers, `bool`, `char`
/// and [`ClientId`](crate::ClientId), and your own types.
///
/// The result is a [`heapless::String`] of [`TEXT_CAPACITY`] bytes.
///
/// # Panics
/// If the text is longer than that.
///
/// ```
/// use stateroom_sdk_core::text;
///
/// let (name, score) = ("Ada", -7);
/// assert_eq!(text!("{} has {} points", name, score), "Ada has -7 points");
/// ```
#[macro_export]
macro_rules! text {
    ($($arguments:tt)*) => {{
        // Its macros look for it in scope.
        use $crate::ufmt;
        let mut text = $crate::heapless::String::<{ $crate::TEXT_CAPACITY }>::new();
        match ufmt::uwrite!(text, $($arguments)*) {
            Ok(()) => text,
            Err(_) => $crate::guest::too_long(),
        }
    }};
}

/// For a text that is longer than [`TEXT_CAPACITY`], which the words name themselves: the standard library keeps what
/// formats a panic, a kilobyte for a number. Of a guest without it nothing of this is left, not even a function.
#[inline(always)]
#[track_caller]
pub fn too_long() -> ! {
    panic!("a text is longer than 256 bytes (TEXT_CAPACITY)")
}

#[cfg(test)]
mod tests {
    use crate::ClientId;

    #[test]
    fn numbers_texts_and_clients_are_put_together() {
        let text = text!("{}: {} {} {}", ClientId(7), i32::MIN, "né", true);
        assert_eq!(text, "7: -2147483648 né true");
    }

    #[test]
    fn a_text_has_room_for_its_capacity() {
        let long = "x".repeat(super::TEXT_CAPACITY);
        assert_eq!(text!("{}", long.as_str()), long.as_str());
    }

    #[test]
    #[should_panic = "longer than 256 bytes (TEXT_CAPACITY)"]
    fn a_longer_text_panics() {
        let long = "x".repeat(super::TEXT_CAPACITY + 1);
        let _ = text!("{}", long.as_str());
    }
}
