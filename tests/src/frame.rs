use std::io::{self, Read};

/// A WebSocket frame (RFC 6455, section 5), written and read here without a library, so that a test can send
/// any and see all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// True if it is the last frame of its message.
    pub fin: bool,
    /// Its opcode: one of the constants here, or any other number of four bits.
    pub opcode: u8,
    /// True if its payload is compressed, or begins a compressed message.
    pub is_compressed: bool,
    /// Its payload.
    pub payload: Vec<u8>,
}

/// The key that clients mask with. RFC 6455 wants one that nobody can guess; here nobody tries.
const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

impl Frame {
    /// Goes on with the message of the frame before.
    pub const CONTINUATION: u8 = 0;
    /// Text.
    pub const TEXT: u8 = 1;
    /// Bytes.
    pub const BINARY: u8 = 2;
    /// The end of the conversation.
    pub const CLOSE: u8 = 8;
    /// A question that is answered with [`PONG`](Self::PONG).
    pub const PING: u8 = 9;
    /// The answer to [`PING`](Self::PING).
    pub const PONG: u8 = 10;

    /// Returns a frame that is a whole message.
    pub fn new(opcode: u8, payload: impl Into<Vec<u8>>) -> Self {
        Self { fin: true, opcode, is_compressed: false, payload: payload.into() }
    }

    /// Returns a frame that has others behind it.
    pub fn unfinished(opcode: u8, payload: impl Into<Vec<u8>>) -> Self {
        Self { fin: false, opcode, is_compressed: false, payload: payload.into() }
    }

    /// Returns a text message.
    #[must_use]
    pub fn text(text: &str) -> Self {
        Self::new(Self::TEXT, text)
    }

    /// Returns the frame with the mark of a compressed message.
    #[must_use]
    pub fn compressed(self) -> Self {
        Self { is_compressed: true, ..self }
    }

    /// Returns a close frame.
    #[must_use]
    pub fn close(code: u16) -> Self {
        Self::new(Self::CLOSE, code.to_be_bytes())
    }

    /// Returns the frame as a client sends it.
    #[must_use]
    pub fn masked(&self) -> Vec<u8> {
        let mut bytes = self.head(0x80);
        bytes.extend(MASK);
        bytes.extend(self.payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
        bytes
    }

    /// Returns the frame as a server sends it, and a client must not.
    #[must_use]
    pub fn unmasked(&self) -> Vec<u8> {
        let mut bytes = self.head(0);
        bytes.extend(&self.payload);
        bytes
    }

    fn head(&self, mask: u8) -> Vec<u8> {
        let mut bytes = vec![u8::from(self.fin) << 7 | u8::from(self.is_compressed) << 6 | self.opcode];
        match u16::try_from(self.payload.len()) {
            Ok(len @ 0..126) => bytes.push(mask | len.to_le_bytes()[0]),
            Ok(len) => {
                bytes.push(mask | 126);
                bytes.extend(len.to_be_bytes());
            }
            Err(_) => {
                bytes.push(mask | 127);
                bytes.extend((self.payload.len() as u64).to_be_bytes());
            }
        }
        bytes
    }

    /// Reads a frame from a server; nothing where the connection ends before one.
    ///
    /// # Errors
    /// The connection ends in the middle of one.
    pub fn read(from: &mut impl Read) -> io::Result<Option<Self>> {
        let mut head = [0; 2];
        if from.read(&mut head[..1])? == 0 {
            return Ok(None);
        }
        from.read_exact(&mut head[1..])?;
        let [first, second] = head;
        assert_eq!(second & 0x80, 0, "a server does not mask");
        assert_eq!(first & 0x30, 0, "nothing gives these bits a meaning");
        let len = match second {
            126 => {
                let mut len = [0; 2];
                from.read_exact(&mut len)?;
                u16::from_be_bytes(len).into()
            }
            127 => {
                let mut len = [0; 8];
                from.read_exact(&mut len)?;
                u64::from_be_bytes(len)
            }
            len => len.into(),
        };
        let mut payload = Vec::new();
        from.take(len).read_to_end(&mut payload)?;
        if (payload.len() as u64) < len {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let [fin, is_compressed] = [0x80, 0x40].map(|bit| first & bit != 0);
        Ok(Some(Self { fin, opcode: first & 0x0f, is_compressed, payload }))
    }
}
