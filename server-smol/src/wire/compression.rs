use std::{cell::RefCell, rc::Rc};

use crate::{
    memory::{Buffer, Ledger, OutOfMemory},
    websocket::{Deflater, Head, Inflaters, Opcode},
};

use super::{Frame, SharedFrame, frame::SHARED};

/// Compresses the messages of a thread's rooms, for clients that have agreed to that.
///
/// A message to several clients is compressed once. A small one is compared with the last one, which is kept: it costs much less than to
/// compress it, and a room may also send the same to each client. A large one is kept with its frame.
#[derive(Debug)]
pub(crate) struct Compression {
    /// The size of the smallest message that is compressed.
    from: usize,
    /// None before the first message.
    deflater: RefCell<Option<Deflater>>,
    last: RefCell<Last>,
    pub(crate) inflaters: Rc<Inflaters>,
    ledger: Rc<Ledger>,
}

/// The last small message, as it is sent without compression and with it.
#[derive(Debug)]
struct Last {
    plain: Buffer,
    /// Empty if it would not be smaller.
    compressed: Buffer,
}

impl Compression {
    pub(crate) fn new(from: usize, ledger: &Rc<Ledger>) -> Self {
        Self {
            from,
            deflater: RefCell::default(),
            last: RefCell::new(Last { plain: Buffer::new(ledger), compressed: Buffer::new(ledger) }),
            inflaters: Inflaters::new(ledger),
            ledger: Rc::clone(ledger),
        }
    }

    /// Calls `push` with the compressed form of a frame, if it has one that is smaller. `most` is the size of the largest message that
    /// may be compressed. Returns false if there is none.
    pub(super) fn with(&self, frame: &Frame<'_>, most: usize, push: impl FnOnce(&Frame<'_>)) -> bool {
        let [head, payload] = split(frame);
        if !(self.from..=most).contains(&payload.len()) {
            return false;
        }
        let Some(opcode) = Opcode::of_message(head) else { return false };
        if let Frame::Shared(shared) = frame {
            let compressed = shared.compressed(|| self.shared(opcode, payload));
            return compressed.map(|frame| push(&Frame::Shared(frame))).is_some();
        }
        // Nothing is compressed while one is pushed.
        let Ok(mut last) = self.last.try_borrow_mut() else { return false };
        if payload.len() >= SHARED {
            // It is for one client.
            last.plain.clear();
            if self.compress(opcode, payload, &mut last.compressed).is_err() {
                last.compressed.clear();
            }
        } else if !last.is_of(head, payload) && last.set(head, payload).is_ok() {
            let Last { plain, compressed } = &mut *last;
            if self.compress(opcode, payload, compressed).is_err() {
                compressed.clear();
                plain.clear();
            }
        }
        let is_smaller = !last.compressed.is_empty();
        if is_smaller {
            push(&Frame::Encoded(&last.compressed));
        }
        if payload.len() >= SHARED {
            drop(last.compressed.take());
        }
        is_smaller
    }

    /// Compresses a large message for several clients.
    fn shared(&self, opcode: Opcode, payload: &[u8]) -> Option<Rc<SharedFrame>> {
        let mut compressed = Buffer::new(&self.ledger);
        self.compress(opcode, payload, &mut compressed).ok()?;
        if compressed.is_empty() { None } else { SharedFrame::encoded(&compressed, &self.ledger).ok() }
    }

    /// Writes the frame of a compressed message, or nothing if it would not be smaller.
    fn compress(&self, opcode: Opcode, payload: &[u8], to: &mut Buffer) -> Result<(), OutOfMemory> {
        to.clear();
        let mut deflater = self.deflater.borrow_mut();
        let deflater = match &mut *deflater {
            Some(deflater) => deflater,
            none => none.insert(Deflater::new(&self.ledger)?),
        };
        // The size of the head is known afterwards.
        to.extend(&[0; HEAD])?;
        deflater.deflate(payload, to)?;
        let size = to.len() - HEAD;
        if size >= payload.len() {
            to.clear();
            return Ok(());
        }
        let head = Head::new(opcode, size).compressed();
        let head = head.as_ref();
        to.copy_within(HEAD.., head.len());
        to.truncate(head.len() + size);
        to[..head.len()].copy_from_slice(head);
        Ok(())
    }
}

/// The size of the largest head.
const HEAD: usize = 10;

impl Last {
    fn is_of(&self, head: &[u8], payload: &[u8]) -> bool {
        self.plain.len() == head.len() + payload.len()
            && self.plain.starts_with(head)
            && self.plain.ends_with(payload)
    }

    fn set(&mut self, head: &[u8], payload: &[u8]) -> Result<(), OutOfMemory> {
        self.plain.clear();
        self.compressed.clear();
        self.plain.extend(head)?;
        self.plain.extend(payload)
    }
}

