/// The unit of a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    /// Bytes, written as a plain number or in binary multiples.
    Bytes,
    /// Counts, or units of fuel, written as a plain number or in decimal multiples.
    Number,
}

const BYTES: [(&str, u64); 3] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
const NUMBER: [(&str, u64); 3] = [("G", 1_000_000_000), ("M", 1_000_000), ("k", 1_000)];

impl Unit {
    fn multiples(self) -> [(&'static str, u64); 3] {
        match self {
            Self::Bytes => BYTES,
            Self::Number => NUMBER,
        }
    }

    /// Returns examples of values.
    pub(crate) fn examples(self) -> &'static str {
        match self {
            Self::Bytes => "65536, 64KiB, 32MiB or 1GiB",
            Self::Number => "20000, 20_000, 20k or 5M",
        }
    }

    /// Reads digits, `_` between them, and perhaps a multiple.
    ///
    /// There are crates for this. They also accept texts such as `1.5 mb`, whose meaning is not clear.
    pub(crate) fn read(self, text: &str) -> Option<u64> {
        let end = text.find(|c: char| !c.is_ascii_digit() && c != '_').unwrap_or(text.len());
        let (digits, multiple) = text.split_at(end);
        let factor = match multiple {
            "" => 1,
            name => self.multiples().into_iter().find(|(known, _)| *known == name)?.1,
        };
        if digits.starts_with('_') || digits.ends_with('_') {
            return None;
        }
        digits.replace('_', "").parse::<u64>().ok()?.checked_mul(factor)
    }

    /// Writes a value in its shortest form.
    pub(crate) fn show(self, value: u64) -> String {
        let multiples = self.multiples().into_iter();
        match multiples.into_iter().find(|(_, factor)| value > 0 && value.is_multiple_of(*factor)) {
            Some((name, factor)) => format!("{}{name}", value / factor),
            None => value.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_have_binary_multiples() {
        for (text, value) in [
            ("0", 0),
            ("65536", 65536),
            ("1_000", 1000),
            ("64KiB", 65536),
            ("2MiB", 2 << 20),
            ("4GiB", 4 << 30),
        ] {
            assert_eq!(Unit::Bytes.read(text), Some(value), "{text}");
        }
    }

    #[test]
    fn numbers_have_decimal_multiples() {
        for (text, value) in [("7", 7), ("400_000", 400_000), ("400k", 400_000), ("50M", 50_000_000)] {
            assert_eq!(Unit::Number.read(text), Some(value), "{text}");
        }
        assert_eq!(Unit::Number.read("18446744073709551615"), Some(u64::MAX));
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
            "1.5MiB",
            "1e6",
            "0x10",
            " 1",
            "1 ",
            "1 k",
            "1 KiB",
            "_1",
            "1_",
            "1K",
            "1m",
            "1kk",
            "1KB",
            "1MB",
            "1kib",
            "18446744073709551616",
            "18446744073709552k",
            "17179869184GiB",
            "１",
        ] {
            assert_eq!((Unit::Bytes.read(text), Unit::Number.read(text)), (None, None), "{text}");
        }
        assert_eq!((Unit::Bytes.read("1k"), Unit::Number.read("1KiB")), (None, None));
    }

    #[test]
    fn what_is_shown_can_be_read() {
        for (value, bytes, number) in [
            (0, "0", "0"),
            (1000, "1000", "1k"),
            (1024, "1KiB", "1024"),
            (3 << 20, "3MiB", "3145728"),
            (5 << 30, "5GiB", "5368709120"),
            (6_000_000_000, "5859375KiB", "6G"),
            (u64::MAX, "18446744073709551615", "18446744073709551615"),
        ] {
            assert_eq!((&*Unit::Bytes.show(value), &*Unit::Number.show(value)), (bytes, number));
            assert_eq!((Unit::Bytes.read(bytes), Unit::Number.read(number)), (Some(value), Some(value)));
        }
    }
}
