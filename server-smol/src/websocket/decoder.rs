use std::{mem, rc::Rc, str};

use stateroom_core::MessagePayload;

use crate::memory::{Buffer, Incoming, Ledger, OutOfMemory};

use super::{
    close,
    deflate::Inflation,
    frame::{CONTROL_SIZE, Opcode},
    mask::Mask,
};

/// Reads what a client sends.
///
/// Bytes go in as they come, in pieces of any size. What is whole in a piece is read where it lies; what is not is
/// kept until the rest has come.
#[derive(Debug)]
pub(crate) struct Decoder {
    state: State,
    /// The bytes of a data message that is not whole yet, without its mask.
    message: Buffer<Incoming>,
    /// The number of bytes of it that are whole characters, if it is text.
    characters: usize,
    /// The kind of the message whose first frame has come, and whose last frame has not.
    unfinished: Option<Opcode>,
    /// The bytes of a control frame, which may come between the frames of a message.
    control: Vec<u8>,
    /// True if a whole message has been handed out of `message`, and it is no longer needed.
    is_message_read: bool,
    /// The most bytes that a message may have.
    limit: usize,
    inflation: Inflation,
}

#[derive(Debug, Clone, Copy)]
enum State {
    /// A number of bytes of a frame's head have come.
    Head { bytes: [u8; HEAD_SIZE], len: u8 },
    /// A number of bytes of a frame are still to come.
    Payload { opcode: Opcode, fin: bool, mask: Mask, remaining: usize },
    /// A compressed message of this kind has come, and is being inflated.
    Inflating(Opcode),
}

impl State {
    const BEGIN: Self = Self::Head { bytes: [0; HEAD_SIZE], len: 0 };
}

/// The largest head: two bytes, a size of eight, and the mask.
const HEAD_SIZE: usize = 14;

/// The number of bytes that a message gets space for at first: a client can announce any size.
const RESERVED: usize = 64 << 10;

/// A message or control frame of a client.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Item<'a> {
    Message(MessagePayload<'a>),
    /// A step of inflating a message, which took as long as so many messages. More of it, or the message, follows without input.
    Inflating(u32),
    Ping(&'a [u8]),
    Pong,
    /// The client closes the connection, perhaps with a code.
    Close(Option<u16>),
}

/// The way in which a client broke the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Violation {
    /// The client's frames are not valid.
    Protocol,
    /// A text is not UTF-8.
    Utf8,
    /// A compressed message is not.
    #[cfg(feature = "compression")]
    Deflate,
    /// A message is larger than it may be.
    // Without its size: a larger error takes each message a few dozen instructions.
    TooLarge,
    /// There is no memory for a message.
    OutOfMemory,
}

impl From<OutOfMemory> for Violation {
    fn from(_: OutOfMemory) -> Self {
        Self::OutOfMemory
    }
}

impl Decoder {
    /// Takes messages of up to `limit` bytes, whose memory is charged to `ledger`.
    pub(crate) fn new(limit: usize, ledger: &Rc<Ledger>) -> Self {
        Self {
            state: State::BEGIN,
            message: Buffer::new(ledger),
            characters: 0,
            unfinished: None,
            control: Vec::new(),
            is_message_read: false,
            limit,
            inflation: Inflation::default(),
        }
    }

    /// Lets the client compress messages.
    #[cfg(feature = "compression")]
    pub(crate) fn with_inflaters(self, inflaters: Rc<super::Inflaters>) -> Self {
        Self { inflation: Inflation::with(inflaters), ..self }
    }

