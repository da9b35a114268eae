/// Names for powers of a number, the largest first.
type Multiples = [(&'static str, u64); 2];

const BYTES: Multiples = [("MiB", 1 << 20), ("KiB", 1 << 10)];
const NUMBERS: Multiples = [("M", 1_000_000), ("k", 1_000)];

/// Reads a number of bytes, such as 65536 or 64KiB.
pub(crate) fn bytes(text: &str) -> Option<u64> {
    read(text, BYTES)
}

/// Reads a number of things, such as 20000, 20_000 or 20k.
pub(crate) fn number(text: &str) -> Option<u64> {
    read(text, NUMBERS)
}

/// Reads digits, `_` between them, and perhaps a multiple.
fn read(text: &str, multiples: Multiples) -> Option<u64> {
    let (digits, factor) = multiples
        .into_iter()
        .find_map(|(name, factor)| Some((text.strip_suffix(name)?, factor)))
        .unwrap_or((text, 1));
    // A number may also have a sign for Rust.
    if !digits.bytes().all(|byte| byte.is_ascii_digit() || byte == b'_')
        || digits.starts_with('_')
        || digits.ends_with('_')
    {
        return None;
    }
    digits.replace('_', "").parse::<u64>().ok()?.checked_mul(factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_decimal_multiples_and_sizes_binary_ones() {
        for (text, size, count) in [
            ("0", Some(0), Some(0)),
            ("20_000", Some(20_000), Some(20_000)),
            ("64KiB", Some(65_536), None),
            ("1MiB", Some(1 << 20), None),
            ("20k", None, Some(20_000)),
            ("5M", None, Some(5_000_000)),
        ] {
            assert_eq!((bytes(text), number(text)), (size, count), "{text}");
        }
    }

    #[test]
    fn nothing_else_is_a_quantity() {
        for text in [
            "",
            " ",
            "_",
            "k",
            "KiB",
            "-1",
            "+1",
            "1.5k",
            "1e6",
            "0x10",
            " 1",
            "1 ",
            "1 k",
            "_1",
            "1_",
            "1K",
            "1m",
            "1kk",
            "1MB",
            "18446744073709551616",
            "18446744073709552k",
            "17592186044416MiB",
            "１",
        ] {
            assert_eq!((bytes(text), number(text)), (None, None), "{text}");
        }
    }
}
