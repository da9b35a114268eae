/// The kind of a frame (RFC 6455, section 5.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Opcode {
    Continuation = 0,
    Text = 1,
    Binary = 2,
    Close = 8,
    Ping = 9,
    Pong = 10,
}

impl Opcode {
    pub(super) fn from_bits(bits: u8) -> Option<Self> {
        Some(match bits {
            0 => Self::Continuation,
            1 => Self::Text,
            2 => Self::Binary,
            8 => Self::Close,
            9 => Self::Ping,
            10 => Self::Pong,
            _ => return None,
        })
    }

    /// Returns the kind of a message from the head of its frame. `None` for a control frame.
    #[cfg(feature = "compression")]
    pub(crate) fn of_message(head: &[u8]) -> Option<Self> {
        Self::from_bits(head.first()? & 0x0f).filter(|opcode| !opcode.is_control())
    }

    pub(super) fn is_control(self) -> bool {
        matches!(self, Self::Close | Self::Ping | Self::Pong)
    }
}

/// The most bytes that a control frame carries (RFC 6455, section 5.5).
pub(super) const CONTROL_SIZE: usize = 125;

/// The head of a frame that a server sends: the whole message, and without a mask.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Head {
    bytes: [u8; 10],
    len: u8,
}

impl Head {
    /// Makes the head of a message with so many bytes.
    pub(crate) fn new(opcode: Opcode, size: usize) -> Self {
        const FIN: u8 = 0x80;
        let mut bytes = [0; 10];
        bytes[0] = FIN | opcode as u8;
        let len = if size < 126 {
            bytes[1] = size as u8;
            2
        } else if let Ok(size) = u16::try_from(size) {
            bytes[1] = 126;
            bytes[2..4].copy_from_slice(&size.to_be_bytes());
            4
        } else {
            bytes[1] = 127;
            bytes[2..].copy_from_slice(&(size as u64).to_be_bytes());
            10
        };
        Self { bytes, len }
    }

    /// Marks the message as compressed.
    #[cfg(feature = "compression")]
    pub(crate) fn compressed(mut self) -> Self {
        self.bytes[0] |= 0x40;
        self
    }

    /// Returns the size of the frame with its head that these bytes begin with. They were made from a head like this.
    pub(crate) fn frame_size(bytes: &[u8]) -> usize {
        match *bytes {
            [_, 127, a, b, c, d, e, f, g, h, ..] => {
                10 + u64::from_be_bytes([a, b, c, d, e, f, g, h]) as usize
            }
            [_, 126, high, low, ..] => 4 + usize::from(u16::from_be_bytes([high, low])),
            [_, size, ..] => 2 + usize::from(size),
            _ => bytes.len(),
        }
    }

    /// Returns the size of the head that these bytes begin with. They were made from a head like this.
    pub(crate) fn size(bytes: &[u8]) -> usize {
        match bytes.get(1) {
            Some(127) => 10,
            Some(126) => 4,
            _ => 2,
        }
    }
}

impl AsRef<[u8]> for Head {
    fn as_ref(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_take_the_fewest_bytes_that_hold_them() {
        let head = |size| Head::new(Opcode::Binary, size).as_ref().to_vec();
        assert_eq!(head(0), [0x82, 0]);
        assert_eq!(head(125), [0x82, 125]);
        assert_eq!(head(126), [0x82, 126, 0, 126]);
        assert_eq!(head(65_535), [0x82, 126, 255, 255]);
        assert_eq!(head(65_536), [0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0]);
        assert_eq!(Head::new(Opcode::Text, 5).as_ref(), [0x81, 5]);
        for size in [0, 5, 125, 126, 1000, 65_535, 65_536, 1 << 30] {
            assert_eq!(Head::frame_size(&head(size)), head(size).len() + size);
            assert_eq!(Head::size(&head(size)), head(size).len());
        }
    }
}