    /// Takes the next thing that is whole off the front of `input`; nothing when all of `input` has been taken.
    ///
    /// # Errors
    /// The client broke the protocol. There is nothing to read any more.
    pub(crate) fn next<'a, 'b: 'a>(
        &'a mut self,
        input: &mut &'b mut [u8],
    ) -> Result<Option<Item<'a>>, Violation> {
        self.forget_what_is_read();
        loop {
            let (opcode, fin) = match &mut self.state {
                State::Head { bytes, len } => {
                    let Some(head) = read_head(bytes, len, input, &mut self.inflation)? else {
                        return Ok(None);
                    };
                    self.admit(&head)?;
                    let Frame { opcode, fin, mask, size } = head;
                    if size <= input.len() && self.is_whole(opcode, fin) {
                        // Nearly all messages come this way, and are copied no further than to the room.
                        let mut mask = mask;
                        let (payload, rest) = mem::take(input).split_at_mut(size);
                        *input = rest;
                        self.state = State::BEGIN;
                        mask.unmask(payload);
                        return item(opcode, payload).map(Some);
                    }
                    self.state = State::Payload { opcode, fin, mask, remaining: size };
                    continue;
                }
                State::Payload { opcode, fin, mask, remaining } => {
                    let size = (*remaining).min(input.len());
                    let (piece, rest) = mem::take(input).split_at_mut(size);
                    *input = rest;
                    mask.unmask(piece);
                    *remaining -= size;
                    if opcode.is_control() {
                        self.control.extend_from_slice(piece);
                    } else {
                        keep(&mut self.message, piece, *remaining)?;
                        if self.unfinished.unwrap_or(*opcode) == Opcode::Text
                            && !self.inflation.is_compressed()
                        {
                            self.characters += characters(&self.message[self.characters..])?;
                        }
                    }
                    if *remaining > 0 {
                        return Ok(None);
                    }
                    (*opcode, *fin)
                }
                State::Inflating(kind) => {
                    let kind = *kind;
                    return self.inflate(kind).map(Some);
                }
            };
            self.state = State::BEGIN;
            if opcode.is_control() {
                return item(opcode, &self.control).map(Some);
            }
            let kind = self.unfinished.unwrap_or(opcode);
            self.unfinished = Some(kind).filter(|_| !fin);
            if fin && self.inflation.is_compressed() {
                self.inflation.start(&mut self.message)?;
                self.state = State::Inflating(kind);
            } else if fin {
                self.is_message_read = true;
                return item(kind, &self.message).map(Some);
            }
        }
    }

    /// Inflates some of a message, or returns it if it was complete before.
    #[cold]
    fn inflate(&mut self, kind: Opcode) -> Result<Item<'_>, Violation> {
        if let Some(work) = self.inflation.step(&self.message, self.limit)? {
            return Ok(Item::Inflating(work));
        }
        self.state = State::BEGIN;
        self.is_message_read = true;
        item(kind, self.inflation.message())
    }

    /// Returns whether a part of a message has come, and the rest has not.
    pub(crate) fn is_in_message(&self) -> bool {
        self.unfinished.is_some() || matches!(self.state, State::Payload { .. })
    }

    /// Returns how many bytes of a frame are still to come.
    pub(crate) fn remaining(&self) -> usize {
        match self.state {
            State::Payload { remaining, .. } => remaining,
            State::Head { .. } | State::Inflating(_) => 0,
        }
    }

    /// Returns whether anything of a message or a frame is kept.
    #[cfg(test)]
    fn is_idle(&self) -> bool {
        self.message.capacity() == 0 && self.control.capacity() == 0
    }

    /// Gives back the memory of what was handed out last. The [`next`](Self::next) one does that by itself, but may be
    /// long in coming.
    pub(crate) fn forget_what_is_read(&mut self) {
        if self.is_message_read {
            self.forget_message();
        }
        if matches!(self.state, State::Head { .. }) && !self.control.is_empty() {
            self.control = Vec::new();
        }
    }

    #[cold]
    fn forget_message(&mut self) {
        self.is_message_read = false;
        self.characters = 0;
        drop(self.message.take());
        self.inflation.forget();
    }

    /// Returns whether a frame is a whole message by itself: nothing before it and nothing after it belongs to it, and it is not
    /// compressed.
    fn is_whole(&self, opcode: Opcode, fin: bool) -> bool {
        opcode.is_control() || fin && self.unfinished.is_none() && !self.inflation.is_compressed()
    }

    /// Checks that a frame may come now, and is not too large.
    fn admit(&self, frame: &Frame) -> Result<(), Violation> {
        let Frame { opcode, fin, size, .. } = *frame;
        if opcode.is_control() {
            return if fin && size <= CONTROL_SIZE { Ok(()) } else { Err(Violation::Protocol) };
        }
        if (opcode == Opcode::Continuation) != self.unfinished.is_some() {
            return Err(Violation::Protocol);
        }
        let has_space = |limit: usize| size <= limit.saturating_sub(self.message.len());
        if has_space(self.limit) || has_space(self.inflation.limit(self.limit)) {
            Ok(())
        } else {
            Err(Violation::TooLarge)
        }
    }
}

