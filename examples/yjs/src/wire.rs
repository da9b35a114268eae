//! The messages of y-protocols: numbers of variable length, and bytes with their length before them.

const SYNC: u8 = 0;
const AWARENESS: u8 = 1;
const QUERY_AWARENESS: u8 = 3;

const STEP_1: u8 = 0;
const STEP_2: u8 = 1;
const UPDATE: u8 = 2;

/// A message from a client.
pub(crate) enum Message<'a> {
    /// The client's state vector, which asks for what it does not have.
    Step1(&'a [u8]),
    /// An edit, or the answer to the room's own question.
    Update(&'a [u8]),
    Awareness(&'a [u8]),
    QueryAwareness,
    Other,
}

impl<'a> Message<'a> {
    pub(crate) fn read(reader: &mut Reader<'a>) -> Option<Self> {
        Some(match reader.byte()? {
            SYNC => match reader.byte()? {
                STEP_1 => Self::Step1(reader.bytes()?),
                STEP_2 | UPDATE => Self::Update(reader.bytes()?),
                _ => return None,
            },
            AWARENESS => Self::Awareness(reader.bytes()?),
            QUERY_AWARENESS => Self::QueryAwareness,
            _ => Self::Other,
        })
    }
}

/// Returns the message that asks a client for what the room does not have.
pub(crate) fn step1(state: &[u8]) -> Vec<u8> {
    message(&[SYNC, STEP_1], state)
}

/// Returns the message that gives a client what it does not have.
pub(crate) fn step2(update: &[u8]) -> Vec<u8> {
    message(&[SYNC, STEP_2], update)
}

/// Returns the message with an edit.
pub(crate) fn update(update: &[u8]) -> Vec<u8> {
    message(&[SYNC, UPDATE], update)
}

/// Returns the message with states of cursors.
pub(crate) fn awareness(states: &[u8]) -> Vec<u8> {
    message(&[AWARENESS], states)
}

fn message(kind: &[u8], content: &[u8]) -> Vec<u8> {
    let mut message = Vec::with_capacity(kind.len() + 5 + content.len());
    message.extend_from_slice(kind);
    write_bytes(&mut message, content);
    message
}

pub(crate) fn write_number(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

pub(crate) fn write_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    write_number(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Reads bytes that may be anything.
pub(crate) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// Returns how many bytes are left.
    pub(crate) fn left(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn byte(&mut self) -> Option<u8> {
        self.skip(1).map(|bytes| bytes[0])
    }

    pub(crate) fn skip(&mut self, length: usize) -> Option<&'a [u8]> {
        let (bytes, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(bytes)
    }

    /// Reads a number of at most 53 bits, which is as large as they are in JavaScript.
    pub(crate) fn number(&mut self) -> Option<u64> {
        let mut number = 0;
        for shift in (0..53).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return (number < 1 << 53).then_some(number);
            }
        }
        None
    }

    /// Reads a number of 32 bits.
    pub(crate) fn short(&mut self) -> Option<u32> {
        self.number()?.try_into().ok()
    }

    /// Reads how many things follow, each of which takes at least so many bytes.
    pub(crate) fn count(&mut self, least: usize) -> Option<usize> {
        let count = usize::try_from(self.number()?).ok()?;
        (count <= self.left() / least).then_some(count)
    }

    pub(crate) fn bytes(&mut self) -> Option<&'a [u8]> {
        let length = self.count(1)?;
        self.skip(length)
    }

    pub(crate) fn text(&mut self) -> Option<&'a str> {
        str::from_utf8(self.bytes()?).ok()
    }
}
