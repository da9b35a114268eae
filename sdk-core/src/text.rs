use stateroom_core::TEXT_CAPACITY;

/// Formats a text as `format!` does, but without a heap and with much less code. A guest that formats a
/// number with it is 2 KB smaller than one that uses `format_args!`.
///
/// The values come after the text, without names. These forms exist:
///
/// | form | types |
/// | --- | --- |
/// | `{}` | `str`, `char`, `bool`, whole numbers, [`heapless::String`], [`ClientId`](crate::ClientId), and other types that implement [`uDisplay`](crate::ufmt::uDisplay); for a `String` use `.as_str()` |
/// | `{:?}`, `{:#?}` | `bool`, whole numbers, [`ClientId`](crate::ClientId); `Option`, `Result`, tuples, slices and arrays (of up to 32) of these; and other types that implement [`uDebug`](crate::ufmt::uDebug), which can be derived. Text and `char` do not implement it |
/// | `{:x}`, `{:X}`, `{:#x}`, `{:4x}`, `{:04x}` | whole numbers, in hexadecimal digits. Only this form may have a width |
///
/// For `f32` and `f64`, for types that only implement `Display` or `Debug`, and for longer texts, use `format!`, or `format_args!`
/// without an allocator.
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
///
/// ```
/// // The derived code looks for `ufmt` in scope, as `use stateroom_sdk_core::*` has it.
/// use stateroom_sdk_core::{text, ufmt, ufmt::derive::uDebug};
///
/// #[derive(uDebug)]
/// struct Place {
///     x: i32,
///     y: i32,
/// }
///
/// assert_eq!(text!("{:?}", Place { x: 1, y: -1 }), "Place { x: 1, y: -1 }");
/// ```
#[macro_export]
macro_rules! text {
    ($($arguments:tt)*) => {{
        // Its macros look for it in scope.
        use $crate::ufmt;
        let mut text = $crate::guest::Text($crate::heapless::String::new());
        match ufmt::uwrite!(text, $($arguments)*) {
            Ok(()) => text.0,
            Err(_) => $crate::guest::too_long(),
        }
    }};
}

/// The target of [`text!`](crate::text). A `heapless` string cannot be used because of `char`: for it,
/// `heapless` uses the default method of `ufmt` 0.2, which reads uninitialised memory.
#[derive(Debug)]
pub struct Text(pub heapless::String<TEXT_CAPACITY>);

impl ufmt::uWrite for Text {
    type Error = heapless::CapacityError;

    fn write_str(&mut self, text: &str) -> Result<(), Self::Error> {
        self.0.push_str(text)
    }

    fn write_char(&mut self, character: char) -> Result<(), Self::Error> {
        self.0.push_str(character.encode_utf8(&mut [0; 4]))
    }
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
    fn whatever_the_table_names_is_written() {
        let name = heapless::String::<8>::try_from("né").unwrap();
        let texts = text!("{} {} {} {} {}", "né", 'é', true, &name, ClientId(7));
        assert_eq!(texts, "né é true né 7");
        let numbers = text!("{} {} {} {}", i8::MIN, u64::MAX, i128::MIN, usize::MAX);
        let same = std::format!("{} {} {} {}", i8::MIN, u64::MAX, i128::MIN, usize::MAX);
        assert_eq!(numbers, same.as_str());

        let result: Result<[u8; 2], bool> = Ok([1, 2]);
        let nested = text!("{:?} {:?} {:?}", Some((ClientId(7), -1)), result, &[false][..]);
        assert_eq!(nested, "Some((ClientId(7), -1)) Ok([1, 2]) [false]");
        assert_eq!(text!("{:#?}", [1]), "[\n    1,\n]");
        assert_eq!(text!("{:?}", [0_u8; 32]), std::format!("{:?}", [0_u8; 32]).as_str());

        let x = text!("{:x} {:X} {:#x} {:4x} {:04x} {:#06x}", 255, 255, 255, 255, 255_u8, -1_i8);
        assert_eq!(x, "ff FF 0xff   ff 00ff 0x00ff");
        assert_eq!(text!("{{{}}}", 1), "{1}");
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
