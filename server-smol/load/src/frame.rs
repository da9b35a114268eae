//! WebSocket frames (RFC 6455, section 5) as a client writes and reads them, in place and without a copy.

use anyhow::{Result, bail, ensure};

pub(crate) const CONTINUATION: u8 = 0;
pub(crate) const TEXT: u8 = 1;
pub(crate) const BINARY: u8 = 2;
pub(crate) const CLOSE: u8 = 8;
pub(crate) const PING: u8 = 9;
pub(crate) const PONG: u8 = 10;

/// The maximum size of a message from a server. A larger one cannot be an answer to a message that was sent.
pub(crate) const MOST: usize = 64 << 20;

/// Appends a whole message, masked with `key`; its payload is `head` followed by `tail`.
pub(crate) fn write(out: &mut Vec<u8>, opcode: u8, key: [u8; 4], head: &[u8], tail: &[u8]) {
    let size = head.len() + tail.len();
    out.push(0x80 | opcode);
    match (u8::try_from(size), u16::try_from(size)) {
        (Ok(size @ 0..126), _) => out.push(0x80 | size),
        (_, Ok(size)) => {
            out.push(0x80 | 126);
            out.extend_from_slice(&size.to_be_bytes());
        }
        _ => {
            out.push(0x80 | 127);
            out.extend_from_slice(&(size as u64).to_be_bytes());
        }
    }
    out.extend_from_slice(&key);
    let begin = out.len();
    out.extend_from_slice(head);
    out.extend_from_slice(tail);
    mask(&mut out[begin..], key);
}

/// Eight bytes at a time: large messages would otherwise cost more here than in the server.
fn mask(payload: &mut [u8], key: [u8; 4]) {
    let [a, b, c, d] = key;
    let wide = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    let (chunks, rest) = payload.as_chunks_mut::<8>();
    for chunk in chunks {
        *chunk = (u64::from_ne_bytes(*chunk) ^ wide).to_ne_bytes();
    }
    for (byte, key) in rest.iter_mut().zip(key.iter().cycle()) {
        *byte ^= key;
    }
}

/// A frame that a server has sent.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Frame<'a> {
    /// True if it is the last frame of its message.
    pub(crate) fin: bool,
    pub(crate) opcode: u8,
    pub(crate) payload: &'a [u8],
}

/// Reads the frame at the beginning of `bytes`, and its size. Returns `None` if the frame is incomplete.
pub(crate) fn read(bytes: &[u8]) -> Result<Option<(Frame<'_>, usize)>> {
    let Some((&[first, second], rest)) = bytes.split_first_chunk() else {
        return Ok(None);
    };
    ensure!(first & 0x70 == 0, "the server sends frames of an extension that nobody has asked for");
    ensure!(second & 0x80 == 0, "the server masks its frames, which only clients may do");
    let (size, rest) = match second {
        126 => match rest.split_first_chunk() {
            Some((&size, rest)) => (u16::from_be_bytes(size).into(), rest),
            None => return Ok(None),
        },
        127 => match rest.split_first_chunk() {
            Some((&size, rest)) => (u64::from_be_bytes(size), rest),
            None => return Ok(None),
        },
        size => (size.into(), rest),
    };
    let opcode = first & 0x0f;
    match opcode {
        CONTINUATION | TEXT | BINARY => {}
        CLOSE | PING | PONG => {
            ensure!(size < 126 && first & 0x80 != 0, "the server sends control frames that are too large");
        }
        unknown => bail!("the server sends frames of an unknown kind ({unknown})"),
    }
    let size = usize::try_from(size).unwrap_or(usize::MAX);
    ensure!(size <= MOST, "the server sends a message of {size} bytes; those of up to {MOST} are read");
    Ok(rest.get(..size).map(|payload| {
        let end = bytes.len() - rest.len() + size;
        (Frame { fin: first & 0x80 != 0, opcode, payload }, end)
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Decodes a client's frame as a server does.
    fn unmasked(bytes: &[u8]) -> Vec<u8> {
        let at = match bytes[1] & 0x7f {
            126 => 4,
            127 => 10,
            _ => 2,
        };
        let (head, rest) = bytes.split_at(at);
        let (key, payload) = rest.split_at(4);
        let payload = payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key);
        let mut frame = head.to_vec();
        frame[1] &= 0x7f;
        frame.extend(payload);
        frame
    }

    #[test]
    fn a_frame_is_read_as_it_was_written() {
        for size in [0, 1, 7, 8, 9, 125, 126, 127, 65_535, 65_536, 100_003] {
            let payload: Vec<u8> = (0..size).map(|index| (index % 251) as u8).collect();
            let (head, tail) = payload.split_at(size / 3);
            let mut out = b"before".to_vec();
            write(&mut out, BINARY, [0x37, 0xfa, 0x21, 0x3d], head, tail);
            let frame = unmasked(&out[6..]);
            let expected = Frame { fin: true, opcode: BINARY, payload: &payload };
            assert_eq!(read(&frame).unwrap(), Some((expected, frame.len())), "{size}");
        }
    }

    #[test]
    fn the_specification_s_example_is_written() {
        let mut out = Vec::new();
        write(&mut out, TEXT, [0x37, 0xfa, 0x21, 0x3d], b"Hel", b"lo");
        assert_eq!(out, [0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58]);
    }

    #[test]
    fn a_part_of_a_frame_is_none_yet() {
        for size in [0_usize, 5, 126, 70_000] {
            let mut out = Vec::new();
            write(&mut out, TEXT, [0; 4], &vec![b'x'; size], &[]);
            let frame = unmasked(&out);
            for end in (0..frame.len()).rev().take(20).chain(0..20.min(frame.len())) {
                assert_eq!(read(&frame[..end]).unwrap(), None, "{end} of {}", frame.len());
            }
        }
    }

    #[test]
    fn what_follows_a_frame_is_left() {
        let bytes = [0x01, 2, b'h', b'i', 0x80, 1, b'!'];
        let (first, end) = read(&bytes).unwrap().unwrap();
        assert_eq!((first, end), (Frame { fin: false, opcode: TEXT, payload: b"hi" }, 4));
        let (second, end) = read(&bytes[end..]).unwrap().unwrap();
        assert_eq!((second, end), (Frame { fin: true, opcode: CONTINUATION, payload: b"!" }, 3));
    }

    #[test]
    fn no_bytes_panic() {
        let mut state = 1_u64;
        for _ in 0..100_000 {
            let mut bytes = [0; 24];
            for byte in &mut bytes {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                // Small numbers, and those around the three ways to write a length, are what makes a
                // difference.
                *byte = match state >> 60 {
                    0..6 => (state >> 56) as u8 & 0x0f,
                    6..9 => 126,
                    9..12 => 127,
                    _ => (state >> 33) as u8,
                };
            }
            let mut rest = &bytes[..(state >> 40) as usize % 25];
            while let Ok(Some((frame, end))) = read(rest) {
                assert!(frame.payload.len() < end && end <= rest.len());
                rest = &rest[end..];
            }
        }
    }

    #[test]
    fn broken_frames_are_told() {
        let huge = [&[0x82, 127][..], &u64::MAX.to_be_bytes()].concat();
        for (bytes, part) in [
            (&[0xc1, 0][..], "extension"),
            (&[0x81, 0x80], "masks"),
            (&[0x83, 0], "unknown kind (3)"),
            (&[0x09, 0], "control"),
            (&[0x89, 126, 0, 126], "control"),
            (&huge, "up to 67108864"),
        ] {
            let error = read(bytes).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
    }
}
