//! Numbers of variable length: LEB128, seven bits in a byte, the lowest first.

use alloc::vec::Vec;

use crate::reader::Reader;

use super::RecordingError;

pub(super) fn put(mut number: u64, out: &mut Vec<u8>) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// Writes a number in the place of another one. Returns false if it does not have the same length.
pub(super) fn replace(place: &mut [u8], mut number: u64) -> bool {
    if let Some((last, others)) = place.split_last_mut() {
        for byte in others {
            *byte = number as u8 | 0x80;
            number >>= 7;
        }
        *last = number as u8;
    }
    // Otherwise it is longer, or ends with zeros.
    number < 0x80 && (number > 0 || place.len() == 1)
}

pub(super) fn read(reader: &mut Reader<'_>) -> Result<u64, RecordingError> {
    let mut number = 0;
    for shift in (0..u64::BITS).step_by(7) {
        let byte = reader.byte()?;
        let bits = u64::from(byte & 0x7f);
        if bits << shift >> shift != bits {
            break;
        }
        number |= bits << shift;
        if byte < 0x80 {
            return Ok(number);
        }
    }
    Err(RecordingError::Damaged)
}

/// Reads the length of what follows.
pub(super) fn read_len(reader: &mut Reader<'_>) -> Result<usize, RecordingError> {
    usize::try_from(read(reader)?).map_err(|_| RecordingError::Damaged)
}

/// Writes bytes with their length before them.
pub(super) fn put_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    put(bytes.len() as u64, out);
    out.extend_from_slice(bytes);
}

pub(super) fn read_bytes<'a>(reader: &mut Reader<'a>) -> Result<&'a [u8], RecordingError> {
    let len = read_len(reader)?;
    Ok(reader.bytes(len)?)
}

pub(super) fn read_text<'a>(reader: &mut Reader<'a>) -> Result<&'a str, RecordingError> {
    str::from_utf8(read_bytes(reader)?).map_err(|_| RecordingError::Damaged)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_come_back_and_small_ones_are_short() {
        for (number, len) in
            [(0, 1), (127, 1), (128, 2), (16_383, 2), (16_384, 3), (u64::from(u32::MAX), 5), (u64::MAX, 10)]
        {
            let mut out = Vec::new();
            put(number, &mut out);
            assert_eq!(out.len(), len);
            assert_eq!(read(&mut Reader::new(&out)), Ok(number));
        }
    }

    #[test]
    fn a_number_takes_the_place_of_one_of_the_same_length_only() {
        let numbers = [0, 1, 127, 128, 16_383, 16_384, u64::from(u32::MAX), u64::MAX];
        for (before, after) in numbers.into_iter().flat_map(|before| numbers.map(|after| (before, after))) {
            let (mut place, mut expected) = (Vec::new(), Vec::new());
            put(before, &mut place);
            put(after, &mut expected);
            assert_eq!(replace(&mut place, after), place.len() == expected.len(), "{before} {after}");
            assert!(place == expected || place.len() != expected.len());
        }
    }

    #[test]
    fn numbers_that_do_not_fit_or_do_not_end_are_refused() {
        for bytes in
            [&[0x80; 11][..], &[0xff; 10], &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2]]
        {
            assert_eq!(read(&mut Reader::new(bytes)), Err(RecordingError::Damaged), "{bytes:x?}");
        }
        assert_eq!(read(&mut Reader::new(&[0x80])), Err(RecordingError::Damaged));
    }
}