/// Keeps a piece of a message, after which so many bytes of its frame are still to come.
fn keep(message: &mut Buffer<Incoming>, piece: &[u8], remaining: usize) -> Result<(), OutOfMemory> {
    let room = message.capacity() - message.len();
    if piece.len() > room {
        // A client can announce any size, so that space is made as bytes come: as much again as there is, and not
        // beyond what is to come. A message in many frames has as much again as has come.
        let wanted = message.capacity().max(RESERVED).max(piece.len());
        message.reserve_exact(wanted.min((piece.len() + remaining).max(message.len())))?;
    }
    message.extend(piece)
}

/// Returns the number of bytes of a text that are whole characters, so that one that cannot become valid is refused before all of it
/// has come.
fn characters(text: &[u8]) -> Result<usize, Violation> {
    match str::from_utf8(text) {
        Ok(text) => Ok(text.len()),
        Err(error) if error.error_len().is_none() => Ok(error.valid_up_to()),
        Err(_) => Err(Violation::Utf8),
    }
}

/// The head of a frame.
struct Frame {
    opcode: Opcode,
    fin: bool,
    mask: Mask,
    size: usize,
}

/// Takes a frame's head off the front of `input`, if all of it is there then; what there is, is kept in `bytes`.
fn read_head(
    bytes: &mut [u8; HEAD_SIZE],
    len: &mut u8,
    input: &mut &mut [u8],
    inflation: &mut Inflation,
) -> Result<Option<Frame>, Violation> {
    if *len == 0 && input.len() >= 2 {
        let wanted = head_size(input, inflation)?;
        if input.len() >= wanted {
            // Nearly all heads come whole, and are read where they lie.
            let (head, rest) = mem::take(input).split_at_mut(wanted);
            *input = rest;
            return frame(head).map(Some);
        }
    }
    loop {
        let had = usize::from(*len);
        let wanted = head_size(&bytes[..had], inflation)?;
        if had == wanted {
            return frame(&bytes[..had]).map(Some);
        }
        let taken = (wanted - had).min(input.len());
        if taken == 0 {
            return Ok(None);
        }
        let (piece, rest) = mem::take(input).split_at_mut(taken);
        *input = rest;
        bytes[had..had + taken].copy_from_slice(piece);
        *len += taken as u8;
    }
}

/// Returns the size of a head that begins like this, as far as it can be known.
fn head_size(bytes: &[u8], inflation: &mut Inflation) -> Result<usize, Violation> {
    let &[first, second, ..] = bytes else { return Ok(2) };
    const RESERVED_BITS: u8 = 0x70;
    const MASKED: u8 = 0x80;
    if second & MASKED == 0 || first & RESERVED_BITS != 0 && !inflation.begin(first) {
        return Err(Violation::Protocol);
    }
    Ok(match second & !MASKED {
        126 => 8,
        127 => HEAD_SIZE,
        _ => 6,
    })
}

/// Reads a head that is whole.
fn frame(bytes: &[u8]) -> Result<Frame, Violation> {
    let (size, mask) = match *bytes {
        [_, size, a, b, c, d] => (u64::from(size & 0x7f), [a, b, c, d]),
        [_, _, high, low, a, b, c, d] => (u64::from(u16::from_be_bytes([high, low])), [a, b, c, d]),
        [_, _, ref size @ .., a, b, c, d] => {
            let size = size.try_into().map_or(u64::MAX, u64::from_be_bytes);
            (size, [a, b, c, d])
        }
        _ => return Err(Violation::Protocol),
    };
    let opcode = Opcode::from_bits(bytes[0] & 0x0f).ok_or(Violation::Protocol)?;
    // What is larger than an address can be is too large for every limit.
    let size = usize::try_from(size).unwrap_or(usize::MAX);
    Ok(Frame { opcode, fin: bytes[0] & 0x80 != 0, mask: Mask::new(mask), size })
}