/// Returns the head of a frame, and what it carries.
fn split<'a>(frame: &'a Frame<'_>) -> [&'a [u8]; 2] {
    match frame.parts() {
        [whole, []] => whole.split_at(Head::size(whole).min(whole.len())).into(),
        parts => parts,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::Purpose;

    /// Returns what a frame is compressed to.
    fn compressed(compression: &Compression, frame: &Frame<'_>, most: usize) -> Option<Vec<u8>> {
        let mut bytes = None;
        let has = compression.with(frame, most, |frame| bytes = Some(frame.parts().concat()));
        assert_eq!(has, bytes.is_some());
        bytes
    }

    fn text(size: usize) -> Vec<u8> {
        (0..).flat_map(|number| format!("item {number}, ").into_bytes()).take(size).collect()
    }

    const MOST: usize = 256 << 10;

    #[test]
    fn messages_of_all_sizes_and_ways_come_out_the_same_and_each_stands_alone() {
        let ledger = Ledger::new(16 << 20);
        let compression = Compression::new(100, &ledger);
        for size in [100, 125, 126, 1000, SHARED - 1, SHARED, 40_000, 65_536, 100_000, MOST] {
            let payload = text(size);
            let mut buffer = Buffer::new(&ledger);
            let mut ways = vec![Frame::new(Opcode::Text, &payload)];
            ways.push(Frame::for_several(Opcode::Text, &payload, &mut buffer, &ledger).unwrap());
            ways.push(Frame::Shared(SharedFrame::new(Opcode::Text, &payload, &ledger).unwrap()));
            let all: Vec<_> =
                ways.iter().map(|frame| compressed(&compression, frame, MOST).unwrap()).collect();
            for bytes in &all {
                assert_eq!(bytes[0], 0xc1);
                assert_eq!(Head::frame_size(bytes), bytes.len());
                assert!(bytes.len() < payload.len() / 10 * 9, "{} of {size}", bytes.len());
                let deflated =
                    [&bytes[Head::size(bytes)..], &[0, 0, 0xff, 0xff, 1, 0, 0, 0xff, 0xff]].concat();
                let inflated = miniz_oxide::inflate::decompress_to_vec(&deflated).unwrap();
                assert!(inflated == payload, "{size}");
            }
        }
    }

    #[test]
    fn small_messages_control_frames_and_what_does_not_become_smaller_are_left_alone() {
        let ledger = Ledger::new(16 << 20);
        let compression = Compression::new(100, &ledger);
        let zeros = vec![0; MOST + 1];
        for (opcode, size, most) in [
            (Opcode::Binary, 99, MOST),
            (Opcode::Binary, 1001, 1000),
            (Opcode::Binary, MOST + 1, MOST),
            (Opcode::Ping, 120, MOST),
            (Opcode::Close, 120, MOST),
        ] {
            assert_eq!(compressed(&compression, &Frame::new(opcode, &zeros[..size]), most), None, "{size}");
        }
        assert!(compressed(&compression, &Frame::new(Opcode::Binary, &zeros[..1000]), 1000).is_some());
        let mut state = 1_u32;
        let mut random = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        };
        for size in [100, 1000, SHARED, 20_000] {
            let noise: Vec<u8> = (0..size).map(|_| random()).collect();
            assert_eq!(compressed(&compression, &Frame::new(Opcode::Binary, &noise), MOST), None);
            // And what comes after it is all right.
            let bytes = compressed(&compression, &Frame::new(Opcode::Binary, &zeros[..200]), MOST).unwrap();
            assert!(bytes.len() < 20);
        }
    }

    #[test]
    fn a_message_to_several_clients_is_compressed_once() {
        let ledger = Ledger::new(16 << 20);
        let compression = Compression::new(1, &ledger);
        let (small, large) = (text(1000), text(20_000));
        let shared = Frame::Shared(SharedFrame::new(Opcode::Text, &large, &ledger).unwrap());
        assert!(compressed(&compression, &Frame::new(Opcode::Text, &small), MOST).is_some());
        assert!(compressed(&compression, &shared, MOST).is_some());
        // Whoever would compress now would find no memory for a compressor.
        compression.deflater.take();
        let _all = ledger.charge(ledger.limit() - ledger.used(), Purpose::Small).unwrap();
        for _ in 0..3 {
            assert!(compressed(&compression, &Frame::new(Opcode::Text, &small), MOST).is_some());
            assert!(compressed(&compression, &shared, MOST).is_some());
        }
        assert_eq!(compressed(&compression, &Frame::new(Opcode::Binary, &small), MOST), None);
        assert_eq!(compressed(&compression, &Frame::new(Opcode::Text, &small), MOST), None);
    }
}
