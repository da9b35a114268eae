/// The first bytes of each message: its sender, and the number of earlier messages of that sender. It is
/// written as text, so that it fits into messages of both kinds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mark {
    pub(crate) sender: u32,
    pub(crate) number: u32,
}

const DIGITS: [u8; 16] = *b"0123456789abcdef";
const NONE: u8 = 0xff;
/// The value of each digit.
const VALUES: [u8; 256] = {
    let mut values = [NONE; 256];
    let mut value = 0;
    while value < DIGITS.len() {
        values[DIGITS[value] as usize] = value as u8;
        value += 1;
    }
    values
};

impl Mark {
    /// Its size in bytes.
    pub(crate) const SIZE: usize = 16;
    /// The number of messages that only check which clients have joined.
    pub(crate) const CALL: u32 = u32::MAX;

    pub(crate) fn to_bytes(self) -> [u8; Self::SIZE] {
        let mut bits = u64::from(self.sender) << 32 | u64::from(self.number);
        let mut bytes = [0; Self::SIZE];
        for byte in &mut bytes {
            bits = bits.rotate_left(4);
            *byte = DIGITS[(bits & 0xf) as usize];
        }
        bytes
    }

    /// Reads the mark of a message, and returns the rest of the message. Returns `None` if it has no mark.
    pub(crate) fn read(message: &[u8]) -> Option<(Self, &[u8])> {
        let (mark, rest) = message.split_first_chunk::<{ Self::SIZE }>()?;
        let (mut bits, mut all) = (0, 0);
        for &byte in mark {
            let value = VALUES[usize::from(byte)];
            all |= value;
            bits = bits << 4 | u64::from(value & 0xf);
        }
        let mark = Self { sender: (bits >> 32) as u32, number: bits as u32 };
        (all != NONE).then_some((mark, rest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_read_as_it_was_written() {
        for (sender, number) in [(0, 0), (1, 2), (0x1234_5678, 0x9abc_def0), (u32::MAX, Mark::CALL)] {
            let mark = Mark { sender, number };
            let bytes = [&mark.to_bytes()[..], b"rest"].concat();
            assert_eq!(Mark::read(&bytes), Some((mark, &b"rest"[..])));
        }
        assert_eq!(Mark { sender: 0x1f, number: 2 }.to_bytes(), *b"0000001f00000002");
    }

    #[test]
    fn other_words_are_no_mark() {
        for words in
            ["", "hello", "0000001f0000000", "0000001f0000000g", "0000001F00000002", "welcome to the room"]
        {
            assert_eq!(Mark::read(words.as_bytes()), None, "{words}");
        }
    }
}
