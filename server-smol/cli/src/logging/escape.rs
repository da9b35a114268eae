use std::{cmp::Ordering, fmt::Write as _};

/// Returns a text that is safe to show: control characters and format characters are escaped, except for line
/// breaks and tabs. White space at the end is cut off.
///
/// Texts may come from guests and clients. They must not control the terminal, or look like other text.
pub(crate) fn escaped(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.trim_end().chars() {
        match character {
            '\n' | '\t' => shown.push(character),
            _ if character.is_control() || is_format(character) => {
                let _ = write!(shown, "{}", character.escape_default());
            }
            _ => shown.push(character),
        }
    }
    shown
}

/// Returns true if a character is invisible and changes how others look: if it reorders them, joins them, or
/// ends their line.
pub(super) fn is_format(character: char) -> bool {
    let code = u32::from(character);
    let order = |&(first, last): &(u32, u32)| match () {
        () if code < first => Ordering::Greater,
        () if code > last => Ordering::Less,
        () => Ordering::Equal,
    };
    FORMAT.binary_search_by(order).is_ok()
}

/// The characters of the general categories Cf, Zl and Zp in Unicode 17.0 (`DerivedGeneralCategory.txt`).
const FORMAT: [(u32, u32); 21] = [
    (0xad, 0xad),
    (0x600, 0x605),
    (0x61c, 0x61c),
    (0x6dd, 0x6dd),
    (0x70f, 0x70f),
    (0x890, 0x891),
    (0x8e2, 0x8e2),
    (0x180e, 0x180e),
    (0x200b, 0x200f),
    (0x2028, 0x202e),
    (0x2060, 0x2064),
    (0x2066, 0x206f),
    (0xfeff, 0xfeff),
    (0xfff9, 0xfffb),
    (0x110bd, 0x110bd),
    (0x110cd, 0x110cd),
    (0x13430, 0x1343f),
    (0x1bca0, 0x1bca3),
    (0x1d173, 0x1d17a),
    (0xe0001, 0xe0001),
    (0xe0020, 0xe007f),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_and_format_characters_are_escaped() {
        for (text, shown) in [
            ("\u{1b}[2J\r\u{9b}é\t\n\n", "\\u{1b}[2J\\r\\u{9b}é"),
            ("a\nb\tc", "a\nb\tc"),
            ("\u{202e}exe\u{2066}", "\\u{202e}exe\\u{2066}"),
            ("a\u{200b}b\u{feff}\u{2028}c\u{ad}", "a\\u{200b}b\\u{feff}\\u{2028}c\\u{ad}"),
            ("e\u{301} 日本 🦀 \u{a0}«»", "e\u{301} 日本 🦀 \u{a0}«»"),
            ("\u{e0041}", "\\u{e0041}"),
        ] {
            assert_eq!(escaped(text), shown);
        }
    }

    #[test]
    fn the_table_is_in_order_and_has_characters_that_rust_escapes_too() {
        assert!(FORMAT.windows(2).all(|pair| pair[0].1 < pair[1].0));
        let characters = || FORMAT.iter().flat_map(|&(first, last)| first..=last).filter_map(char::from_u32);
        assert_eq!(characters().count(), 172);
        for character in characters() {
            assert!(character.escape_debug().count() > 1, "{:x}", u32::from(character));
        }
    }
}