/// Reads a whole message or control frame.
fn item(opcode: Opcode, payload: &[u8]) -> Result<Item<'_>, Violation> {
    Ok(match opcode {
        Opcode::Text => {
            let text = simdutf8::basic::from_utf8(payload).map_err(|_| Violation::Utf8)?;
            Item::Message(MessagePayload::Text(text))
        }
        Opcode::Binary => Item::Message(MessagePayload::Bytes(payload)),
        Opcode::Ping => Item::Ping(payload),
        Opcode::Pong => Item::Pong,
        Opcode::Close => Item::Close(close_code(payload)?),
        // A message is what its first frame says.
        Opcode::Continuation => return Err(Violation::Protocol),
    })
}

fn close_code(payload: &[u8]) -> Result<Option<u16>, Violation> {
    let (code, reason) = match payload {
        [] => return Ok(None),
        [high, low, reason @ ..] => (u16::from_be_bytes([*high, *low]), reason),
        _ => return Err(Violation::Protocol),
    };
    if !close::is_allowed(code) {
        return Err(Violation::Protocol);
    }
    str::from_utf8(reason).map_err(|_| Violation::Utf8)?;
    Ok(Some(code))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoder() -> Decoder {
        Decoder::new(LIMIT, &Ledger::new(usize::MAX))
    }

    const LIMIT: usize = 1 << 20;

    /// Returns a frame as a client sends it.
    fn sent(first: u8, payload: &[u8]) -> Vec<u8> {
        let mut bytes = vec![first];
        match payload.len() {
            size @ 0..126 => bytes.push(0x80 | size as u8),
            size @ 126..65_536 => {
                bytes.push(0x80 | 126);
                bytes.extend((size as u16).to_be_bytes());
            }
            size => {
                bytes.push(0x80 | 127);
                bytes.extend((size as u64).to_be_bytes());
            }
        }
        let mask = [9, 200, 3, 77];
        bytes.extend(mask);
        bytes.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
        bytes
    }

    /// Returns what is read of bytes that come in pieces, each item as a line.
    fn read(bytes: &[u8], piece: usize) -> Result<Vec<String>, Violation> {
        let (mut decoder, mut items) = (decoder(), Vec::new());
        let mut bytes = bytes.to_vec();
        for piece in bytes.chunks_mut(piece) {
            let mut input = piece;
            while let Some(item) = decoder.next(&mut input)? {
                items.push(match item {
                    Item::Message(MessagePayload::Text(text)) if text.len() > 100 => {
                        format!("text of {}", text.len())
                    }
                    Item::Message(MessagePayload::Bytes(bytes)) if bytes.len() > 100 => {
                        assert!(bytes.iter().enumerate().all(|(index, byte)| *byte == index as u8));
                        format!("{} bytes", bytes.len())
                    }
                    item => format!("{item:?}"),
                });
            }
            assert!(input.is_empty(), "all is taken");
        }
        assert_eq!(decoder.next(&mut &mut [][..])?, None);
        if piece >= bytes.len() {
            assert!(decoder.is_idle() || items.is_empty(), "nothing is kept between messages");
        }
        Ok(items)
    }

    #[track_caller]
    fn reads(bytes: &[u8], items: &[&str]) {
        for piece in [1, 2, 3, 5, 8, 13, 14, 100, 1000, 4096, 65_536, usize::MAX] {
            assert_eq!(
                read(bytes, piece),
                Ok(items.iter().map(ToString::to_string).collect()),
                "in pieces of {piece}"
            );
        }
    }

    #[track_caller]
    fn breaks(bytes: &[u8], violation: Violation) {
        for piece in [1, 3, 14, 1000, usize::MAX] {
            assert_eq!(read(bytes, piece), Err(violation), "in pieces of {piece}");
        }
    }

    #[test]
    fn messages_of_all_sizes_come_whole_in_pieces_of_any_size() {
        let sizes = [0, 1, 101, 125, 126, 127, 4096, 65_535, 65_536, 70_000, LIMIT];
        let (mut bytes, mut items) = (Vec::new(), Vec::new());
        for size in sizes {
            let payload: Vec<u8> = (0..=255).cycle().take(size).collect();
            bytes.extend(sent(0x82, &payload));
            items.push(if size > 100 {
                format!("{size} bytes")
            } else {
                format!("Message(Bytes({payload:?}))")
            });
        }
        reads(&bytes, &items.iter().map(String::as_str).collect::<Vec<_>>());
    }

    #[test]
    fn text_may_be_cut_anywhere() {
        let text = "héé 🦀";
        let (head, tail) = text.as_bytes().split_at(2);
        let bytes =
            [sent(0x81, text.as_bytes()), sent(0x01, head), sent(0x80, tail), sent(0x81, b"")].concat();
        reads(&bytes, &[r#"Message(Text("héé 🦀"))"#, r#"Message(Text("héé 🦀"))"#, r#"Message(Text(""))"#]);
    }

    #[test]
    fn control_frames_stand_between_those_of_a_message() {
        let bytes = [
            sent(0x02, &[0, 1]),
            sent(0x89, b"ping"),
            sent(0x00, &[]),
            sent(0x8a, b"pong"),
            sent(0x80, &[2, 3]),
            sent(0x88, &[0x0f, 0xa0, b'h', b'i']),
        ]
        .concat();
        reads(
            &bytes,
            &["Ping([112, 105, 110, 103])", "Pong", "Message(Bytes([0, 1, 2, 3]))", "Close(Some(4000))"],
        );
        reads(&sent(0x88, &[]), &["Close(None)"]);
    }

    #[test]
    fn what_breaks_the_protocol_is_told() {
        for (bytes, why) in [
            (sent(0x83, b""), "an opcode that does not exist"),
            (sent(0x8b, b""), "a control opcode that does not exist"),
            (sent(0xc1, b""), "a reserved bit"),
            (vec![0x81, 0], "no mask"),
            (sent(0x80, b""), "nothing to go on with"),
            ([sent(0x01, b""), sent(0x81, b"")].concat(), "a message in a message"),
            (sent(0x09, b""), "a control frame in two"),
            (sent(0x89, &[0; 126]), "a large control frame"),
            (sent(0x88, &[3]), "half a close code"),
            (sent(0x88, &[3, 237]), "the code 1005"),
            (sent(0x88, &[0, 0]), "the code 0"),
        ] {
            assert_eq!(read(&bytes, usize::MAX), Err(Violation::Protocol), "{why}");
            breaks(&bytes, Violation::Protocol);
        }
        breaks(&sent(0x81, &[0xff]), Violation::Utf8);
        breaks(&[sent(0x01, "é".as_bytes()), sent(0x80, &[0xc3])].concat(), Violation::Utf8);
        breaks(&sent(0x88, &[3, 232, 0xff]), Violation::Utf8);
    }

    #[test]
    fn text_that_cannot_become_valid_is_told_before_all_of_it_has_come() {
        let fragments = [sent(0x01, "κόσμε\u{10ffff}".as_bytes()), sent(0x00, &[0xf4]), sent(0x00, &[0x90])];
        breaks(&fragments.concat(), Violation::Utf8);
        let mut begun = sent(0x81, &[&[0xf4, 0x90][..], &[b'x'; 100]].concat());
        begun.truncate(begun.len() - 100);
        breaks(&begun, Violation::Utf8);
        begun.pop();
        assert_eq!(read(&begun, 1), Ok(vec![]), "it may still become valid");
    }

    #[test]
    fn what_is_too_large_is_told_before_it_has_come() {
        let mut huge = sent(0x82, &[0; 70_000]);
        huge.truncate(14);
        huge[2..10].copy_from_slice(&(LIMIT as u64 + 1).to_be_bytes());
        breaks(&huge, Violation::TooLarge);
        huge[2..10].copy_from_slice(&u64::MAX.to_be_bytes());
        breaks(&huge, Violation::TooLarge);
        let in_two = [sent(0x02, &vec![0; LIMIT - 1]), sent(0x80, &[0; 2])].concat();
        assert_eq!(read(&in_two, usize::MAX), Err(Violation::TooLarge));
    }

    #[test]
    fn what_was_handed_out_is_not_kept_until_more_comes() {
        let mut bytes = sent(0x82, &[0; 70_000]);
        let (first, second) = bytes.split_at_mut(50_000);
        let mut decoder = decoder();
        assert_eq!(decoder.next(&mut &mut *first), Ok(None));
        decoder.forget_what_is_read();
        assert!(!decoder.is_idle(), "half a message is kept");
        assert!(matches!(decoder.next(&mut &mut *second), Ok(Some(Item::Message(_)))));
        decoder.forget_what_is_read();
        assert!(decoder.is_idle());
    }

    /// Compressed messages.
    #[cfg(feature = "compression")]
    mod compressed {
        use miniz_oxide::deflate::compress_to_vec;

        use super::*;
        use crate::websocket::Inflaters;

        const HELLO: [u8; 7] = [0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00];

        /// Returns what is read of bytes that come in pieces: the messages, pings and pongs.
        fn read_with(limit: usize, bytes: &[u8], piece: usize) -> Result<Vec<String>, Violation> {
            let ledger = Ledger::new(64 << 20);
            let inflaters = Inflaters::new(&ledger);
            let mut decoder = Decoder::new(limit, &ledger).with_inflaters(Rc::clone(&inflaters));
            let (mut items, mut bytes) = (Vec::new(), bytes.to_vec());
            for piece in bytes.chunks_mut(piece) {
                let mut input = piece;
                while let Some(item) = decoder.next(&mut input)? {
                    match item {
                        Item::Inflating(work) => assert!(work > 0),
                        Item::Message(MessagePayload::Text(text)) => items.push(text.to_owned()),
                        Item::Message(MessagePayload::Bytes(bytes)) => items.push(format!("{}", bytes.len())),
                        item => items.push(format!("{item:?}")),
                    }
                    // The inflated message, its compressed form, and what an inflater takes.
                    assert!(ledger.used() <= 2 * limit + (64 << 10) + (16 << 10), "{}", ledger.used());
                }
                assert!(input.is_empty());
            }
            decoder.forget_what_is_read();
            assert!(ledger.used() <= (64 << 10) + (16 << 10), "{} bytes stay", ledger.used());
            drop((decoder, inflaters));
            assert_eq!(ledger.used(), 0);
            Ok(items)
        }

        #[track_caller]
        fn reads(bytes: &[u8], items: &[&str]) {
            for piece in [1, 2, 7, 100, 5000, usize::MAX] {
                let items = items.iter().map(ToString::to_string).collect();
                assert_eq!(read_with(LIMIT, bytes, piece), Ok(items), "in pieces of {piece}");
            }
        }

        #[track_caller]
        fn breaks(bytes: &[u8], violation: Violation) {
            for piece in [1, 100, usize::MAX] {
                assert_eq!(read_with(LIMIT, bytes, piece), Err(violation), "in pieces of {piece}");
            }
        }

        /// Returns a message as clients compress it.
        fn deflated(message: &[u8]) -> Vec<u8> {
            let mut compressed = compress_to_vec(message, 6);
            // It has a last block, and one more begins.
            compressed.push(0);
            compressed
        }

        #[test]
        fn the_examples_of_the_standard_are_read() {
            let [first, rest] = [&HELLO[..3], &HELLO[3..]];
            let stored = [0x00, 0x05, 0x00, 0xfa, 0xff, 0x48, 0x65, 0x6c, 0x6c, 0x6f, 0x00];
            let last = [0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x00];
            let two = [0xf2, 0x48, 0x05, 0x00, 0x00, 0x00, 0xff, 0xff, 0xca, 0xc9, 0xc9, 0x07, 0x00];
            let bytes = [
                sent(0xc1, &HELLO),
                sent(0x41, first),
                sent(0x89, b"ping"),
                sent(0x80, rest),
                sent(0xc1, &stored),
                sent(0xc1, &last),
                sent(0xc1, &two),
                sent(0x81, b"plain"),
                // Empty, as the standard and as others write it.
                sent(0xc1, &[0x00]),
                sent(0xc1, &[0x02, 0x00]),
                // A last block without another one after it.
                sent(0xc1, &last[..7]),
            ];
            let hello = "Hello";
            reads(
                &bytes.concat(),
                &[hello, "Ping([112, 105, 110, 103])", hello, hello, hello, hello, "plain", "", "", hello],
            );
        }

        #[test]
        fn messages_of_all_sizes_are_inflated() {
            for size in [0, 1, 255, 1024, 16 << 10, (16 << 10) + 1, 100_000, LIMIT - 1, LIMIT] {
                for fill in [|_| 7, |index: usize| ((index * index) >> 7) as u8] {
                    let message: Vec<u8> = (0..size).map(fill).collect();
                    let bytes = sent(0xc2, &deflated(&message));
                    for piece in [1000, usize::MAX] {
                        assert_eq!(read_with(LIMIT, &bytes, piece), Ok(vec![size.to_string()]));
                    }
                }
            }
        }

        #[test]
        fn what_inflates_to_too_much_is_refused_with_little_memory() {
            let bomb = deflated(&vec![0; 100 << 20]);
            assert!(bomb.len() < 110 << 10);
            assert_eq!(read_with(200 << 10, &sent(0xc2, &bomb), usize::MAX), Err(Violation::TooLarge));
            let message = deflated(&[7; 1001]);
            assert_eq!(read_with(1000, &sent(0xc2, &message), usize::MAX), Err(Violation::TooLarge));
            assert_eq!(read_with(1001, &sent(0xc2, &message), usize::MAX), Ok(vec!["1001".into()]));
            // What does not become smaller may have the largest size in any case, but not much more.
            let noise: Vec<u8> = (0..1000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
            let stored = [&[0, 0xe8, 3, 0x17, 0xfc][..], &noise, &[0]].concat();
            assert_eq!(read_with(1000, &sent(0xc2, &stored), usize::MAX), Ok(vec!["1000".into()]));
            let empty = [0, 0, 0, 0xff, 0xff].repeat(1000);
            assert_eq!(read_with(1000, &sent(0xc2, &empty), usize::MAX), Err(Violation::TooLarge));
        }

        #[test]
        fn what_is_no_deflate_stream_is_refused() {
            let mut cut = deflated(&[b"abcdefghijk".repeat(10), (0..200).collect()].concat());
            cut.truncate(cut.len() / 2);
            for (bytes, why) in [
                (&[0xff, 0xff][..], "a block of a kind that does not exist"),
                (&[0x07], "the same"),
                (&[0x00, 0x05, 0x00, 0x00, 0x00, b'a'], "a size that does not fit its check"),
                (&[0x00, 0x05, 0x00, 0xfa, 0xff], "a stored block that is cut"),
                (&[], "not even an empty message"),
                (&[0x02, 0x01], "a distance beyond the begin"),
                (&cut, "a stream that is cut"),
                (&[&HELLO[..], b"x"].concat(), "something behind the end"),
                (b"Hello", "no compression at all"),
            ] {
                assert_eq!(
                    read_with(LIMIT, &sent(0xc1, bytes), usize::MAX),
                    Err(Violation::Deflate),
                    "{why}"
                );
                breaks(&sent(0xc1, bytes), Violation::Deflate);
            }
            breaks(&sent(0xc1, &deflated(&[0xff])), Violation::Utf8);
            // A message refers to none before it.
            let refers = [0x4a, 0x86, 0x22, 0x00];
            assert!(read_with(LIMIT, &[sent(0xc1, &HELLO), sent(0xc1, &refers)].concat(), 1000).is_err());
        }

        #[test]
        fn only_the_first_frame_of_a_message_says_that_it_is_compressed() {
            breaks(&[sent(0x41, &HELLO[..3]), sent(0xc0, &HELLO[3..])].concat(), Violation::Protocol);
            breaks(&[sent(0x01, b"a"), sent(0xc0, b"b")].concat(), Violation::Protocol);
            for control in [0xc8, 0xc9, 0xca] {
                breaks(&sent(control, b""), Violation::Protocol);
            }
            for first in [0xa1, 0x91, 0xe1, 0xd1] {
                breaks(&sent(first, &HELLO), Violation::Protocol);
            }
            super::breaks(&sent(0xc1, &HELLO), Violation::Protocol);
        }

        #[test]
        fn random_bytes_are_read_or_refused() {
            let mut state = 5_u64;
            let mut random = |below: usize| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                (state >> 33) as usize % below
            };
            let (mut read, mut refused) = (0, 0);
            for _ in 0..3_000 {
                let text: Vec<u8> = (0..random(400)).map(|_| b'a' + random(8) as u8).collect();
                let mut bytes = deflated(&text);
                for _ in 0..random(3) {
                    let index = random(bytes.len());
                    bytes[index] = random(256) as u8;
                }
                match read_with(10_000, &sent(0xc2, &bytes), 1 + random(100)) {
                    Ok(_) => read += 1,
                    Err(_) => refused += 1,
                }
            }
            assert!(read > 500 && refused > 500, "{read} {refused}");
        }
    }

    /// Returns what another implementation reads of the same bytes: its messages, pings and closes, up to an error.
    fn read_by_another(bytes: &[u8]) -> (Vec<String>, bool) {
        use async_tungstenite::tungstenite::{
            Error, Message,
            error::ProtocolError,
            protocol::{Role, WebSocket, WebSocketConfig},
        };
        struct Peer(std::io::Cursor<Vec<u8>>);
        impl std::io::Read for Peer {
            fn read(&mut self, bytes: &mut [u8]) -> std::io::Result<usize> {
                self.0.read(bytes)
            }
        }
        impl std::io::Write for Peer {
            fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
                Ok(bytes.len())
            }
            fn flush(&mut self) -> std::io::Result<()> {
                Ok(())
            }
        }
        let config = WebSocketConfig::default().max_message_size(Some(LIMIT)).max_frame_size(Some(LIMIT));
        let peer = Peer(std::io::Cursor::new(bytes.to_vec()));
        let mut socket = WebSocket::from_raw_socket(peer, Role::Server, Some(config));
        let mut items = Vec::new();
        loop {
            items.push(match socket.read() {
                Ok(Message::Text(text)) => format!("{:?}", Item::Message(MessagePayload::Text(&text))),
                Ok(Message::Binary(bytes)) => format!("{:?}", Item::Message(MessagePayload::Bytes(&bytes))),
                Ok(Message::Ping(data)) => format!("{:?}", Item::Ping(&data)),
                Ok(Message::Pong(_)) => format!("{:?}", Item::Pong),
                Ok(Message::Close(frame)) => {
                    items.push(format!("{:?}", Item::Close(frame.map(|frame| frame.code.into()))));
                    return (items, false);
                }
                Ok(Message::Frame(_)) => unreachable!("it is not asked for"),
                // That there is no more.
                Err(Error::Io(_) | Error::Protocol(ProtocolError::ResetWithoutClosingHandshake)) => {
                    return (items, false);
                }
                Err(_) => return (items, true),
            });
        }
    }

    #[test]
    fn random_frames_are_read_as_by_another_implementation() {
        let mut state = 7_u64;
        let mut random = |below: usize| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as usize % below
        };
        let (mut messages, mut errors) = (0, 0);
        for _ in 0..20_000 {
            let (mut bytes, mut in_message) = (Vec::new(), false);
            for _ in 0..=random(6) {
                let fin = if random(3) == 0 { 0 } else { 0x80 };
                let data = if in_message { 0 } else { 1 + random(2) as u8 };
                let first = match random(40) {
                    0 => random(256) as u8,
                    1 => fin | random(3) as u8,
                    2..8 => 0x89,
                    8..12 => 0x8a,
                    12 => 0x88,
                    _ => {
                        in_message = fin == 0;
                        fin | data
                    }
                };
                let payload: Vec<u8> = match (first & 0x0f, random(20)) {
                    (8, 0..10) => vec![],
                    // Of codes that may not be, the other one makes something else.
                    (8, _) => [&[1000, 1003, 1011, 4999_u16][random(4)].to_be_bytes()[..], b"bye"].concat(),
                    (_, 0) => "hé🦀".bytes().skip(random(4)).collect(),
                    (_, 1) => vec![b'x'; 120 + random(12)],
                    _ => vec![b'a'; random(9)],
                };
                bytes.extend(sent(first, &payload));
            }
            let is_cut = random(10) == 0;
            if is_cut {
                bytes.truncate(random(bytes.len() + 1));
            }
            let (expected, is_wrong) = read_by_another(&bytes);
            let (mut decoder, mut items) = (decoder(), Vec::new());
            let mut fails = false;
            let piece = 1 + random(40);
            'reading: for piece in bytes.clone().chunks_mut(piece) {
                let mut input = piece;
                loop {
                    match decoder.next(&mut input) {
                        Ok(None) => break,
                        Ok(Some(item)) => {
                            let is_close = matches!(item, Item::Close(_));
                            items.push(format!("{item:?}"));
                            if is_close {
                                break 'reading;
                            }
                        }
                        Err(_) => {
                            fails = true;
                            break 'reading;
                        }
                    }
                }
            }
            messages += items.len();
            errors += usize::from(fails);
            assert_eq!(items, expected, "{bytes:?}");
            // What is wrong is told as soon as its head has come.
            assert!(fails == is_wrong || fails && is_cut, "{bytes:?}");
        }
        assert!(messages > 10_000 && errors > 1_000, "{messages} messages, {errors} errors");
    }
}
